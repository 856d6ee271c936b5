"""Run every probe on what a learner has written, and gather what they find."""

import inspect
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d2l_softmax.check.epoch import run
from d2l_softmax.check.learner import Learner, Unknown, quiet, run_file
from d2l_softmax.check.mistakes import RAISES
from d2l_softmax.check.names import PIECES
from d2l_softmax.check.report import Finding, Report
from d2l_softmax.check.steps import PROBES
from d2l_softmax.check.trial import Trial, Wrong
from d2l_softmax.errors import UserError

# What raises an exception that is accounted for is wrong.
ADVISED = ("softmax", "sgd", "accuracy", "evaluate_accuracy", "train_epoch")
# What everyone calls alike, if it has one argument.
CALLED_ALIKE = ("softmax", "one_hot")
# What no other piece is made of.
ENDS = ("data_iter", "init_params", "predict", "evaluate_accuracy")
# Conventions that hold for all pieces, tried in turn: the roles of which there is a column for each image, what the
# data loader has, the factor of a penalty that is a parameter, the row of a bias in W, whether pieces take one image.
# Behind each, what has not been right before if it is to be tried.
OF_BATCHES = ("gradients", "evaluate_accuracy", "train_epoch")
CONVENTIONS: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    ({}, ()),
    ({"columns": ("X", "out", "y")}, ("evaluate_accuracy", "train_epoch")),
    ({"columns": ("X", "out", "y"), "loader": "rows"}, ()),
    ({"columns": ("out", "y"), "loader": "rows"}, ()),
    ({"reg": 0.0}, ("loss",)),
    ({"bias": "first"}, ()),
    ({"single": True}, OF_BATCHES),
    ({"single": True, "columns": ("X", "out", "y")}, OF_BATCHES),
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
    learner = Learner(namespace, path, {**namespace.get("CHECK", {}), **told}, pieces)
    if not learner.pieces:
        raise UserError(
            f"nothing to check was found in {path or 'these names'}; the names looked for are {', '.join(PIECES)} "
            "and the like, and `names` says others"
        )
    reports, told, right = [], dict(learner.facts), set()
    for conventions, unless in CONVENTIONS:
        if right.isdisjoint(unless) and ("bias" not in conventions or learner.folded):
            learner.facts = told | conventions
            reports.append(findings_of(learner))
            right |= learner.facts["right"]
            if "strange" not in learner.facts:
                break
    # The one under which most is right or explained, and least cannot be called.
    _, findings = max(reports, key=lambda report: report[0])
    style = {"net", "loss", "softmax", "accuracy", "evaluate_accuracy", "train_epoch"}
    missing = sorted(style - set(learner.pieces))
    title = f"{Path(path).name if path else 'These pieces'}, compared with PyTorch"
    return Report(title, findings, missing)


def findings_of(learner: Learner) -> tuple[int, list[Finding]]:
    """How much one set of conventions explains, and what the probes find; `facts["strange"]`: it may be another."""
    found: list[tuple[str, Finding]] = []
    learner.facts["unknown"] = set()
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
    learner.facts["right"] = {name for name, finding in found if finding.sign == "✓"}
    unknown, worth, findings, bad = learner.facts["unknown"], 0, [], ""
    for name, finding in found:
        worth += 2 * (finding.sign == "✓") + (finding.sign == "✗" and name not in unknown)
        worth -= 2 * finding.message.startswith("not checked")
        if finding.sign == "✗" and bad:
            # The first cause is the one to put right; what follows may come from it.
            finding = Finding(finding.piece, "·", f"not judged: put {bad} right first")
        elif finding.sign == "✗" and name in unknown and proven(learner, name, dict(found)):
            finding = Finding(finding.piece, "·", f"not judged: {finding.message} But train_epoch is right with it")
        elif finding.sign == "✗" and name not in ENDS and learner.facts.get("overflow") != name:
            bad = finding.piece
        findings.append(finding)
    learner.pieces, learner.called = pieces, called
    return worth, findings


def proven(learner: Learner, name: str, found: dict[str, Finding]) -> bool:
    """Whether the learner's own epoch is right and its steps come from the piece."""
    steps_come_from = ("gradients", "loss") if learner.autograd else ("gradients",)
    piece = learner.pieces.get(name) if name in steps_come_from else None
    code = getattr(getattr(piece, "forward", piece), "__code__", None)
    lines = {line for *_, line in code.co_lines()} if code else set()
    return "train_epoch" in found and found["train_epoch"].sign == "✓" and bool(learner.lines_run & lines)


def attempt(learner: Learner, name: str, shown: str, needs: tuple[str, ...], probe: Any) -> Finding | None:
    """Run one probe."""
    piece = needs[-1] if needs else name
    try:
        with learner.sandbox() as box:
            note = probe(Trial(learner, box))
    except Unknown as unknown:
        if str(unknown).startswith("not checked"):
            learner.facts["strange"] = True
        return Finding(shown, "·", str(unknown))
    except Wrong as wrong:
        if not wrong.known:
            learner.facts["unknown"].add(name)
            if name != "train_epoch" or "columns" in learner.facts:
                learner.facts["strange"] = True
        # The piece of that name, where it is another's mistake.
        owner = next(
            (p for p, called in learner.called.items() if called == wrong.name), piece if needs else wrong.name
        )
        if len(needs) > 1 and not wrong.name:
            owner = needs[0]
        return Finding(wrong.name or shown, "✗", f"{wrong}.", learner.line(owner or name, wrong.pattern))
    except Exception as error:
        learner.facts["strange"] = True
        learner.facts["unknown"].add(name)
        line, say = learner.raised_at(error), f"{type(error).__name__}: {error}".split("\n")[0]
        advice = next((advice for said, advice in RAISES.items() if re.search(said, say)), "")
        sure = isinstance(error, NameError | ZeroDivisionError) or (name in ADVISED and advice)
        if name in CALLED_ALIKE:
            given = inspect.signature(learner.pieces[name]).parameters.values()
            sure = sure or sum(p.default is p.empty for p in given) == 1
        if not sure and name not in ADVISED and not (piece == "updater" and learner.called[piece] in learner.guessed):
            sure = raises_itself(learner, line)
        if line and "grad_fn" not in say and sure:
            message = f"it raises {say}. {advice}".removesuffix(". ")
            return Finding(getattr(error, "piece", shown), "✗", message, line)
        return Finding(shown, "·", f"not checked: as it was called here, it raises {say}", line or "")
    return None if note is None else Finding(shown, "✓", note)


def raises_itself(learner: Learner, line: str) -> bool:
    """Whether the learner's own epoch, which knows how its pieces are called, raises an exception in this line."""
    try:
        with learner.sandbox() as box:
            run(Trial(learner, box))
    except Exception as error:
        return learner.raised_at(error) == line
    return False
