"""An epoch of the learner's beside one of PyTorch's: the same weights, batches and pieces, compared at every step."""

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from d2l_softmax.check.mistakes import EPOCH, RETURNS, at
from d2l_softmax.check.names import ROLES
from d2l_softmax.check.trial import LR, Trial, Wrong, close, first, parts, roles_of, write

SIZES = [4, 4, 2]
Run = list[list[Tensor]]  # W and b before each batch, and at the end


class Batches:
    """A data loader of batches of 4, 4 and 2 images that calls `seen` before each.

    `data` are the batches as the learner gets them, `raw` as (images (n, features), labels) in float64.
    """

    def __init__(self, t: Trial, seen: Callable[[], None] = lambda: None):
        way, y = next(t.ways(10, False)), t.labels(10)
        X, inputs = way.values["X"], way.inputs(way.values)[0]
        cuts = [slice(0, 4), slice(4, 8), slice(8, 10)]
        self.data = [(t.give(X[cut] if len(X) == 10 else X[:, cut]), t.give(y[cut])) for cut in cuts]
        self.raw = [(inputs[cut], y[cut]) for cut in cuts]
        self.seen, self.dataset, self.batch_size = seen, range(10), SIZES[0]

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for k, (X, y) in enumerate(self.data):
            self.seen()
            torch.default_generator.manual_seed(k)  # the same dropout in both runs
            yield (X.clone(), y.clone()) if torch.is_tensor(X) else (X.copy(), y.copy())

    def __len__(self) -> int:
        return len(self.data)


def is_random(module: torch.nn.Module | None) -> bool:
    """Whether a network does something else while training than while evaluating."""
    return module is not None and any(re.search("Dropout|Norm", type(m).__name__) for m in module.modules())


def log_p(t: Trial, out: Tensor) -> Tensor:
    """The logarithms of the probabilities, (batch, classes), of what the learner's net returns."""
    out = out.T if t.facts.get("columns") else out
    return out.log() if t.facts.get("net") == "probabilities" else out.log_softmax(1)


def step(t: Trial, n: int) -> None:
    """Let the learner's updater, which may want the number of images, take a step."""
    f = getattr(t.box["updater"], "step", t.box["updater"])
    wanted = [
        p for p in inspect.signature(f).parameters.values() if p.default is p.empty or p.name.lower() in ROLES["n"]
    ]
    f(*[n] * len(wanted[:1]))


def arrange(t: Trial, reduction: str, kind: str) -> None:
    """Replace loss and updater by right ones, unless "own": with this reduction, and dividing by batch_size or not."""
    if reduction != "own":
        reduce = {"none": lambda l: l, "mean": lambda l: l.mean(), "sum": lambda l: l.sum()}[reduction]
        t.learner.put(t.box, "loss", lambda y_hat, y: reduce(-at(log_p(t, y_hat), y if y.ndim == 1 else y.argmax(1))))
    if kind == "own" or hasattr(t.box["updater"], "step"):
        return

    def updater(n: int = 1) -> None:
        for p in t.own_weights():
            p.data -= t.facts.get("lr", LR) * p.grad / (n if kind == "divides" else 1)
            p.grad = None

    t.learner.put(t.box, "updater", updater)


def run(t: Trial, reduction: str = "own", kind: str = "own") -> tuple[Run, Any, list[bool]]:
    """Run the learner's epoch: the weights, what it returned, and whether the net was training at each forward."""
    t.set_weights()
    arrange(t, reduction, kind)
    ns = t.learner.ns
    ns |= {name: SIZES[0] for name, v in ns.items() if name.lower() in ROLES["n"] and isinstance(v, int)}
    W, b = (t.give(next(t.ways(1, False)).values[k].clone()) for k in "Wb")
    held = [W, b] if "W" in roles_of(t, "train_epoch") and t.module is None else None
    for p in held if held and t.autograd else ():
        p.requires_grad_()
    snaps: Run = []
    current = lambda: [first(a) for a in held or t.own_weights()]  # noqa: E731
    values = {"data": Batches(t, lambda: snaps.append(current())), "test": Batches(t), "n": SIZES[0], "W": W, "b": b}
    values |= {"params": held or t.mine} | {k: t.box[k] for k in ("net", "loss", "updater") if k in t.box}
    training: list[bool] = []
    if t.module is not None:
        t.module.train()
        if is_random(t.module) and "evaluate_accuracy" in t.box:
            with contextlib.suppress(Exception):
                t.call("evaluate_accuracy", "net data", **values | {"data": Batches(t)})
        t.module.register_forward_pre_hook(lambda module, _: training.append(module.training))
    result = t.call("train_epoch", "net data loss updater", **values)
    snaps = [*snaps[: len(SIZES)], current()]
    returned = [p for p in parts(result) if p.ndim and any(p.shape == w.shape for w in snaps[0])]
    if held and returned and all(map(torch.equal, snaps[0], snaps[-1])):
        snaps = [snaps[0], returned[: len(snaps[0])]]
    return snaps, result, training


