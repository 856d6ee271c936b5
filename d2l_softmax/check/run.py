"""Run every probe on what a learner has written, and gather what they find."""

import inspect
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d2l_softmax.check.learner import Learner, Unjudged, Unknown, quiet, run_file
from d2l_softmax.check.mistakes import advice
from d2l_softmax.check.names import PIECES, plain
from d2l_softmax.check.report import Finding, Report
from d2l_softmax.check.steps import PROBES
from d2l_softmax.check.trial import Trial, Wrong
from d2l_softmax.errors import UserError

# What raises an exception that is accounted for is wrong.
ADVISED = ("softmax", "sgd", "accuracy", "evaluate_accuracy", "train_epoch")
# What no other piece is made of.
ENDS = ("data_iter", "init_params", "evaluate_accuracy")
# What gets the images of a data loader, whose pixels may be from 0 to 255.
LOOPS = ("evaluate_accuracy", "train_epoch")
# How NumPy says what the tables say for PyTorch.
NUMPY = {"keepdim=True).values": "keepdims=True)", "keepdim=True": "keepdims=True", "dim=1": "axis=1"}
# Conventions that hold for all pieces, tried in turn: the roles of which there is a column for each image, what the
# data loader has, the row of a bias in W. Behind each, what has not been judged before if it is to be tried.
CONVENTIONS: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    ({}, ()),
    ({"columns": ("X", "out", "y")}, ("evaluate_accuracy", "train_epoch")),
    ({"columns": ("X", "out", "y"), "loader": "rows"}, ()),
    ({"columns": ("out", "y"), "loader": "rows"}, ()),
    ({"bias": "first"}, ()),
)


def examine(namespace: dict[str, Any] | str | None, pieces: dict[str, Any], told: dict[str, Any]) -> Report:
    """See `check`."""
    path = str(namespace) if isinstance(namespace, str | Path) else None
    if path is not None:
        with quiet():
            # What is drawn without a seed must not make one run of this differ from the next.
            random.seed(0), np.random.seed(0), torch.manual_seed(0)
            namespace = run_file(path)
    elif namespace is None:
        # The names that the pieces' own functions see.
        namespace = next((f.__globals__ for f in pieces.values() if hasattr(f, "__globals__")), {})
    if not isinstance(namespace, dict):
        raise UserError("check takes globals(), the path of a file, or pieces by name, as in check(softmax=f)")
    settings = namespace.get("CHECK", {})
    if not isinstance(settings, dict):
        raise UserError("CHECK is to be a dictionary of names, penalty and first_label")
    told = settings | told
    refuse(pieces, told)
    learner = Learner(namespace, path, told, pieces)
    for piece, name in told.get("names", {}).items():
        if learner.called.get(piece) != name:
            raise UserError(
                f"names: {name}, which is to be {piece}, is no function or object of {path or 'these names'}"
            )
    if not learner.pieces:
        raise UserError(
            f"nothing to check was found in {path or 'these names'}; the names looked for are {', '.join(PIECES)} "
            'and the like. For others, write the names into the file: CHECK = {"names": {"softmax": "normalise"}}'
        )
    reports, told, judged = [], dict(learner.facts), set()
    for conventions, unless in CONVENTIONS:
        if judged.isdisjoint(unless) and ("bias" not in conventions or learner.folded):
            learner.facts = told | conventions
            reports.append(findings_of(learner))
            judged |= learner.facts["judged"]
            # That an epoch parts from PyTorch's for an unknown reason is no sign of columns.
            epoch_alone = set() if "columns" in conventions else {"train_epoch"}
            if not learner.facts["uncalled"] | learner.facts["unknown"] - epoch_alone:
                break
    # The one under which most is right or explained, and least cannot be called.
    _, findings = max(reports, key=lambda report: report[0])
    style = {"net", "loss", "softmax", "accuracy", "evaluate_accuracy", "train_epoch"}
    style -= {"softmax"} if isinstance(learner.pieces.get("net"), torch.nn.Module) else set()
    missing = [] if pieces else sorted(style - set(learner.pieces))
    title = f"{Path(path).name if path else 'These pieces'}, compared with PyTorch"
    return Report(title, findings, missing)


def refuse(pieces: dict[str, Any], told: dict[str, Any]) -> None:
    """Raise `UserError` for pieces and settings that there are none of."""
    kinds = {"names": (dict, "dictionary"), "penalty": (int | float, "number"), "first_label": (int, "whole number")}
    for key, value in told.items():
        if key not in kinds:
            raise UserError(f"there is no setting {key}; there are {', '.join(kinds)}")
        if not isinstance(value, kinds[key][0]):
            raise UserError(f"{key}: {value!r} is no {kinds[key][1]}")
    names = told.get("names", {})
    usual = {name for some in PIECES.values() for name in some} | {*names.values()}
    unknown = [key for key in names if key not in PIECES]
    unknown += [key for key in pieces if not {key, plain(key)} & usual]
    if unknown:
        raise UserError(f"there is no piece {unknown[0]}; there are {', '.join(PIECES)}")
    for key, value in pieces.items():
        if inspect.isbuiltin(value) or not (callable(value) or hasattr(value, "forward") or hasattr(value, "step")):
            raise UserError(f"{key}: {value!r} is no function or object of your own")


