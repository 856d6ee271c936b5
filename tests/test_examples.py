import copy
import re
import runpy
import sys

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from d2l_softmax import init, load_dataset
from examples.gradient_check import check_all
from tests.notebook import NOTEBOOK, converted, executed, pictures, printed


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


def figures_of_pytorch(name, data_dir):
    """The figures of the lesson, in the order in which it prints them, from PyTorch's own pieces."""
    data = load_dataset(name, data_dir)
    images, labels = (data.train_images[:1000] / data.white).flatten(1), data.train_labels[:1000]
    net = nn.Linear(data.num_inputs, 10)
    init.uniform(net.weight, net.bias, torch.Generator().manual_seed(326))
    start = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(X, y):
        loss = F.cross_entropy(net(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), F.cross_entropy(net(X), y).item()

    each = []
    for X, y in zip(images.split(1), labels.split(1), strict=True):
        net.load_state_dict(start)
        each.append(step(X, y))
    net.load_state_dict(start)
    i = next(i for i in range(1000) if net(images[i]).argmax() != labels[i])
    logits = net(images[i])
    for j in range(10):
        yield from (j, logits[j].item(), logits.softmax(dim=0)[j].item())
    yield from (each[i][0], i, 0.0, 7.87, 0.0026)
    yield from step(images[i : i + 1], labels[i : i + 1])
    yield from (1000, *torch.tensor(each).median(dim=0).values.tolist())
    yield from step(images[:256], labels[:256])
    order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(326))
    for test in (True, False, True):
        if test:
            logits = net(data.test_images.flatten(1) / data.white)
            yield F.cross_entropy(logits, data.test_labels).item()
            yield (logits.argmax(dim=1) == data.test_labels).double().mean().item()
        else:
            for batch in order.split(256):
                step(data.train_images[batch].flatten(1) / data.white, data.train_labels[batch])


def assert_figures_are_pytorchs(text, name, data_dir="data"):
    """Every number in the text is right to a unit of its last digit, or to 1e-6 where it has an exponent."""
    found = list(re.finditer(r"(?<![\w.])-?\d+(?:\.(\d+))?(e[-+]\d+)?", text))
    expected = list(figures_of_pytorch(name, data_dir))
    assert len(found) == len(expected), text
    for number, figure in zip(found, expected, strict=True):
        decimals, exponent = number.groups(default="")
        assert abs(float(number[0]) - figure) <= (1e-6 if exponent else 10.0 ** -len(decimals)), (number, figure)


def test_the_lesson_of_one_sample_is_right_on_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["one_sample", "--data-dir", str(tmp_path)])
    runpy.run_module("examples.one_sample", run_name="__main__")
    assert_figures_are_pytorchs(capsys.readouterr().out, "digits")


def test_the_notebook_runs_in_a_kernel_of_its_own_and_shows_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("D2L_SOFTMAX_DATA", str(tmp_path))
    run = executed()
    assert_figures_are_pytorchs(printed(run), "digits")
    assert len(pictures(run)) == 3
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 3000 for picture in pictures(run))


def test_the_notebook_is_the_script():
    cells, wanted = ([(c.cell_type, c.source) for c in n.cells] for n in (nbformat.read(NOTEBOOK, 4), converted()))
    assert cells == wanted, "write it anew: python -m tests.notebook"


def test_the_notebook_shows_what_mnist_gives(real_data):
    notebook = nbformat.read(NOTEBOOK, 4)
    assert_figures_are_pytorchs(printed(notebook), "mnist", real_data)
    assert len(pictures(notebook)) == 3