def right(t: Trial, reduction: str, kind: str, lr: float, zero: bool = True, scale: Any = None, m: int = 4) -> Run:
    """Run an epoch as it should be, or with a mistake of the table `EPOCH`."""
    t.set_weights()
    arrange(t, reduction, kind)
    own = "updater" in t.box and t.autograd
    divides = own and not hasattr(t.box["updater"], "step") and "divides" in (kind, t.facts.get("updater", kind))
    divides = divides and kind != "plain"
    t.mine = t.mine or [t.give(next(t.ways(1, False)).values[k].clone()) for k in "Wb"]
    if t.module is not None:
        t.module.train()
    snaps, kept, batches = [], [0.0] * len(t.mine), Batches(t)
    for k, (X, y) in enumerate(batches):
        snaps.append([first(p) for p in t.mine])
        times = float(scale(k, len(y), m, len(SIZES)) if scale else 1) * (len(y) if divides else 1)
        grads = gradient(t, X, *batches.raw[k])
        left = [0.0 if p.grad is None else first(p.grad) for p in t.mine] if own else kept
        kept = [g * times + (0 if zero else old) for g, old in zip(grads, left, strict=True)]
        for p, g in zip(t.mine, kept, strict=True):
            if own:
                p.grad = g.to(p)
            else:
                write(p, first(p) - lr * g)
        if own:
            step(t, len(y))
    return [*snaps, [first(p) for p in t.mine]]


def gradient(t: Trial, X: Any, inputs: Tensor, y: Tensor) -> list[Tensor]:
    """The gradient of the mean loss of a batch, and of the penalty, by each of the weights."""
    c = t.facts.get("penalty", 0.0)
    if t.autograd and "net" in t.box:
        l = -at(log_p(t, t.call("net", "X", X=X)), y).mean() + (c * t.mine[0].square().sum() if c else 0)
        return list(torch.autograd.grad(l, t.mine))
    W, *b = (first(p) for p in t.mine)
    turned = W.shape != t.W.shape
    W = W.T if turned else W
    D = ((inputs @ W + sum(p.reshape(-1) for p in b)).softmax(1) - F.one_hot(y, t.classes)) / len(y)
    dW = inputs.T @ D + 2 * c * W
    return [dW.T if turned else dW, *(D.sum(0).reshape(p.shape) for p in b)]


def part_at(mine: Run, theirs: Run) -> tuple[int, int, float] | None:
    """The first step after which two runs differ, by which of the weights, and how far; None if they never do."""
    if len(mine) != len(theirs):
        mine, theirs = [mine[0], mine[-1]], [theirs[0], theirs[-1]]
    for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        for i, (p, q) in enumerate(zip(a, b, strict=False)):
            atol = 3e-4 * float((q - theirs[0][i]).abs().max()) + 1e-6 * float(q.abs().max()) + 1e-9
            diverged = not p.isfinite().all(), not q.isfinite().all()
            if (
                p.shape != q.shape
                or (any(diverged) and not all(diverged))
                or (not any(diverged) and not close(p, q, 0, atol))
            ):
                return k, i, float((p - q).abs().max()) if p.shape == q.shape else float("nan")
    return None


