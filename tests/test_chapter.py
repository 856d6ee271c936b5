"""What the notebook `examples/chapter.ipynb` shows and says."""

import re

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import d2l_softmax
from d2l_softmax import load_dataset, scratch
from d2l_softmax.record import pictures
from tests import notebook

SCRIPT = notebook.path("chapter").with_suffix(".py").read_text()


def figures_of_pytorch(data):
    """The test accuracies that the chapter prints, from PyTorch's own pieces: with softmax twice, and once."""
    images, test_images = (part.flatten(1) / data.max_value for part in (data.train_images, data.test_images))
    for last in (nn.Softmax(dim=1), nn.Identity()):
        linear, seeds = nn.Linear(data.num_inputs, 10), torch.Generator().manual_seed(326)
        nn.init.normal_(linear.weight, 0, 0.01, generator=seeds)
        nn.init.zeros_(linear.bias)
        net, order = nn.Sequential(linear, last), torch.Generator().manual_seed(326)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(5):
            for batch in torch.randperm(len(images), generator=order).split(256):
                optimizer.zero_grad()
                F.cross_entropy(net(images[batch]), data.train_labels[batch]).backward()
                optimizer.step()
        yield (net(test_images).argmax(dim=1) == data.test_labels).double().mean().item()


def assert_the_lesson_is_right(run, data):
    text, shown = notebook.outputs(run)
    assert text.startswith(f"{data.name}: {tuple(data.train_images.shape)} to train on")
    naive, ours = re.findall(r"\n +\[(.*?)\]\]\)", text)
    assert naive.split() == ["nan,", "nan,", "nan"]
    assert [float(p) for p in ours.split(",")] == pytest.approx(F.softmax(torch.arange(3.0), 0).tolist(), abs=1e-4)
    assert re.findall(r"tensor\(\[([\d.e+]+), +(\w+)", text)[:1] == [("0.4076", "inf")]
    assert "tensor([  0.4076, 200.0000])" in text
    assert float(re.search(r"from scratch: ([\d.e-]+),", text)[1]) < 1e-5
    assert "the network returns probabilities, but this loss takes logits" in text
    accuracies = re.search(r"test accuracy ([\d.]+) instead of ([\d.]+)", text).groups()
    assert [float(a) for a in accuracies] == pytest.approx(list(figures_of_pytorch(data)), abs=0.002)
    assert re.search(r"sgd +✓  divides by batch_size.*softmax +✗", text, re.S)
    # Samples, weights, predictions, and one figure of curves for each training, which is the last that was drawn.
    assert len(shown) == 6
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 3000 for picture in shown)


@pytest.mark.slow
def test_the_chapter_runs_in_a_kernel_of_its_own_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("D2L_SOFTMAX_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing answers
    assert_the_lesson_is_right(notebook.executed("chapter"), load_dataset("digits"))


def test_the_notebook_shows_what_fashion_mnist_gives(real_data):
    run = nbformat.read(notebook.path("chapter"), 4)
    assert_the_lesson_is_right(run, load_dataset("fashion-mnist", real_data))


def test_the_names_of_the_table_are_there():
    rows = [row.split("|")[1:3] for row in re.findall(r"^\| .*\|$", SCRIPT, re.M)][2:]
    names = [re.search(r"`([\w.]+)", book if ours.strip() == "the same" else ours)[1] for book, ours in rows]
    places = {"pictures": pictures, "scratch": scratch, "data": load_dataset("digits")}
    for name in names:
        place, _, attribute = name.rpartition(".")
        assert hasattr(places.get(place, d2l_softmax), attribute), name
    assert len(names) == 16
