import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mutants import BOOK, CASES, MODULE, MUTANTS

from d2l_softmax.check import check, mistakes
from d2l_softmax.commands.check import main
from d2l_softmax.errors import UserError

# The wrong ones of the twenty-four files, and the piece that must be named. The others are right.
WRONG = {
    "case-01": "train_epoch",
    "case-02": "train_epoch",
    "case-06": "train_epoch",
    "case-08": "softmax",
    "case-10": "sgd",
    "case-11": "cross_entropy + sgd",
    "case-13": "gradients",
    "case-14": "net",
    "case-15": "gradients",
    "case-16": "net + loss",
    "case-17": "gradients",
    "case-18": "cross_entropy",
    "case-19": "SoftmaxCrossEntropy.backward",
    "case-21": "net",
    "case-22": "evaluate_accuracy",
    "case-23": "one_hot",
    "case-24": "softmax",
}


def wrong(report):
    return [finding for finding in report.findings if finding.sign == "✗"]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.py")), ids=lambda path: path.stem)
def test_learners_files(path):
    found = [finding.piece for finding in wrong(check(path))]
    assert found == ([WRONG[path.stem]] if path.stem in WRONG else [])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(MUTANTS)))
def test_a_mistake_is_named_at_its_piece(tmp_path, number):
    base, old, new, pieces = MUTANTS[number]
    assert old in base
    path = tmp_path / "mine.py"
    path.write_text(base.replace(old, new, 1))
    found = wrong(check(path))
    if not pieces:
        assert not found
        return
    assert len(found) == 1
    assert set(found[0].piece.replace(" + ", "+").split()) & set(pieces.replace(" + ", "+").split())
    assert found[0].line.startswith("mine.py:")
    assert len(found[0].message) > 20


def test_the_report_says_conventions_numbers_and_lines():
    text = str(check(CASES / "case-22.py"))
    assert "cross_entropy        ✓  takes probabilities, returns one loss per image" in text
    assert "0.6667 instead of 0.7000 on batches of 4, 4 and 2 images" in re.sub(r"\s+", " ", text)
    assert "(case-22.py:46)" in text


def notebook(source):
    names = {"__name__": "__main__"}
    exec(source, names)
    return names


@pytest.mark.parametrize("source", [BOOK, MODULE, (CASES / "case-05.py").read_text()])
def test_a_notebook_stays_as_it_was(source):
    names = notebook(source)
    if "optimizer" in names:
        names["net"][1].weight.grad = torch.ones(10, 784)
    before, values = dict(names), {k: v.clone() for k, v in names.items() if torch.is_tensor(v)}
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    assert check(names).ok
    assert names.keys() == before.keys()
    assert all(names[key] is before[key] for key in before)
    assert all(torch.equal(names[key], value) and names[key].grad is None for key, value in values.items())
    if "optimizer" in names:
        assert torch.equal(names["net"][1].weight.grad, torch.ones(10, 784))
        assert names["optimizer"].param_groups[0]["params"][0] is names["net"][1].weight
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.get_num_threads() == states[2]


def test_single_pieces_can_be_given():
    names = notebook(BOOK)
    report = check(softmax=names["softmax"], cross_entropy=names["cross_entropy"])
    assert report.ok
    assert [finding.piece for finding in report.findings] == ["softmax", "cross_entropy"]
    assert not check(softmax=lambda X: torch.softmax(X, 0)).ok


def softmax_with(wrong):
    return check(softmax=lambda X: wrong(X))


def cross_entropy_with(wrong):
    return check(cross_entropy=lambda y_hat, y: wrong(y_hat.softmax(1), y_hat.log_softmax(1), y, y_hat))


def gradients_with(wrong):
    def gradients(W, b, X, y):
        p = (X @ W + b).softmax(1)
        D = wrong(p, mistakes.hot(p, y)) / len(X)
        return X.T @ D, D.sum(0)

    return check(gradients=gradients)


def accuracy_with(wrong):
    return check(accuracy=lambda y_hat, y: wrong((y_hat.argmax(1) == y).double(), y_hat, y).mean())


@pytest.mark.parametrize(
    ("say", "wrong", "check_with"),
    [
        pytest.param(say, wrong, check_with, id=f"{check_with.__name__}-{i}")
        for table, check_with in (
            (mistakes.SOFTMAX, softmax_with),
            (mistakes.LOSS, cross_entropy_with),
            (mistakes.GRADIENTS, gradients_with),
            (mistakes.ACCURACY, accuracy_with),
        )
        for i, (say, wrong) in enumerate(table.items())
    ],
)
def test_a_known_mistake_is_called_by_its_sentence(say, wrong, check_with):
    found = [finding.message for finding in check_with(wrong).findings if finding.sign == "✗"]
    assert len(found) == 1
    assert say in found[0]


