import runpy
import sys

import pytest

from examples.gradient_check import check_all


def test_the_gradient_check_passes_for_every_piece():
    results = check_all(sample=40)
    assert len(results) == 7
    assert all(result.passed for result in results.values()), results


@pytest.mark.parametrize("name", ["line_fit", "gradient_check"])
def test_examples_run_as_programs(name, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)
    runpy.run_module(f"examples.{name}", run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_the_line_fit_prints_the_same_line_twice(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "examples.line_fit", raising=False)
    runpy.run_module("examples.line_fit", run_name="__main__")
    step_by_step, closed_form = capsys.readouterr().out.splitlines()
    assert step_by_step.split("y = ")[1] == closed_form.split("y = ")[1]
