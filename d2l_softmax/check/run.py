"""Run every probe on what a learner has written, and gather what they find."""

import contextlib
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
from d2l_softmax.check.trial import Trial, Wrong, roles
from d2l_softmax.errors import UserError

# What raises an exception that is accounted for is wrong.
ADVISED = ("sgd", "evaluate_accuracy", "train_epoch")
# What everyone calls alike, if it has one argument.
CALLED_ALIKE = ("softmax", "one_hot")
# What no other piece is made of.
ENDS = ("data_iter", "init_params", "predict", "evaluate_accuracy")


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
    found: list[tuple[str, Finding]] = []
    learner.facts["unknown"] = set()
    probes = [(None, *row) for row in PROBES]
    for version in learner.versions:
        probes += [(version, *row) for row in PROBES if row[1] in [(version[0],), ("gradients",)]]
    for version, name, needs, probe in probes:
        if version is not None:
            piece, learner.called[piece], learner.pieces[piece] = version
        if name == "gradients" and version and version[0] == "loss" and "with_gradients" not in learner.facts:
            continue
        if learner.facts.pop("with_gradients", False) and (version or "gradients" not in learner.pieces):
            learner.pieces["gradients"], learner.called["gradients"] = (
                learner.pieces["loss"],
                f"gradients of {learner.called['loss']}",
            )
        if not all(n in learner.pieces for n in needs):
            continue
        shown = " + ".join(learner.called.get(n, n) for n in needs) if needs and name != "backward" else name
        if (finding := attempt(learner, name, shown, needs, probe)) is not None:
            found.append((name, finding))
    findings, bad = [], ""
    for name, finding in found:
        if finding.sign == "✗" and bad:
            # The first cause is the one to put right; what follows may come from it.
            finding = Finding(finding.piece, "·", f"not judged: put {bad} right first")
        elif finding.sign == "✗" and name in learner.facts["unknown"] and proven(learner, name, dict(found)):
            finding = Finding(finding.piece, "·", f"not judged: {finding.message} But train_epoch is right with it")
        elif finding.sign == "✗" and name not in ENDS and learner.facts.get("overflow") != name:
            bad = finding.piece
        findings.append(finding)
    style = {"net", "loss", "softmax", "accuracy", "evaluate_accuracy", "train_epoch"}
    missing = sorted(style - set(learner.pieces))
    title = f"{Path(path).name if path else 'These pieces'}, compared with PyTorch"
    return Report(title, findings, missing)


def proven(learner: Learner, name: str, found: dict[str, Finding]) -> bool:
    """Whether the learner's own epoch is right and runs the piece."""
    piece = learner.pieces.get(name) if name in ("loss", "gradients") else None
    code = getattr(getattr(piece, "forward", piece), "__code__", None)
    lines = {line for *_, line in code.co_lines()} if code else set()
    return "train_epoch" in found and found["train_epoch"].sign == "✓" and bool(learner.lines_run & lines)


def attempt(learner: Learner, name: str, shown: str, needs: tuple[str, ...], probe: Any) -> Finding | None:
    """Run one probe."""
    piece = needs[-1] if needs else name
    try:
        with learner.sandbox() as box:
            note = probe(Trial(learner, box))
    except (Wrong, Unknown) as wrong:
        if name == "loss" and "reg" not in learner.facts and "reg" in roles(learner.pieces["loss"]):
            # The rest of it can be judged without the penalty that it is told to add.
            with contextlib.suppress(KeyError):
                learner.facts.pop("penalty")
            learner.facts["reg"] = 0.0
            if (again := attempt(learner, name, shown, needs, probe)).sign == "✓":
                return again._replace(message=f"{again.message}; not judged: its penalty")
            del learner.facts["reg"]
        if isinstance(wrong, Unknown):
            return Finding(shown, "·", str(wrong))
        learner.facts["unknown"] |= set() if wrong.known else {name}
        # The piece of that name, where it is another's mistake.
        owner = next(
            (p for p, called in learner.called.items() if called == wrong.name), piece if needs else wrong.name
        )
        if len(needs) > 1 and not wrong.name:
            owner = needs[0]
        return Finding(wrong.name or shown, "✗", f"{wrong}.", learner.line(owner or name, wrong.pattern))
    except Exception as error:
        if (
            piece in ("evaluate_accuracy", "train_epoch")
            and learner.facts.get("columns")
            and not learner.facts.get("rows")
        ):
            # A net may want a column for each image where the data has a row.
            learner.facts["rows"] = True
            return attempt(learner, name, shown, needs, probe)
        line, say = learner.raised_at(error), f"{type(error).__name__}: {error}".split("\n")[0]
        if line and "grad_fn" not in say:
            advice = next((advice for said, advice in RAISES.items() if said in say), "")
            if name == "evaluate_accuracy" and re.search(r"tensor a \(10\).* b \(4\)|shapes \(10,\) \(4,\)", say):
                advice = "Take argmax with dim=1, or axis=1"
            sure = isinstance(error, NameError | ZeroDivisionError)
            if name in CALLED_ALIKE:
                given = inspect.signature(learner.pieces[name]).parameters.values()
                sure = sure or sum(p.default is p.empty for p in given) == 1
            if sure or (advice if name in ADVISED else raises_itself(learner, line)):
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
