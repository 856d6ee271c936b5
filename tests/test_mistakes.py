"""The pages of mistakes: the same in both languages, every snippet wrong or right as it says, every figure measured.

The right lines of a section stand in a program at the end of the page; the wrong ones are put in their place.
"""

import re
import textwrap
from itertools import product

import pytest
import torch

from d2l_softmax import load_dataset
from tests.conftest import ROOT

PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("mistakes.md", "mistakes.zh-CN.md")]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
FIVE = re.compile(r"`([-\d.na]+(?: [-\d.na]+){4})`")
SECTIONS = dict(part.split("\n", 1) for part in re.split(r"^## ", PAGES[0], flags=re.M)[1:])
MISTAKES = pytest.mark.parametrize("title", [title for title, body in SECTIONS.items() if "# wrong\n" in body])
PROGRAMS, SETUP = FENCE.findall(SECTIONS["Three right programs"]), FENCE.findall(SECTIONS["Before the tests"])[0]
SETTINGS = {
    "The loss takes the logarithm of a probability that is 0": {"scale": ""},
    "One-hot columns are numbered by the classes in the batch": {"size": 16, "lr": 0.05},
    "The penalty and its gradient differ by a factor of 2": {"reg": 0.01},
}


def parts(title):
    """The program of a section, right and wrong, and the section's test."""
    lines, test = FENCE.findall(SECTIONS[title])
    wrong, right = lines.removeprefix("# wrong\n").split("# right\n")
    for program, indent in product(PROGRAMS, (0, 4, 8, 12)):
        old, new = ("\n" + textwrap.indent(text, " " * indent) for text in (right, wrong))
        if old in program:
            return program, program.replace(old, new), test


def execute(source):
    torch.manual_seed(1)
    exec(source, names := {})
    return names


def split(X, y, size):
    return list(zip(X.clone().split(size), y.split(size), strict=True))


def train(program, data, size=256, scale=" / 255", **values):
    """The names of a program, and of five epochs the losses, test accuracies and train accuracies."""
    names, test_iter, epochs = execute(program.replace(" / 255", scale)), split(*data[1], 256), []
    names.update(values)
    train_iter = names["batches"](data[0][0].clone(), data[0][1]) if "batches" in names else split(*data[0], size)
    for _ in range(5):
        loss, accuracy = names["train_epoch"](train_iter)
        epochs.append([torch.as_tensor(loss).item(), names["evaluate_accuracy"](test_iter), accuracy])
    return names, *map(list, zip(*epochs, strict=True))


@pytest.fixture(scope="module")
def data(real_data):
    """The first 2,000 training and 1,000 test images of Fashion-MNIST, and their labels."""
    whole = load_dataset("fashion-mnist", real_data)
    train, test = (whole.train_images, whole.train_labels, 2000), (whole.test_images, whole.test_labels, 1000)
    return [(images[:n].float(), labels[:n]) for images, labels, n in (train, test)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_right_programs_agree_with_pytorch(program):
    names, pytorch_step = execute(program), execute(SETUP)["pytorch_step"]
    batches = split(torch.randint(0, 256, (21, 784)).float(), torch.randint(0, 10, (21,)), 8)
    W, b = wanted = tuple(names["net"].parameters()) if "nn" in names else (names["W"], names["b"])
    for X, y in batches:
        wanted = pytorch_step(*wanted, X, y)
    names["train_epoch"](batches)
    torch.testing.assert_close((names.get("W", W), names.get("b", b)), wanted, rtol=0, atol=1e-6)


@MISTAKES
def test_the_test_of_a_section_passes_with_the_right_lines_and_fails_with_the_wrong_ones(title):
    right, wrong, test = parts(title)
    execute(right + SETUP + test)
    with pytest.raises(AssertionError):
        execute(wrong + SETUP + test)


@MISTAKES
def test_training_with_a_mistake_gives_the_stated_figures(title, data):
    (right, wrong, _), body, setting = parts(title), SECTIONS[title], SETTINGS.get(title, {})
    names, *measured = train(wrong, data, **setting)
    near = {"rel": 2e-3, "abs": 2e-3, "nan_ok": True}
    # Steps that lead to a loss in the hundreds amplify rounding: of these, the first epoch is compared.
    epochs, near = (5, near) if max(measured[0]) < 100 else (1, near | {"rel": 0.02})
    for column, figures in zip(measured, FIVE.findall(body) or FIVE.findall(PAGES[0])[:3:2], strict=False):
        assert column[:epochs] == pytest.approx([float(figure) for figure in figures.split()][:epochs], **near)
    for loss, accuracy in re.findall(r"Repaired,[^`]*`([\d.]+)`[^`]*`([\d.]+)`", body):
        ends = [column[-1] for column in train(right, data, **setting)[1:3]]
        assert ends == pytest.approx([float(loss), float(accuracy)], **near)
    if title.startswith("A photo"):
        X, y = data[1]
        shares = [(names["predict"](photo) == y).float().mean().item() for photo in (255 - X, X, X / 255)]
        assert shares == pytest.approx([float(share) for share in re.findall(r"0\.\d+", body)], **near)


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_symptoms_leads_to_every_mistake(page):
    mistakes = re.findall(r"^## (.*)\n\n```python\n# wrong", page, re.M)
    # That a link leads to a heading is in test_docs.py.
    assert len(set(re.findall(r"\(#(.*?)\)", "".join(re.findall(r"^\|.*", page, re.M))))) == len(mistakes)
