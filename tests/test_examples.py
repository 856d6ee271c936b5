import copy
import re
import runpy
import sys

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import d2l_softmax
from d2l_softmax import BatchIterator, load_dataset, scratch
from d2l_softmax.initialisers import uniform
from d2l_softmax.record import pictures
from examples import gradient_check, line_fit
from tests import notebook, oracle


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


def test_every_hand_derived_gradient_is_that_of_the_differences():
    results = gradient_check.check_all(sample=50)
    assert len(results) == 7
    assert max(result.error for result in results.values()) < 1e-7


def batches_of(data):
    """The training images in the order of the examples."""
    place = {"divisor": data.max_value, "device": torch.device("cpu")}
    return BatchIterator(data.train_images, data.train_labels, 256, seed=326, **place)


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
    trained, _ = oracle.train(net.weight.T, net.bias, batches_of(data), lr=0.1)
    for linear in (net, trained):
        yield from oracle.evaluate(linear.weight.T, linear.bias, data.test_images, data.test_labels, data.max_value)


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


def accuracies_of_pytorch(data):
    """The test accuracies that the chapter prints, from PyTorch's own pieces: with softmax twice, and once."""

    def of_softmax_twice(logits, y, **reduction):
        return F.cross_entropy(logits.softmax(dim=1), y, **reduction)

    rows = torch.empty(10, data.num_inputs).normal_(0, 0.01, generator=torch.Generator().manual_seed(326))
    for loss in (of_softmax_twice, F.cross_entropy):
        linear, _ = oracle.train(rows.T, torch.zeros(10), batches_of(data), 5, loss, lr=0.1)
        yield oracle.evaluate(linear.weight.T, linear.bias, data.test_images, data.test_labels, data.max_value)[1]


def assert_the_chapter_is_right(text, data):
    assert text.startswith(f"{data.name}: {tuple(data.train_images.shape)} to train on")
    naive, ours = re.findall(r"\n +\[(.*?)\]\]\)", text)
    assert naive.split() == ["nan,", "nan,", "nan"]
    assert [float(p) for p in ours.split(",")] == pytest.approx(F.softmax(torch.arange(3.0), 0).tolist(), abs=1e-4)
    assert re.findall(r"tensor\(\[([\d.e+]+), +(\w+)", text)[:1] == [("0.4076", "inf")]
    assert "tensor([  0.4076, 200.0000])" in text
    assert float(re.search(r"from scratch: ([\d.e-]+),", text)[1]) < 1e-5
    assert "the network returns probabilities, but this loss takes logits" in text
    accuracies = re.search(r"test accuracy ([\d.]+) instead of ([\d.]+)", text).groups()
    assert [float(a) for a in accuracies] == pytest.approx(list(accuracies_of_pytorch(data)), abs=0.002)
    assert re.search(r"sgd +✓  divides by batch_size.*softmax +✗", text, re.S)


@pytest.mark.slow
@pytest.mark.parametrize("name", notebook.DATA)
def test_a_notebook_runs_in_a_kernel_of_its_own_without_a_network(tmp_path, monkeypatch, name):
    monkeypatch.setenv("D2L_SOFTMAX_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "")
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # where nothing answers
    assert_the_notebook_is_right(name, notebook.executed(name), "digits")


@pytest.mark.parametrize("name", notebook.DATA)
def test_a_notebook_shows_what_its_data_set_gives(real_data, name):
    assert_the_notebook_is_right(name, nbformat.read(notebook.path(name), 4), notebook.DATA[name], real_data)


def assert_the_notebook_is_right(name, run, data_name, data_dir="data"):
    printed, shown = notebook.outputs(run)
    if name == "chapter":
        assert_the_chapter_is_right(printed, load_dataset(data_name, data_dir))
    else:
        assert_figures_are_pytorchs(printed, data_name, data_dir)
    # In the chapter: samples, weights, predictions, and of each training the curves that were drawn last.
    assert len(shown) == {"chapter": 6, "one_sample": 3}[name]
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 3000 for picture in shown)


@pytest.mark.parametrize("name", notebook.DATA)
def test_a_notebook_is_its_script_is_small_and_names_no_folder_of_the_machine_it_was_run_on(name):
    text = notebook.path(name).read_text()
    assert len(text) < 400_000
    assert not re.search(r"/(home|tmp|opt|work|root|usr)/|Users", text)
    found, wanted = nbformat.reads(text, 4).cells, notebook.converted(name).cells
    cells, expected = ([(cell.cell_type, cell.source) for cell in part] for part in (found, wanted))
    assert cells == expected, f"write it anew: python -m tests.notebook {name}"


def test_the_names_of_the_table_are_there():
    script = notebook.path("chapter").with_suffix(".py").read_text()
    rows = [row.split("|")[1:3] for row in re.findall(r"^\| .*\|$", script, re.M)][2:]
    names = [re.search(r"`([\w.]+)", book if ours.strip() == "the same" else ours)[1] for book, ours in rows]
    places = {"pictures": pictures, "scratch": scratch, "data": load_dataset("digits")}
    for name in names:
        place, _, attribute = name.rpartition(".")
        assert hasattr(places.get(place, d2l_softmax), attribute), name
    assert len(names) == 16