def findings_of(learner: Learner) -> tuple[int, list[Finding]]:
    """How much one set of conventions explains, and what the probes find.

    In `facts` are then what was `judged`, what is wrong for an `unknown` reason or `alone`, and what was `uncalled`.
    """
    found: list[tuple[str, Finding]] = []
    learner.facts |= {"unknown": set(), "alone": set(), "uncalled": set()}
    pieces, called = dict(learner.pieces), dict(learner.called)
    probes = [(None, *row) for row in PROBES]
    probes += [(version, *row) for version in learner.versions for row in PROBES if row[1] == (version[0],)]
    for version, name, needs, probe in probes:
        if version is not None:
            piece, learner.called[piece], learner.pieces[piece] = version
        if all(n in learner.pieces for n in needs):
            shown = " + ".join(learner.called.get(n, n) for n in needs) if needs and name != "backward" else name
            if (finding := attempt(learner, name, shown, needs, probe)) is not None:
                found.append((name, finding))
    unknown, worth, findings, bad = learner.facts["unknown"], 0, [], ""
    if unknown and learner.facts.get("of_one"):
        unknown |= {name for name, _ in found}  # perhaps all pieces take one image
    # Where no epoch shows how the pieces are called, what differs for an unknown reason may have been called wrongly.
    used = "train_epoch" in learner.pieces and "train_epoch" not in learner.facts["uncalled"] & unknown
    learner.facts["judged"] = {name for name, finding in found if finding.sign != "·" and name not in unknown}
    for name, finding in found:
        if name in learner.facts["uncalled"] and finding.sign == "·":
            worth -= 2
        elif finding.sign != "·":
            worth += 2 if finding.sign == "✓" else -1 if name in unknown else 1
        if finding.sign == "✗" and bad:
            # The first cause is the one to put right; what follows may come from it.
            finding = Finding(finding.piece, "·", f"not judged: put {bad} right first")
        elif finding.sign == "✗" and proven(learner, name):
            finding = Finding(finding.piece, "·", "not judged alone, but what calls it is right")
        elif finding.sign == "✗" and name in unknown - {*ENDS, "predict", "accuracy"} and not used:
            finding = Finding(finding.piece, "·", f"not judged: {finding.message}", finding.line)
        elif finding.sign == "✗" and name not in ENDS and learner.facts.get("overflow") != name:
            bad = finding.piece
        findings.append(finding)
    learner.pieces, learner.called = pieces, called
    return worth, findings


def proven(learner: Learner, name: str) -> bool:
    """Whether the learner's own epoch is right and has run the piece, so that only this call of it is wrong."""
    facts = learner.facts
    steps = {"net", "gradients", "backward", "sgd", "updater"} | ({"loss"} if learner.autograd else set())
    excused = {"softmax", "net + loss"} | (steps & facts["alone"])
    if name not in excused or facts.get("overflow") == name or not facts.get("own_epoch"):
        return False
    piece = learner.pieces.get({"net + loss": "loss", "backward": "loss"}.get(name, name))
    f = getattr(piece, "forward", None) or getattr(piece, "step", piece)
    lines = {line for *_, line in f.__code__.co_lines()} if hasattr(f, "__code__") else set()
    return bool(lines & facts["own_epoch"])


def attempt(learner: Learner, name: str, shown: str, needs: tuple[str, ...], probe: Any) -> Finding | None:
    """Run one probe."""
    piece = needs[-1] if needs else name
    try:
        with learner.sandbox() as box:
            note = probe(Trial(learner, box))
    except Unjudged as unjudged:
        return Finding(shown, "·", f"not judged: {unjudged}")
    except Unknown as unknown:
        learner.facts["uncalled"].add(name)
        return Finding(shown, "·", f"not checked: {unknown}")
    except Wrong as wrong:
        if name in LOOPS and not wrong.known and "pixels" not in learner.facts:
            # It may be the loop that scales them.
            learner.facts["pixels"] = (1 / 255, 0.0)
            if (finding := attempt(learner, name, shown, needs, probe)).sign == "✓":
                return finding
            del learner.facts["pixels"]
            learner.facts["uncalled"].discard(name)
        says = str(wrong)
        for of_torch, of_numpy in NUMPY.items() if learner.numpy else ():
            says = says.replace(of_torch, of_numpy)
        for fact, holds in {"unknown": not wrong.known, "alone": wrong.alone}.items():
            learner.facts[fact] |= {name} if holds else set()
        # The piece of that name, where it is another's mistake.
        of, _, method = wrong.name.partition(".")
        owner = next((p for p, called in learner.called.items() if called == of), piece if needs else wrong.name)
        if len(needs) > 1 and not wrong.name:
            owner = needs[0]
        return Finding(wrong.name or shown, "✗", f"{says}.", learner.line(owner or name, wrong.pattern, method))
    except Exception as error:
        learner.facts["uncalled"].add(name)
        return raised(learner, name, shown, error)
    return None if note is None else Finding(shown, "✓", note)


def raised(learner: Learner, name: str, shown: str, error: Exception) -> Finding:
    """What an exception says: that a piece is wrong, or that it is not known how to call it."""
    line, say = learner.raised_at(error), f"{type(error).__name__}: {error}".split("\n")[0].rstrip(".")
    change = advice(say)
    sure = isinstance(error, NameError | ZeroDivisionError | NotImplementedError) or (name in ADVISED and change)
    if line and sure:
        return Finding(shown, "✗", f"it raises {say}. {change}".removesuffix(". "), line)
    learner.facts["unknown"].add(name)
    return Finding(shown, "·", f"not checked: as it was called here, it raises {say}", line or "")
