"""The notebook of `examples/one_sample.py`: `python -m tests.notebook` runs it and writes it, with what it shows.

MNIST must lie in the folder that D2L_SOFTMAX_DATA names, or in `data`.
"""

import base64
import sys

import jupytext
import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT

SCRIPT, NOTEBOOK = ROOT / "examples" / "one_sample.py", ROOT / "examples" / "one_sample.ipynb"


def converted() -> nbformat.NotebookNode:
    """The script as a notebook that has not been run; the same script always gives the same."""
    notebook = jupytext.read(SCRIPT)
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i}", {}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def executed() -> nbformat.NotebookNode:
    """The same with its outputs, run in a kernel of its own in the folder in which it lies."""
    notebook = converted()
    here = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=120, record_timing=False, coalesce_streams=True, resources=here).execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    """What its cells printed."""
    return "".join(output.text for output in _outputs(notebook) if output.output_type == "stream")


def pictures(notebook: nbformat.NotebookNode) -> list[bytes]:
    """The pictures that its cells show, as PNG files."""
    shown = [output.data for output in _outputs(notebook) if "data" in output]
    return [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]


def _outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


if __name__ == "__main__":
    notebook = executed()
    if "of mnist" not in printed(notebook):
        sys.exit("MNIST is not here: name its folder in D2L_SOFTMAX_DATA")
    nbformat.write(notebook, NOTEBOOK)
