"""The notebooks of `examples/`, which are made from its scripts.

    python -m tests.notebook one_sample
    python -m tests.notebook chapter

This runs a notebook and writes it, with what it shows. Its data set, MNIST or Fashion-MNIST, must lie in the folder
that D2L_SOFTMAX_DATA names, or in `data`.
"""

import base64
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT

DATA = {"one_sample": "mnist", "chapter": "fashion-mnist"}


def path(name: str) -> Path:
    """The file of a notebook."""
    return ROOT / "examples" / f"{name}.ipynb"


def converted(name: str) -> nbformat.NotebookNode:
    """A script as a notebook that has not been run; the same script always gives the same."""
    notebook = jupytext.read(path(name).with_suffix(".py"))
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i}", {}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def executed(name: str) -> nbformat.NotebookNode:
    """The same with its outputs, run in a kernel of its own in the folder in which it lies."""
    notebook = converted(name)
    here = {"metadata": {"path": str(path(name).parent)}}
    NotebookClient(notebook, timeout=120, record_timing=False, coalesce_streams=True, resources=here).execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> tuple[str, list[bytes]]:
    """What its cells printed, and the pictures that they show, as PNG files."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return "".join(output.get("text", "") for output in outputs), list(map(base64.b64decode, shown))


if __name__ == "__main__":
    _, name = sys.argv
    notebook = executed(name)
    if DATA[name] not in re.findall(r"[\w-]+", outputs(notebook)[0]):
        sys.exit(f"{DATA[name]} is not here: name its folder in D2L_SOFTMAX_DATA")
    nbformat.write(notebook, path(name))