def test_names_and_first_label_can_be_said(tmp_path):
    other = BOOK.replace("def softmax", "def normalise").replace("softmax(scores)", "normalise(scores)")
    other = other.replace("powers", "exps").replace("exps.sum(dim=1", "exps.sum(dim=0")
    path = tmp_path / "mine.py"
    path.write_text(other)
    assert [finding.piece for finding in wrong(check(path))] == ["net"]
    assert [finding.piece for finding in wrong(check(path, names={"softmax": "normalise"}))] == ["normalise"]
    path.write_text(other + '\nCHECK = {"names": {"softmax": "normalise"}}\n')
    assert [finding.piece for finding in wrong(check(path))] == ["normalise"]

    from_one = "import numpy as np\n\n\ndef one_hot(y):\n    return np.eye(10)[y - 1]\n"
    path.write_text(from_one)
    assert not check(path).ok
    assert check(path, first_label=1).ok


def test_what_a_file_does_when_it_is_imported_is_contained(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = "import os, sys, random, numpy, torch\n" + BOOK
    start += "print('loud', file=sys.stderr)\nprint('loud')\ntorch.manual_seed(0)\nnumpy.random.seed(0)\n"
    start += "torch.set_num_threads(3)\nos.chdir('/')\nsys.argv.append('x')\ntorch.set_grad_enabled(False)\n"
    start += "net(torch.rand(2, 784))\nif __name__ == '__main__':\n    raise ValueError\nsys.exit(3)\n"
    Path("mine.py").write_text(start)
    state, threads, arguments = torch.get_rng_state(), torch.get_num_threads(), sys.argv[:]
    assert check("mine.py").findings
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), sys.argv, Path.cwd()) == (threads, arguments, tmp_path)
    assert torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "cannot read mine.py: No such file or directory"),
        ("x = 1\ny = 1 / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "mine.py:1: SyntaxError"),
        ("import no_such_module\n", "mine.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\n", "nothing to check was found in mine.py; the names looked for are softmax, one_hot, net"),
        ("def softmax(a, b, c): pass\n", "nothing could be checked in mine.py"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, source, message):
    monkeypatch.chdir(tmp_path)
    if source is not None:
        Path("mine.py").write_text(source)
    assert main(["mine.py"]) == 2
    assert message in capsys.readouterr().err


def test_a_piece_that_raises_is_marked_and_the_rest_goes_on(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        BOOK.replace("return -torch.log(", "return -undefined(").replace("y_hat.argmax(dim=1)", "y_hat.argmax(1)")
    )
    assert main([str(path)]) == 1
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "cross_entropy ✗ it raises NameError: name 'undefined' is not defined (mine.py:22)" in text
    assert "evaluate_accuracy ✓" in text


def test_statuses_and_help():
    here = Path(__file__).resolve().parents[2]
    code = "import sys; sys.argv = ['check.py', '--help']\ntry: import check; from d2l_softmax.commands.check import main; main()\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules"
    assert (
        "CHECK = "
        in subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True).stdout
    )
    assert main([str(CASES / "case-20.py")]) == 0
    assert main([str(CASES / "case-24.py")]) == 1
    with pytest.raises(UserError):
        check({})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"softmax": 3}, "softmax: 3 is no function"),
        ({"softmax": torch.softmax}, "is no function or object of your own"),
        ({"softmx": np.exp}, "there is no piece softmx; there are softmax, "),
        ({"namespace": np.exp}, "check takes globals()"),
        ({"namespace": {}, "names": {"softmx": "f"}}, "there is no piece softmx"),
        ({"namespace": {}, "names": {"softmax": "f"}}, "names: f, which is to be softmax, is no function"),
        ({"namespace": {"CHECK": {"name": 1}}}, "there is no setting name; there are names, "),
        ({"namespace": {"CHECK": True}}, "CHECK is to be a dictionary"),
        ({"namespace": {}, "names": "f"}, "names: 'f' is no dictionary"),
        ({"namespace": {}, "first_label": "1"}, "first_label: '1' is no whole number"),
    ],
)
def test_what_there_is_not_is_refused(given, says):
    with pytest.raises(UserError, match=re.escape(says)):
        check(**given)


def test_what_to_change_is_said_in_terms_of_numpy(tmp_path):
    path = tmp_path / "mine.py"
    softmax = "def softmax(z):\n    e = np.exp(z - z.max(axis=0))\n    return e / e.sum(axis=1, keepdims=True)\n"
    path.write_text("import numpy as np\n\n\n" + softmax)
    (found,) = wrong(check(path))
    assert "X.max(axis=1, keepdims=True)" in found.message


def test_a_wrong_logarithm_is_no_constant_inside_it():
    (found,) = wrong(check(cross_entropy=lambda y_hat, y: -torch.log10(y_hat[range(len(y)), y])))
    assert "to base 10" in found.message


def test_a_difference_without_an_explanation_needs_an_epoch_that_is_wrong():
    def gradients(W, b, X, y):
        p = torch.softmax(X @ W + b, dim=1)
        p[:, 3] -= 0.1
        return X.T @ p, p.sum(dim=0)

    assert [finding.sign for finding in check(gradients=gradients).findings] == ["·"]


def test_answers_for_the_classes_are_called_so(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BOOK.replace("y_hat.argmax(dim=1)", "y_hat.argmax(dim=0)"))
    (found,) = wrong(check(path))
    assert (found.piece, "take argmax with dim=1" in found.message) == ("accuracy", True)