def epoch(t: Trial) -> str:
    """train_epoch from the same weights as PyTorch: the first step at which they part, and what it returns."""
    lr = LR if "lr" in roles_of(t, "train_epoch") else file_lr(t)
    runs: dict[tuple[str, str], tuple[Run, Any, list[bool]]] = {}

    def parted(combo: tuple[str, str], **mistake: Any) -> tuple[int, int, float] | None:
        """Where the learner's epoch parts from the right one, or from one with a mistake."""
        if combo not in runs:
            with t.learner.sandbox() as box:
                runs[combo] = run(Trial(t.learner, box), *combo)
        with t.learner.sandbox() as box:
            theirs = right(Trial(t.learner, box), *combo, lr, **mistake)
        if combo == own and not mistake and not t.facts.get("penalty"):
            t.facts["decay"] = decay(runs[combo][0], theirs, lr)
        return part_at(runs[combo][0], theirs)

    own = ("mean" if t.facts.get("passes") else "own", "own")
    where = parted(own)
    if where and t.facts.get("decay"):
        t.facts["penalty"], before = t.facts["decay"], where
        where = parted(own)
        if where:
            t.facts["penalty"], where = 0.0, before
    snaps, result, training = runs[own]
    if not all(training):
        raise Wrong(
            "the net is in eval mode while it trains, so that dropout is off: call net.train() before the loop, as "
            "evaluate_accuracy may leave it in eval mode",
            r"eval\(",
        )
    if not where:
        returns(t, snaps, result)
        c = t.facts.get("penalty")
        return f"adds a penalty of {c:.3g} × sum of W²" if c and t.autograd else ""
    k, i, far = where
    shown = "after the first step" if k <= 1 else f"equal to PyTorch for {k - 1} step{'s' * (k > 2)}, then"
    shown += f" {(['W', 'b', *'?' * i])[i] if not t.hidden else 'a weight'} differs by {far:.1e}"
    fits = False
    if "updater" in t.box and t.autograd:
        kinds = ("own",) if hasattr(t.box["updater"], "step") else ("divides", "plain")
        for combo in [
            c for c in itertools.product(("none", "mean", "sum"), kinds) if c[0] != "sum" or c[1] == "divides"
        ]:
            with contextlib.suppress(Exception):
                fits = fits or parted(combo) is None
    numbers = {c for f in t.learner.functions() for c in f.__code__.co_consts if type(c) is int and c > 4}
    for (say, mistake), m in itertools.product(EPOCH.items(), [4, *sorted(numbers)]):
        if (m == 4 or "full one" in say) and parted(own, m=m, **mistake) is None:
            blame(t, fits, shown, say)
    if fits:
        raise Wrong(f"{shown}: the loss and the updater do not fit together", name="loss + updater")
    raise Wrong(
        f"{shown}. The pieces are right one by one, so look at how they are called", r"backward|step|updater|-="
    )


def blame(t: Trial, fits: bool, shown: str, say: str) -> None:
    """Raise `Wrong` for the piece whose mistake explains an epoch; `fits`: with other pieces the epoch is right."""
    called = t.learner.called
    name, takes_n = "", "sgd" in t.box and "n" in roles_of(t, "sgd")
    if t.facts.get("too_large") and "sum" in say:
        name, say = "gradients", "they are n times those of the loss, which is a mean over the n images: divide by n"
    elif "earlier" in say and not t.facts.get("zeroes", True):
        name = called.get("sgd", called.get("updater"))
        say = "the gradients of earlier batches are added: set them to 0 after each step"
    elif fits and "sum" in say and takes_n and t.facts.get("updater") == "plain":
        name, say = called["sgd"], "it gets batch_size and does not divide by it"
    elif fits and t.facts.get("reduction") != "one loss per image":
        name = "loss + updater"
        if "twice" in say:
            say += ": the loss is a mean, and sgd divides again. Divide once, in the loss or in sgd"
    raise Wrong(f"{shown}: {say}", r"zero_grad|updater\(|\.step\(|sgd\(|-=|backward", name)


def file_lr(t: Trial) -> float:
    """The learning rate that the updater or the file names."""
    holders = [getattr(t.box.get("updater"), "__dict__", {}), t.learner.ns]
    named = [v for holder in holders for n, v in holder.items() if n.lower() in ROLES["lr"] and isinstance(v, float)]
    return next(iter(named), LR)


