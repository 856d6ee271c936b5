"""The learner's epoch and evaluation on three small batches: what each step did, and what is returned."""

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from d2l_softmax.check import mistakes
from d2l_softmax.check.learner import Unjudged, Unknown, arrays, bind
from d2l_softmax.check.mistakes import at
from d2l_softmax.check.names import ROLES
from d2l_softmax.check.trial import LR, Trial, Wrong, close, explain, first, near, parts, roles, write

# Names of what makes steps other than those of gradient descent, and of a penalty.
OTHER = re.compile(r"(?i)clip|momentum|veloc|^(mu|v|vw|vb|v_w|v_b|beta\d?)$|sched|nesterov|(^|_)ema|averag|warm")
PENALTY = re.compile(r"(?i)decay|(^|_)reg(?!ist)|regular|lamb|lmb|^lam$|(^|_)l2|penal|^wd$")


class Run(NamedTuple):
    """What an epoch did: the weights before each batch and at the end, the steps, the result, the net's modes.

    A step is the gradient that a `torch.optim.Optimizer` used, or else what was subtracted from the weights, over lr.
    """

    weights: list[list[Tensor]]
    steps: list[list[Tensor]]
    result: Any
    training: list[bool]


class Batches:
    """A data loader of batches of 4, 4 and 2 images, or of `facts["sizes"]`, that calls `seen` before each.

    `data` are the batches as the learner gets them, `raw` as (images (n, features), labels, images for the net).
    """

    def __init__(self, t: Trial, seen: Callable[[], None] = lambda: None):
        X, y, sizes = next(t.ways(10, False)).values["X"], t.labels(10), sizes_of(t)
        cuts = [slice(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(len(sizes))]
        role = "" if t.facts.get("loader") == "rows" else "X"
        self.data = [(t.give(X[cut], role), t.give(y[cut])) for cut in cuts]
        self.raw = [(t.X[cut], y[cut], X[cut]) for cut in cuts]
        self.seen, self.dataset, self.batch_size = seen, range(10), sizes[0]
        # What the file or an object names as the batch size and the number of epochs is that of these batches.
        owners = [getattr(t.box.get(piece), "__self__", None) for piece in ("train_epoch", "evaluate_accuracy")]
        for held in [t.learner.ns, *(getattr(owner, "__dict__", {}) for owner in owners)]:
            for role, number in {"n": sizes[0], "epochs": 1}.items():
                held |= {name: number for name, v in held.items() if name.lower() in ROLES[role] and type(v) is int}

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for k, (X, y) in enumerate(self.data):
            self.seen()
            torch.manual_seed(k)  # the same dropout in both runs
            yield (X.clone(), y.clone()) if torch.is_tensor(X) else (X.copy(), y.copy())

    def __len__(self) -> int:
        return len(self.data)


def sizes_of(t: Trial) -> list[int]:
    """The numbers of images in the batches."""
    return t.facts.get("sizes", [4, 4, 2])


def is_random(module: torch.nn.Module | None) -> bool:
    """Whether a network does something else while training than while evaluating."""
    return module is not None and any(re.search("Dropout|Norm", type(m).__name__) for m in module.modules())


def log_p(t: Trial, out: Tensor) -> Tensor:
    """The logarithms of the probabilities, (batch, classes), of what the learner's net returns."""
    return out.log() if t.facts.get("net") == "probabilities" else out.log_softmax(1)


def output(value: Any) -> Any:
    """What a net returns, or the first of several things."""
    return value[0] if isinstance(value, tuple | list) else value


def step(t: Trial, n: int) -> None:
    """Let the learner's updater, which may want the number of images, take a step."""
    f = getattr(t.box["updater"], "step", t.box["updater"])
    with torch.no_grad():  # a loop may be what forbids it, not the updater
        made = f(**bind(f, {"n": n, **passed(t), "params": t.mine}, "n"))
    if hasattr(made, "step"):
        raise Unknown("it makes an optimizer")


def passed(t: Trial) -> dict[str, Any]:
    """The learner's net, loss and updater as arguments; for a method, its object where that is what loops use."""
    values = {k: t.box[k] for k in ("net", "loss", "updater", "softmax") if k in t.box}
    loops = [t.box.get(piece) for piece in ("train_epoch", "evaluate_accuracy", "accuracy")]
    used = {name for f in loops if hasattr(f, "__code__") for name in f.__code__.co_names}
    for key in ("net", "updater"):
        owner = getattr(values.get(key), "__self__", None)
        if (key == "net" and callable(owner)) or used & vars(type(owner)).keys():
            values[key] = owner
    return values | ({"layers": [values["net"]]} if "net" in values else {})


def supplies(t: Trial, lr: float) -> dict[str, Any]:
    """The learner's net, loss and updater, or plain ones where the file makes them elsewhere, in a main(), say."""
    values = passed(t)
    needed = [p.name for p in inspect.signature(t.box["train_epoch"]).parameters.values() if p.default is p.empty]
    if "sgd" in t.box and t.autograd and ROLES["updater"] & {*needed}:
        order = "params grads lr n W b"
        values.setdefault("updater", lambda n: t.call("sgd", order, params=t.mine, n=n, lr=lr))
    if t.module is not None:
        values.setdefault("updater", torch.optim.SGD(t.module.parameters(), LR))
        if t.facts.get("net") == "logits":
            values.setdefault("loss", torch.nn.CrossEntropyLoss())
    return values


def run(t: Trial, lr: float = LR, own_loss: bool = True) -> Run:
    """Run the learner's epoch, with its own loss, or else with a right one."""
    t.set_weights()
    if not own_loss:
        row = lambda a: a.T if t.turned else a  # noqa: E731
        index = lambda y: row(y).argmax(1) if y.ndim > 1 else y  # noqa: E731
        t.learner.put(t.box, "loss", lambda out, y: -at(log_p(t, row(out)), index(y)).mean())
    wanted, sizes = roles(t.box["train_epoch"]), sizes_of(t)
    W, b = (t.give(next(t.ways(1, False)).values[k].clone()) for k in "Wb")
    takes_packed = "params" in wanted and not t.mine
    given = t.module is None and ("W" in wanted or takes_packed)
    # A W with a row for the bias comes alone.
    packed, held = t.container(), [W, b][: len(t.mine) or (1 if len(W) == t.features + 1 else 2)]
    if takes_packed:
        packed, held = t.packed(W, b)
    held = held if given else None
    if not held and not t.mine:
        raise Unknown("its W and b were not found")
    for p in held if held and t.autograd else ():
        p.requires_grad_()
    weights, used, training = [], {}, []
    packs = bool(held) and "params" in wanted  # a step may put new arrays into a dictionary
    live = lambda: [a for _, a in arrays(packed)] if packs else held or t.own_weights()  # noqa: E731

    def after_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
        grads = [first(0 * p if p.grad is None or id(p) not in moved else p.grad) for p in live()]
        used.setdefault(len(weights) - 1, []).append(grads)

    values = {"data": Batches(t, lambda: weights.append([first(p) for p in live()])), "test": Batches(t)}
    values |= {"n": sizes[0], "W": W, "b": b, "params": packed}
    values |= {"X": next(t.ways(10)).values["X"], "y": t.labels(10)} if len(sizes) == 1 else {}
    values |= supplies(t, lr)
    if t.module is not None:
        t.module.train()
        if is_random(t.module) and "evaluate_accuracy" in t.box:
            with contextlib.suppress(Exception):
                t.call("evaluate_accuracy", "net data", **values | {"data": Batches(t)})
        t.module.register_forward_pre_hook(lambda module, _: training.append(module.training))
    start = [first(p) for p in live()]
    hook = register_optimizer_step_post_hook(after_step)
    try:
        with t.learner.watched():
            result = t.call("train_epoch", "net data loss updater", **values)
            result = list(result) if inspect.isgenerator(result) else result
    finally:
        hook.remove()
    weights = weights[: len(sizes)] or [start]
    weights += [[first(p) for p in live()]] * (len(sizes) + 1 - len(weights))
    returned = [p for p in parts(result) if p.ndim and any(p.shape == w.shape for w in start)]
    if (held or "params" in wanted) and returned and all(map(torch.equal, start, weights[-1])):
        # It returns new weights. Those before a batch are what it returns for the batches up to there.
        weights = [start]
        for k in range(1, len(sizes)):
            with t.learner.sandbox() as box:
                t.facts["sizes"] = sizes[:k]
                weights.append(run(Trial(t.learner, box), lr, own_loss).weights[-1])
        t.facts["sizes"] = sizes
        weights.append(returned[: len(start)])
    steps = [[(p - q) / lr for p, q in zip(a, b, strict=True)] for a, b in itertools.pairwise(weights)]
    if used:
        zero = [[torch.zeros_like(p) for p in start]]
        steps = [[sum(grads) for grads in zip(*used.get(k, zero), strict=True)] for k in range(len(sizes))]
    return Run(weights, steps, result, training)


def forward(t: Trial, weights: list[Tensor], k: int, train: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """log p of batch k with some weights, its labels, and the leaves that the gradient is taken by."""
    with t.learner.sandbox() as box:
        inner = Trial(t.learner, box)
        batches = Batches(inner)
        X, y, shown = batches.raw[k]
        if train and is_random(inner.module):
            for a, value in zip(inner.mine, weights, strict=False):
                write(a, value)
            inner.module.train()
            torch.manual_seed(k)
            out = inner.turn(output(inner.call("net", "X", X=shown)), len(y))
            return log_p(t, out).cpu().double(), y, inner.mine
    W, *b = leaves = [w.clone().requires_grad_() for w in weights]
    if W.shape == (t.features + 1, t.classes):
        ones = X.new_ones(len(X), 1)
        X = torch.cat([X, ones] if t.bias_last else [ones, X], 1)
        return (X @ W).log_softmax(1), y, leaves
    Z = X @ (W if W.shape == t.W.shape else W.T) + sum(p.reshape(-1) for p in b)
    return Z.log_softmax(1), y, leaves


def gradient(t: Trial, weights: list[Tensor], k: int) -> list[Tensor]:
    """The gradient of the mean loss of batch k at some weights."""
    lp, y, leaves = forward(t, weights, k, train=True)
    return [first(g) for g in torch.autograd.grad(-at(lp, y).mean(), leaves)]


def epoch(t: Trial) -> str:
    """Every step of train_epoch is lr times the gradient of its batch's mean loss, and what it returns is right."""
    wanted = roles(t.box["train_epoch"])
    lr = LR if "lr" in wanted else t.facts.get("lr") or file_lr(t)
    if t.learner.draws:
        raise Unjudged("it draws its weights anew")
    if "data" not in wanted and {"X", "y"} <= wanted:
        t.facts["sizes"] = [10]  # it makes its own batches, perhaps shuffled
    try:
        done, decay = own_steps(t, lr)
        # Where nothing else than X W + b would be right, the lines that ran are right.
        t.facts["own_epoch"] = set() if is_random(t.module) else t.learner.lines_run
    except Exception:
        # A loss that gets something else than it takes, or that could not be judged, is not the epoch's fault.
        if t.objects or not (t.facts.get("passes") or ("loss" in t.box and "loss" not in t.facts and t.autograd)):
            raise
        done, decay = own_steps(t, lr, own_loss=False)
    if sizes_of(t) == [4, 4, 2] and not is_random(t.module):
        returns(t, done.weights, done.result, decay / 2)
    return f"adds a penalty of {decay / 2:.3g} × sum of W²" if decay > 1e-6 and t.autograd else ""


def own_steps(t: Trial, lr: float, own_loss: bool = True) -> tuple[Run, float]:
    """Run the learner's epoch, and return what it did and its weight decay; raise `Wrong` where a step is wrong."""
    with t.learner.sandbox() as box:
        done = run(Trial(t.learner, box), lr, own_loss)
    if not all(done.training):
        raise Wrong(
            "the net is in eval mode while it trains, so that dropout is off: call net.train() before the loop, as "
            "evaluate_accuracy may leave it in eval mode",
            r"eval\(",
        )
    return done, judge_steps(t, done, lr)


def judge_steps(t: Trial, done: Run, lr: float) -> float:
    """Raise `Wrong` where a step is not lr × the gradient of its batch's mean loss; return the weight decay.

    A step of W, and one of b, is explained as a sum of gradients, those of earlier batches, too, and of itself.
    """
    flat = lambda held: [p.flatten() for p in held]  # noqa: E731
    parts_at = lambda k, i: parted(k, i, flat(done.steps[k])[i] - grads[k][i], lr)  # noqa: E731
    grads, factors, kept, decay, sizes = [], [], [], 0.0, sizes_of(t)
    for k, step in enumerate(map(flat, done.steps)):
        grads.append(flat(gradient(t, done.weights[k], k)))
        for i, (moved, own) in enumerate(zip(step, flat(done.weights[k]), strict=True)):
            c, off = explain(moved, [*(g[i] for g in grads), own], 1e-6 / lr)
            shown = parts_at(k, i)
            if i and off > 1:
                late = gradient(t, [done.weights[k + 1][0], *done.weights[k][1:]], k)
                if explain(moved, [flat(late)[i]])[1] < 1:
                    how = "its gradient is taken after W was changed. Compute both first"
                    unexplained(t, k, shown, how, r"\bb\b.*=")
            if off > 1:
                unexplained(t, k, shown)
            if i and not near(c[k], factors[k], 1e-2):
                shown = parts_at(k, int(near(factors[k], 1)))
                of_b = f"b by {c[k]:.3g} × lr × its own" if abs(c[k]) > 1e-3 else "b does not move"
                unexplained(t, k, shown, f"W moves by {factors[k]:.3g} × lr × its gradient, but {of_b}")
            kept += [(a / c[k], shown, i) for a in c[:k] if abs(a) > 0.02 * max(map(abs, c[: k + 1]))]
            if i == 0:
                factors.append(c[k])
                decay = c[-1]
                shares = [n / sum(sizes) for n in sizes]
                if k and not any(factors[:k]) and all(map(near, c[:-1], shares)) and len(grads) == len(sizes):
                    return decay  # one step for all batches, whose gradients are accumulated
    # Momentum adds less of a gradient the older it is. An optimizer of PyTorch does so after what is seen here.
    momentum = t.facts.get("zeroes", True) and not isinstance(t.box.get("updater"), torch.optim.Optimizer)
    if kept and not (momentum and all(0 < ratio < 0.999 for ratio, *_ in kept)):
        if t.objects and {i for *_, i in kept} == {1}:
            say = "the gradients of b of earlier batches are added, those of W are not: set both in backward"
            raise Wrong(f"{kept[0][1]}: {say}", "def backward", f"{t.learner.called['net']}.backward")
        blame(t, kept[0][1], mistakes.EARLIER)
    got = torch.tensor(factors).double()
    if not kept and momentum and len(sizes) > 1 and (piece := piece_with_momentum(t)):
        name = t.learner.called[piece]
        raise Wrong("momentum has no effect: a step has nothing of the steps before it", "mom|vel|mu", name)
    if (kept and got[0] > 0) or close(got, torch.ones_like(got), 5e-3):
        return decay
    if "clip" in " ".join(t.learner.words) and ((got > 0) & (got <= 1)).all():
        return 0.0
    far = next(k for k, f in enumerate(factors) if abs(f - 1) > 5e-3)
    shown = parts_at(far, 0)
    if not got.any() and ("updater" if "updater" in t.box else "sgd") in t.facts["uncalled"]:
        raise Unjudged("nothing is trained, with an updater that is not checked")
    numbers = {c for f in t.learner.functions() for c in f.__code__.co_consts if type(c) is int and c > 4}
    for (say, f), m in itertools.product(mistakes.EPOCH.items(), [sizes[0], *sorted(numbers)]):
        want = torch.tensor([float(f(k, n, m, len(sizes))) for k, n in enumerate(sizes)]).double()
        if close(got, want, 5e-3, 1e-4) and (m == sizes[0] or say == mistakes.SHORT_BATCH):
            blame(t, shown, say)
    return unexplained(t, far, shown)


def piece_with_momentum(t: Trial) -> str | None:
    """The piece that steps with a momentum between 0 and 1, which the file or an object names."""
    for piece in ("updater", "sgd"):
        f = t.box.get(piece)
        used = getattr(getattr(f, "__code__", None), "co_names", ())
        settings = {n: v for n, v in t.learner.ns.items() if n in used} | getattr(f, "__dict__", {})
        if any(isinstance(settings.get(n), float) and 0 < settings[n] < 1 for n in ("momentum", "mu")):
            return piece
    return None


def parted(k: int, i: int, difference: Tensor, lr: float) -> str:
    """Where an epoch parts from PyTorch's: step k, counted from 0, and by which weight."""
    shown = f"equal to PyTorch for {k} step{'s' * (k > 1)}, then" if k else "after the first step"
    return f"{shown} {'Wb'[i]} differs by {float(difference.abs().max()) * lr:.1e}"


def unexplained(
    t: Trial, k: int, shown: str, how: str = "", places: str = r"backward|step|updater|[-+]="
) -> NoReturn:
    """Raise `Wrong`, or `Unknown` where the code names something else that makes steps differ."""
    words = {*t.learner.words, *(n for f in t.learner.functions() for n in f.__code__.co_varnames)}
    if meant := sorted(w for w in words if OTHER.search(w) or (not t.facts.get("penalty") and PENALTY.search(w))):
        raise Unjudged(f"{shown}, which {meant[0]} may be meant to do")
    f, drawn = t.box["train_epoch"], {"choice", "randint", "sample"} & words
    named = {"n"} & roles(f) or ROLES["n"] & vars(getattr(f, "__self__", f)).keys()
    if len(sizes_of(t)) == 1 and (drawn or not named):
        raise Unjudged("it makes its own batches")
    if not how and (uncalled := t.facts["uncalled"] - {"accuracy", "predict", "evaluate_accuracy", "data_iter"}):
        missing = " + ".join(t.learner.called.get(piece, piece) for piece in min(uncalled).split(" + "))
        raise Unjudged(f"{shown}, and {missing} is not checked")
    # A step that computes its own gradients, and of which the first is wrong
    whole = k == 0 and "sgd" in t.box and {"X", "y"} <= roles(t.box["sgd"])
    raise Wrong(
        f"{shown}: {how}" if how else f"{shown}. The pieces are right one by one, so look at how they are called",
        places,
        t.learner.called["sgd"] if whole else "",
        known=bool(how),
    )


def blame(t: Trial, shown: str, say: str) -> NoReturn:
    """Raise `Wrong` for the piece, or the pair of pieces, whose mistake explains an epoch."""
    called, facts, reduction, name = t.learner.called, t.facts, t.facts.get("reduction"), ""
    stepper = next((piece for piece in ("sgd", "updater") if piece in t.box), "")
    step = called.get(stepper, "")
    places = r"(?<![.\w])(updater|sgd|step|update\w*|trainer|opt)\(|-="
    places = r"\.step\(" if hasattr(t.box.get("updater"), "step") else places
    if say == mistakes.ASCENT and facts.get("ascends"):
        name, shown, say = called["gradients"], "dW and db have the wrong signs for a step that subtracts them", ""
    elif say == mistakes.SUM and facts.get("too_large"):
        name, shown, say = called["gradients"], mistakes.TOO_LARGE, ""
    elif say == mistakes.SUM and stepper and facts.get("updater") == "plain" and "n" in roles(t.box[stepper]):
        name, say = step, "it gets batch_size and does not divide by it"
    elif say == mistakes.SUM and stepper and reduction == "their sum":
        name = f"{called['loss']} + {step}"
    elif say == mistakes.TWICE and not t.autograd and {"gradients", "sgd"} <= t.box.keys():
        name = f"{called['gradients']} + {step}"
    elif say == mistakes.TWICE and facts.get("updater") == "divides" and reduction == "their mean":
        name = f"{called['loss']} + {step}"
        say += f": the loss is a mean, and {step} divides again. Divide once, in the loss or in the step"
    elif say == mistakes.TWICE:
        say, places = f"{say}: by a mean, and by the step. Divide once", r"mean\(|/ *len|backward"
    elif say == mistakes.EARLIER and facts.get("zeroes", True):
        places = "zero_grad|backward"
    elif say == mistakes.EARLIER:
        caller = inspect.unwrap(t.box["train_epoch"])
        calls = step in getattr(caller, "__func__", caller).__code__.co_names
        name = f"{step} + {called['train_epoch']}" if calls else step
        say, places = "the gradients of earlier batches are added: set them to 0 after each step", "-=|sub_|step|sgd"
    raise Wrong(f"{shown}: {say}".removesuffix(": "), places, name)


def file_lr(t: Trial) -> float:
    """The learning rate that the updater or the file names."""
    own = getattr(t.box.get("train_epoch"), "__self__", None)
    holders = [getattr(t.box.get("updater"), "__dict__", {}), getattr(own, "__dict__", {}), t.learner.ns]
    named = [v for holder in holders for n, v in holder.items() if n.lower() in ROLES["lr"] and isinstance(v, float)]
    return abs(next(iter(named), LR))


def returns(t: Trial, weights: list[list[Tensor]], result: Any, penalty: float) -> None:
    """The returned loss, with or without a penalty, and accuracy are averages over the images, and numbers."""
    raw = result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    if any(torch.is_tensor(value) and value.requires_grad for value in raw):
        raise Wrong(
            "the loss that it returns still holds the graph of every batch, so that memory grows with each one: add "
            "loss.item(), or loss.detach()",
            r"\+=|append",
        )
    penalties = dict.fromkeys([t.facts.get("penalty", 0.0), penalty, 0.0])
    compare_averages(
        t,
        parts(result),
        [[measure(t, weights[k + late], k, c) for k in range(3)] for c in penalties for late in (0, 1)],
    )


def measure(t: Trial, weights: list[Tensor], k: int, penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    """The losses, and 1 for each right answer, of the images of a batch, with some weights."""
    lp, y, _ = forward(t, weights, k, train=False)
    return penalty * weights[0].square().sum() - at(lp.detach(), y), (lp.argmax(1) == y).double()


def compare_averages(t: Trial, got: list[Tensor], measured: list, must: bool = False) -> str:
    """Hold every returned number against the loss and the accuracy over all images, and against known mistakes.

    Args:
        got: what was returned.
        measured: the losses and right answers of each batch, as `measure` returns them, in every way that is fine.
        must: whether one of the numbers must be the accuracy. If not, all of one or two must be known.
    """
    good: dict[str, list[Tensor]] = {"a count": [], "a fraction": [], "a percentage": [], "": [torch.tensor(10.0)]}
    for batches in measured:
        losses, hits = (torch.cat(column) for column in zip(*batches, strict=True))
        good[""] += [losses.mean(), losses.sum()]
        for name, value in zip(good, (hits.sum(), hits.mean(), 100 * hits.mean()), strict=False):
            good[name].append(value)
    numbers = [v.reshape(()) for v in got if v.numel() == 1]
    kinds = [next((n for n, rights in good.items() if any(close(v, r, 2e-4) for r in rights)), None) for v in numbers]
    losses, hits = ([batch[i] for batch in measured[0]] for i in (0, 1))
    unknown = [v for v, kind in zip(numbers, kinds, strict=True) if kind is None]
    tries = [("accuracy", hits, good["a fraction"][0], 1), ("accuracy", hits, good["a percentage"][0], 100)]
    strange = "loss" in t.box and "loss" not in t.facts
    tries += [] if strange else [("loss", losses, good[""][1], 1)]
    for v, (what, batches, right, times), (say, wrong) in itertools.product(unknown, tries, mistakes.RETURNS.items()):
        if close(v, times * torch.as_tensor(wrong(batches)), 2e-4) and not (what == "loss" and "wrong" in say):
            add = "right answers" if what == "accuracy" else "the losses of all images, mean × len(y)"
            raise Wrong(
                f"its {what} is {float(v):.4f} instead of {float(right):.4f} on batches of 4, 4 and 2 images: {say}. "
                f"Add up {add}, and len(y), and divide once",
                r"\+=|append|return|mean|/",
            )
    if (must and not any(kinds)) or (not must and not strange and unknown and len(numbers) < 3):
        shown = ", ".join(f"{float(v):.4f}" for v in unknown) or "no number"
        right = float(good["a fraction"][0])
        say = f"on batches of 4, 4 and 2 images it returns {shown}; the accuracy is {right:.4f}"
        by = float(torch.cat(hits).sum() / unknown[0]) if must and unknown and unknown[0] else 0.5
        if abs(by - round(by)) < 1e-3 * by:
            say += f": right answers are divided by {by:.0f}, not by the 10 images. Add up len(y)"
            raise Wrong(say, "return|/")
        say += f", the loss {float(good[''][1]):.4f}" if not must else ""
        raise Wrong(say, "return", known=False)
    return next((kind for kind in kinds if kind), "")
