import copy
import re
import runpy
import sys

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from d2l_softmax import load_dataset
from d2l_softmax.initialisers import uniform
from examples import line_fit
from tests import notebook


def test_the_line_fit_is_gradient_descent():
    x, y = line_fit.points()
    # In a loop of plain numbers, with the derivative of the mean of ½(ax + b − y)² written out.
    xs, ys, a, b = x.flatten().tolist(), y.flatten().tolist(), 0.0, 0.0
    for _ in range(100):
        errors = [a * xi + b - yi for xi, yi in zip(xs, ys, strict=True)]
        a -= 0.1 * sum(e * xi for e, xi in zip(errors, xs, strict=True)) / len(xs)
        b -= 0.1 * sum(errors) / len(xs)
    for method in (line_fit.fit, line_fit.closed_form):
        assert method(x, y, lr=0.1, steps=100) == pytest.approx((a, b), abs=1e-8)


@pytest.mark.parametrize(("name", "lines"), [("line_fit", 2), ("gradient_check", 7)])
def test_examples_run_as_programs(name, lines, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)
    runpy.run_module(f"examples.{name}", run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    # Every hand-derived gradient is that of the differences.
    assert all(float(re.search(r"[\d.]+e-\d+", line)[0]) < 1e-7 for line in printed if name == "gradient_check")


def figures_of_pytorch(name, data_dir):
    """The figures of the lesson, in the order in which it prints them, from PyTorch's own pieces."""
    data = load_dataset(name, data_dir)
    images, labels = (data.train_images[:1000] / data.max_value).flatten(1), data.train_labels[:1000]
    net = nn.Linear(data.num_inputs, 10)
    uniform(net.weight, net.bias, torch.Generator().manual_seed(326))
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
            logits = net(data.test_images.flatten(1) / data.max_value)
            yield F.cross_entropy(logits, data.test_labels).item()
            yield (logits.argmax(dim=1) == data.test_labels).double().mean().item()
        else:
            for batch in order.split(256):
                step(data.train_images[batch].flatten(1) / data.max_value, data.train_labels[batch])


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


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel_of_its_own_and_shows_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("D2L_SOFTMAX_DATA", str(tmp_path))
    printed, pictures = notebook.outputs(notebook.executed("one_sample"))
    assert_figures_are_pytorchs(printed, "digits")
    assert len(pictures) == 3
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 3000 for picture in pictures)


def test_the_notebook_shows_what_mnist_gives(real_data):
    printed, pictures = notebook.outputs(nbformat.read(notebook.path("one_sample"), 4))
    assert_figures_are_pytorchs(printed, "mnist", real_data)
    assert len(pictures) == 3


@pytest.mark.parametrize("name", notebook.DATA)
def test_a_notebook_is_its_script_is_small_and_names_no_folder_of_the_machine_it_was_run_on(name):
    text = notebook.path(name).read_text()
    assert len(text) < 400_000
    assert not re.search(r"/(home|tmp|opt|work|root|usr)/|Users", text)
    found, wanted = nbformat.reads(text, 4).cells, notebook.converted(name).cells
    cells, expected = ([(cell.cell_type, cell.source) for cell in part] for part in (found, wanted))
    assert cells == expected, f"write it anew: python -m tests.notebook {name}"