def decay(mine: Run, theirs: Run, lr: float) -> float:
    """The L2 penalty that explains the first step's difference, or 0."""
    W, extra = theirs[0][0], theirs[1][0] - mine[1][0]
    k = float((extra * W).sum() / W.square().sum())
    return k / 2 / lr if k > 1e-9 and close(extra, k * W, 2e-2, 1e-6) else 0.0


def returns(t: Trial, snaps: Run, result: Any) -> None:
    """The returned loss and accuracy are averages over the images, and numbers."""
    if len(snaps) != len(SIZES) + 1 or is_random(t.module):
        return
    raw = result.values() if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    if any(torch.is_tensor(value) and value.requires_grad for value in raw):
        raise Wrong(
            "the loss that it returns still holds the graph of every batch, so that memory grows with each one: add "
            "loss.item(), or loss.detach()",
            r"\+=|append",
        )
    before, after = ([measure(t, snaps[k + late], k) for k in range(len(SIZES))] for late in (0, 1))
    compare_averages(parts(result), before, after)


def measure(t: Trial, weights: list[Tensor], k: int) -> tuple[Tensor, Tensor]:
    """The losses, and 1 for each right answer, of the images of a batch, with some weights."""
    with t.learner.sandbox() as box, torch.no_grad():
        inner = Trial(t.learner, box)
        for a, value in zip(inner.mine, weights, strict=False):
            write(a, value)
        batches = Batches(inner)
        X, y = batches.raw[k]
        if t.hidden:
            inner.box["net"].eval() if inner.module is not None else None
            lp = log_p(t, first(inner.call("net", "X", X=batches.data[k][0])))
        else:
            W, *b = weights
            lp = (X @ (W if W.shape == t.W.shape else W.T) + sum(p.reshape(-1) for p in b)).log_softmax(1)
        return t.facts.get("penalty", 0.0) * weights[0].square().sum() - at(lp, y), (lp.argmax(1) == y).double()


def compare_averages(got: list[Tensor], before: list, after: list, must: bool = False) -> str:
    """Hold every returned number against the loss and the accuracy over all images, and against known mistakes.

    Args:
        got: what was returned.
        before, after: the losses and right answers of each batch before and after its step; either is fine.
        must: whether one of the numbers must be the accuracy. If not, all of one or two must be known.
    """
    good: dict[str, list[Tensor]] = {"a count": [], "a fraction": [], "a percentage": [], "": [torch.tensor(10.0)]}
    for batches in (before, after):
        losses, hits = (torch.cat(column) for column in zip(*batches, strict=True))
        good[""] += [losses.mean(), losses.sum()]
        for name, value in zip(good, (hits.sum(), hits.mean(), 100 * hits.mean()), strict=False):
            good[name].append(value)
    numbers = [v.reshape(()) for v in got if v.numel() == 1]
    kinds = [next((n for n, rights in good.items() if any(close(v, r, 1e-3) for r in rights)), None) for v in numbers]
    losses, hits = ([batch[i] for batch in before] for i in (0, 1))
    unknown = [v for v, kind in zip(numbers, kinds, strict=True) if kind is None]
    tries = [("loss", losses, good[""][1], 1), ("accuracy", hits, good["a fraction"][0], 1)]
    tries.append(("accuracy", hits, good["a percentage"][0], 100))
    for v, (what, batches, right, times), (say, wrong) in itertools.product(unknown, tries, RETURNS.items()):
        if close(v, times * torch.as_tensor(wrong(batches)), 1e-3) and not (what == "loss" and "wrong" in say):
            add = "right answers" if what == "accuracy" else "the losses of all images, mean × len(y)"
            raise Wrong(
                f"its {what} is {float(v):.4f} instead of {float(right):.4f} on batches of 4, 4 and 2 images: {say}. Add "
                f"up {add}, and len(y), and divide once",
                r"\+=|append|return|mean|/",
            )
    if (must and not any(kinds)) or (not must and unknown and len(numbers) < 3):
        shown = ", ".join(f"{float(v):.4f}" for v in unknown) or "no number"
        raise Wrong(
            f"on batches of 4, 4 and 2 images it returns {shown}; the loss is {float(good[''][1]):.4f}, the accuracy "
            f"{float(good['a fraction'][0]):.4f}",
            "return",
        )
    return next((kind for kind in kinds if kind), "")
