"""The probes, in the order in which they run: each compares one piece, or some together, with PyTorch.

A probe is a function that gets a `Trial`, raises `Wrong`, and else returns what it found out. Its entry in the table
has the name of its finding and the pieces that it needs.
"""

import contextlib
import copy
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from d2l_softmax.check.epoch import Batches, compare_averages, epoch, is_random, measure, run
from d2l_softmax.check.learner import Unknown, arrays, quiet
from d2l_softmax.check.names import ROLES
from d2l_softmax.check.mistakes import ACCURACY, GRADIENTS, LOSS, NET, SOFTMAX, at, hot
from d2l_softmax.check.trial import OUTPUTS, Trial, Way, Wrong, close, differ, first, mentions, parts, write

LOSSES = {"one loss per image": lambda l: l, "their mean": lambda l: l.mean(), "their sum": lambda l: l.sum()}
COUNTS = {"counts": lambda hits: hits.sum(), "returns a fraction": lambda hits: hits.mean()}
COUNTS["returns a percentage"] = lambda hits: 100 * hits.mean()


def observe(t: Trial, piece: str, by: dict[str, Callable]) -> list[Tensor]:
    """The first argument of every call of a piece that other pieces of the learner's make."""
    seen: list[Tensor] = []
    for other, run in by.items():
        if other not in t.box or other == piece:
            continue
        with contextlib.suppress(Exception), t.learner.sandbox() as box:

            def recorder(*args: Any, f: Any = box[piece], **kwargs: Any) -> Any:
                seen.append(first([*args, *kwargs.values()][0]))
                return (f if callable(f) else f.forward)(*args, **kwargs)

            t.learner.put(box, piece, recorder)
            run(Trial(t.learner, box))
    return seen


def softmax(t: Trial) -> str:
    """Probabilities that add up to 1 for each image, also for extreme logits."""
    f, note = t.box["softmax"], ""
    shapes = [tuple(s.shape) for s in observe(t, "softmax", {"net": net, "loss": loss, "gradients": gradients})]
    if shapes and all(len(shape) == 1 for shape in shapes):
        note = "of one image"
        t.box["softmax"] = lambda X: torch.stack([first(f(x)) for x in X])
    elif any(shape in [(t.classes, 7), (t.classes, 1)] for shape in shapes):
        note = "a column for each image"
        t.box["softmax"] = lambda X: f(X.T).T
    right = (lambda Z: Z.log_softmax(1)) if "log" in t.learner.called["softmax"] else (lambda Z: Z.softmax(1))
    ways = lambda n: iter([Way(note, {"X": t.Z[:n]}, lambda v: (v["X"],))])  # noqa: E731
    t.facts["softmax"] = note
    try:
        t.judge("softmax", "X", ways, right, {"": lambda p: p}, SOFTMAX, key=None if note else "X", single=False)
    except Wrong:
        how = ""
        with contextlib.suppress(Exception):
            how = loss(t) if "loss" in t.box else ""
        if "at a time" not in how:
            raise
        return "of one image at a time"
    except RuntimeError as error:
        if "must match the size" in str(error):
            raise Wrong(f"{error}. Add keepdim=True to the sum or maximum", "sum|max") from error
        raise
    for big, which in ((0, "logits of 1000"), (1, "rows that differ by hundreds"), (2, "the logits 1000, 0, 0, …")):
        Z = [t.Z + 1000, t.Z + torch.linspace(-900, 900, 7)[:, None].double(), 1000 * hot(t.Z, t.y)][big]
        got = first(t.call("softmax", "X", X=Z))
        if not close(got, right(Z), 5e-3):
            raise Wrong(
                f"right for small logits, but for {which} {differ(got, right(Z))}: exp overflows above 88 in float32 "
                "and is 0 far below. Subtract each row's own maximum before exp, which cancels out",
                "exp",
            )
    return note


def one_hot(t: Trial) -> str:
    """A row with one 1 for each label, whatever other labels are in the batch."""
    note = ""
    for y in (torch.arange(t.classes), torch.tensor([t.classes - 1, 0, t.classes - 1, 1]), torch.tensor([0, 1])):
        want = F.one_hot(y, t.classes).double()
        got = first(t.call("one_hot", "y classes", y=y, n=t.classes))
        if got is None or got.ndim < 2:
            one = [t.call("one_hot", "y classes", y=int(i) + t.learner.first_label, n=t.classes) for i in y]
            got, note = torch.stack(list(map(first, one))), "of one label at a time"
        if not close(got, want) and close(got, want.T):
            note, got = "a column for each image", want
        if not close(got, want):
            say = differ(got, want)
            if got is not None and got.shape == want.shape and close(got.sum(1), torch.ones(len(y)).double()):
                row = int((got - want).abs().sum(1).argmax())
                say = f"label {int(y[row])} gets column {int(got[row].argmax())}"
            if len(y) < t.classes:
                say += ". A label's column is the label itself, and there is one for every class, also for those missing"
            raise Wrong(f"for the labels {y.tolist()}, {say}")
    return note


def weights(t: Trial) -> None:
    """W and b of the file are leaves that require a gradient."""
    if not t.autograd or t.objects:
        return
    for name, a in t.learner.tensors:
        if a.requires_grad and not a.is_leaf and a.numel() > 1 and a.ndim <= 2 and {t.classes} & set(a.shape):
            raise Wrong(
                f"{name} is not a leaf but the result of a computation, so {name}.grad stays None and it is never "
                f"trained. Compute first, then call {name}.requires_grad_()",
                name=name,
            )
    mine = [(n, a) for n, a in t.learner.tensors if n.lower() in ROLES["W"] | ROLES["b"]]
    frozen = [n for n, a in mine if not a.requires_grad]
    if t.module is None and frozen and (len(frozen) < len(mine) or not mentions(t.learner, "requires_grad|Parameter")):
        raise Wrong(f"{frozen[0]} does not require a gradient, so it is never trained: {frozen[0]}.requires_grad_()", name=frozen[0])


def net(t: Trial) -> str:
    """Logits, or probabilities, that are those of X W + b with the learner's own W and b."""
    if t.module is not None:
        plain_tensors(t)
        t.module.eval()
    t.set_weights()
    if not t.mine and "W" not in str(inspect.signature(t.box["net"])):
        raise Unknown("not checked: its W and b were not found")
    if t.hidden:
        return hidden(t)
    views = {name: (lambda Z, f=f: f(Z) if Z.ndim == 2 else Z) for name, f in OUTPUTS.items()}
    views |= {f"{name}, a column for each image": (lambda Z, f=f: f(Z).T) for name, f in views.items()}
    ways = lambda n: (w._replace(inputs=lambda v, w=w: (t.logits(w.inputs(v)[0]), t.b)) for w in t.ways(n, False))  # noqa: E731
    try:
        way, form = t.judge("net", "X W b", ways, lambda Z, b: Z, views, NET)
    except Wrong:
        t.facts.setdefault("net", "logits")
        raise
    t.facts.update(way=way, net=re.split(",| of", form)[0], columns="," in form)
    if t.autograd and "at a time" not in form and not t.call("net", "X W b", **next(ways(7)).values).requires_grad:
        raise Wrong("no gradient reaches W and b", r"detach|\.data\b|no_grad|numpy")
    return f"returns {form}"


def plain_tensors(t: Trial) -> None:
    """Everything that a module learns is among its parameters."""
    held = [*t.module.parameters(), *t.module.buffers()]
    for name, a in arrays(vars(t.module)):
        if not any(a is p for p in held) and (a.requires_grad or max(a.shape, default=0) in (t.classes, t.features)):
            raise Wrong(
                f"{name} is a plain tensor and not among net.parameters(), so the optimizer never moves it, and it is "
                f"not saved. Write self.{name} = nn.Parameter(...)",
                rf"self\.{name}\s*=",
            )
    for name, p in t.module.named_parameters():
        if not p.requires_grad:
            raise Wrong(f"{name} does not require a gradient, so it is never trained", "requires_grad|no_grad")


def hidden(t: Trial) -> str:
    """What can be said of a network with hidden layers."""
    way = next(t.ways(7, False))
    out = first(t.call("net", "X", **way.values))
    again = first(t.call("net", "X", **way.values))
    if not close(again, out):
        raise Wrong(f"a second call in eval mode gives something else: {differ(again, out)}")
    sums = [out.sum(1), out.exp().sum(1), out.sum(0)] if out.ndim == 2 else [out, out, out]
    near = [close(s, torch.ones(len(s))) for s in sums]
    if near[2] and not near[0]:
        raise Wrong("the columns of its result add up to 1, not the rows: softmax works down the batch. Use dim=1")
    form = "probabilities" if near[0] and (out >= 0).all() else "log-probabilities" if near[1] else "logits"
    t.facts.update(net=form, columns=False)
    return f"has hidden layers, so it is more than softmax regression; returns {form}"


def loss_ways(t: Trial, n: int) -> Iterator[Way]:
    """A loss of what the net returns, or of images; with labels as indices or one-hot."""
    # CrossEntropyLoss is right for log-probabilities, too, but its gradient is that by logits.
    forms = sorted(OUTPUTS, key=lambda form: form != "probabilities" or t.facts.get("net") != form)
    turned = (t.facts["columns"],) if "columns" in t.facts else (False, True)
    for form, one_hot, T in itertools.product(forms, (False, True), turned):
        out, y = OUTPUTS[form](t.Z)[:n], t.y[:n]
        values = {"out": out.T if T else out, "y": y if not one_hot else hot(t.Z, y).T if T else hot(t.Z, y)}

        def inputs(v: dict, form: str = form, T: bool = T, y: Tensor = y) -> tuple:
            out = v["out"].T if T else v["out"]
            lp = {"logits": lambda: out.log_softmax(1), "probabilities": out.log, "log-probabilities": lambda: out}
            return (out if form == "probabilities" else lp[form]().exp()), lp[form](), y

        yield Way((form, one_hot, T), values, inputs)
    for way in t.ways(n):

        def of_images(v: dict, way: Way = way) -> tuple:
            X, y = way.inputs(v)
            return t.logits(X).softmax(1), t.logits(X).log_softmax(1), y

        yield Way(way.label, way.values, of_images)


def loss(t: Trial) -> str:
    """−log p of the right class: one per image, their mean or their sum."""
    t.set_weights()
    module = t.box["loss"]
    if getattr(module, "label_smoothing", 0) or getattr(module, "weight", None) is not None:
        raise Unknown("not checked: it smooths the labels or weights the classes")
    c = penalty(t)
    if c:
        t.facts["penalty"] = c
    views = {name: (lambda l, r=r: r(l) + c * t.W.square().sum()) for name, r in LOSSES.items()}
    if c:
        views |= {f"{name} ": (lambda l, r=r: r(l) + c * t.b.square().sum()) for name, r in views.items()}
    right = lambda p, lp, y: -at(lp, y)  # noqa: E731
    views = {**views, "one loss per image, as a column": lambda l: l[:, None] if l.ndim else l}
    try:
        label, reduction = t.judge("loss", "out W b X y", lambda n: loss_ways(t, n), right, views, LOSS, key="out")
    except Wrong:
        label, reduction = t.found or ((t.facts.get("net", "probabilities"), False, False), "one loss per image")
        if isinstance(label[0], str) and t.facts.get("net", "probabilities") == "probabilities":
            constant_in_log(t, *label)
        t.facts.update(loss=t.facts.get("net", label[0]) if isinstance(label[0], str) else "images", reduction=reduction)
        raise
    if "at a time" in reduction:
        t.facts["loss"] = label[0]
        return f"returns {reduction}"
    t.facts.update(loss=label[0] if isinstance(label[0], str) else "images", reduction=reduction.split(",")[0].strip(), of_b=reduction[-1] == " ")
    if t.facts["loss"] == "images":
        t.facts.setdefault("way", label)
        returned = parts(t.call("loss", "W b X y", **next(w for w in t.ways(7) if w.label == label).values))
        t.facts["with_gradients"] = "gradients" not in t.box and any(a.numel() == t.W.numel() for a in returned)
        return f"returns {reduction.strip()}" + (f", with a penalty of {c:.4g} × sum of W²" if c else "")
    constant_in_log(t, *label)
    if label[0] == "logits":
        Z = 200.0 * hot(t.Z, t.y) * (10 if t.learner.numpy else 1)
        y = hot(t.Z, t.y) if label[1] else t.y
        got = first(t.call("loss", "out y", out=Z.T if label[2] else Z, y=y.T if label[2] and label[1] else y))
        if got is not None and not close(got, torch.zeros_like(got), atol=1e-3):
            raise Wrong(f"right for small logits, but {differ(got, torch.zeros_like(got) + 1e-9)} where the right class has a logit of {int(Z.max())} and the others 0. Subtract each row's maximum before exp", "exp")
    return f"takes {label[0]}, returns {reduction.strip()}"


def penalty(t: Trial) -> float:
    """Find an L2 penalty in a loss of W, by what W adds to it where all images are 0; return its factor."""
    found: list[float] = []
    for way in t.ways(7):
        values, found = way.values | {"X": 0 * way.values["X"]}, []
        with contextlib.suppress(Exception):
            for scale in (0.0, 1.0, 2.0):
                t.set_weights(scale)
                found.append(float(parts(t.call("loss", "", **values | {"W": scale * values["W"]}))[0]))
            break
    t.set_weights()
    if len(found) < 3 or abs(found[1] - found[0]) < 1e-7:
        return 0.0
    if abs((found[2] - found[0]) / (found[1] - found[0]) - 4) > 1e-2:
        raise Unknown("not checked: it adds a penalty on W that is not a multiple of the sum of W²")
    return (found[1] - found[0]) / float(t.W.square().sum())


def constant_in_log(t: Trial, form: Any, one_hot: bool = False, T: bool = False) -> None:
    """A constant of at most 1e-6 inside the logarithm is harmless; a larger one, or a limit, biases the loss."""
    if form != "probabilities":
        return
    p = torch.full((1, t.classes), 1e-9, dtype=torch.float64)
    p[0, 1], p[0, 0], y = 1e-4, 1 - 1e-4, torch.tensor([1])
    y = hot(p, y) if one_hot else y
    l = first(t.call("loss", "out y", out=p.T if T else p, y=y.T if T and one_hot else y))
    l = float(l.sum()) if l is not None else 0.0
    if 3e-6 < (extra := float(torch.tensor(-l).exp()) - 1e-4) < 0.05:
        raise Wrong(
            f"{l:.4f} instead of 9.2103 for a probability of 0.0001: {extra:.1g} is added to it inside the logarithm, or "
            "smaller ones are raised to it. The loss is too small, the more so the smaller the probability, and so is "
            "the gradient. Compute it from logits with log-sum-exp, which needs no constant, or take at most 1e-6",
            r"log|clamp|clip",
        )


def net_loss(t: Trial) -> str:
    """The loss gets what it takes: softmax is applied once between W X + b and the logarithm."""
    gets, takes = t.facts.get("net"), t.facts.get("loss")
    seen = [s for s in observe(t, "loss", {"train_epoch": lambda t: run(t, ("own", "own"))}) if s is not None and s.ndim == 2]
    if takes in (None, "images") or gets is None:
        return ""
    inside = ""
    if seen:
        s = seen[0].T if t.facts.get("columns") else seen[0]
        near = [close(v.sum(1), torch.ones(len(s)).double()) for v in (s, s.exp())]
        now = "probabilities" if near[0] and (s >= 0).all() else "log-probabilities" if near[1] else "logits"
        inside = "train_epoch" if now != gets else ""
        gets = now
    if gets == takes or (gets, takes) == ("log-probabilities", "logits"):
        return ""
    t.facts["passes"] = gets
    who = inside or "net"
    if gets == "probabilities" and takes == "logits":
        say = f"{who} applies softmax and {t.learner.called['loss']} applies it again: the loss cannot fall below 1.46, and learning is slow. Remove the softmax in {who}"
    elif takes == "log-probabilities" and gets == "probabilities":
        say = f"the loss takes log-probabilities but gets probabilities: use log_softmax in {who}, or CrossEntropyLoss on logits"
    elif gets == "logits":
        say = f"softmax is missing: {who} gives logits, but the loss takes {takes}"
    else:
        say = f"{who} gives {gets}, but the loss takes {takes}"
    raise Wrong(say, "softmax|Softmax")


def take_weights(t: Trial, part: str) -> Callable[[Any], Tensor | None]:
    """Pick dW, as (features, classes), or db, from a tuple of gradients in any order."""

    def take(value: Any) -> Tensor | None:
        found = parts(value)
        W = next((a for a in found if a.ndim == 2 and a.numel() == t.W.numel()), None)
        if part == "W":
            return W if W is None or W.shape == t.W.shape else W.T
        rest = [a for a in found if a is not W and a.ndim < 3]
        return next((a.reshape(-1) for a in rest if a.numel() == t.classes), rest[-1] if rest else None)

    return take


def gradients(t: Trial) -> str:
    """dW and db are the derivatives of the learner's own loss."""
    t.set_weights()
    c, mean = t.facts.get("penalty", 0.0), t.facts.get("reduction")
    ways = []
    for n in (7, 1):
        found = []
        for way in t.ways(n):
            X, y = way.inputs(way.values)
            for form in ("probabilities", "logits"):
                values = way.values | {"out": OUTPUTS[form](t.logits(X))}
                if t.facts.get("columns"):
                    values["out"] = values["out"].T
                found.append(Way(way.label, values, lambda v, X=X, y=y: (t.logits(X).softmax(1), hot(t.Z, y), X)))
        ways.append(found)
    views = {"their mean": lambda g: g, "their sum": lambda g: g}
    called = "W b X y out"

    def judge(part: str, times: Callable) -> str:
        def finish(D: Tensor, X: Tensor) -> Tensor:
            return (X.T @ D if part == "W" else D.sum(0)) * times(len(X)) + 2 * c * (t.W if part == "W" else t.b * t.facts.get("of_b", False))

        table = {say: (lambda p, Y, X, f=f: finish(f(p, Y), X)) for say, f in GRADIENTS.items()}
        right = lambda p, Y, X: finish(p - Y, X)  # noqa: E731
        if part == "W" and c:
            half = f"dW lacks half of the penalty: the derivative of {c:.3g} × W² is {2 * c:.3g} × W"
            table = {
                half: lambda p, Y, X: finish(p - Y, X) - c * t.W,
                f"dW lacks the derivative of the penalty, {2 * c:.3g} × W": lambda p, Y, X: finish(p - Y, X) - 2 * c * t.W,
                "dW has twice the derivative of the penalty": lambda p, Y, X: finish(p - Y, X) + 2 * c * t.W,
                "the penalty's derivative is divided by the number of images": lambda p, Y, X: finish(p - Y, X) - 2 * c * t.W * (1 - 1 / len(X)),
                "the penalty's derivative has the wrong sign": lambda p, Y, X: finish(p - Y, X) - 4 * c * t.W,
                **table,
            }
        return t.judge("gradients", called, lambda n: iter(ways[n == 1]), right, {"": lambda g: g}, table, take_weights(t, part))

    try:
        times = lambda n: 1 / n  # noqa: E731
        label, _ = judge("W", times)
        kind = "their mean"
    except Wrong as wrong:
        try:
            times = lambda n: 1  # noqa: E731
            label, _ = judge("W", times)
            kind = "their sum"
        except Wrong as summed:
            raise (summed if "are" in str(wrong) and "for 7" in str(wrong) else Wrong(f"dW: {wrong}", wrong.pattern)) from None
    t.facts.setdefault("way", label)
    t.facts["gradients"] = kind
    try:
        if t.has_bias():
            judge("b", times)
    except Wrong as wrong:
        raise Wrong(f"db: {wrong}. db is the sum (or mean) over the images of p − Y, one number for each class", "db") from None
    if mean == "their sum" and kind == "their mean" and c:
        raise Wrong("it is the derivative of the mean of the losses and the penalty, but the loss adds the losses up")
    if mean == "their mean" and kind == "their sum":
        t.facts["too_large"] = True
    return "are " + kind.replace("their", "a") + " over the images"


def backward(t: Trial) -> str | None:
    """The backward passes of layer and loss objects."""
    if not t.objects:
        return None
    t.set_weights()
    way = next(t.ways(7))
    X, y = way.inputs(way.values)
    n, scale, p = 7, 1 / 7 if t.facts.get("reduction") == "their mean" else 1.0, t.logits(X).softmax(1)
    D = (p - hot(t.Z, y)) * scale
    criterion, layer = t.box["loss"], t.box["net"]
    out = t.call("net", "X", **way.values)

    def again(f: Callable, *arguments: Any) -> Any:
        """Call a backward with as many arguments as it takes, after a forward of the loss."""
        return f(*arguments[: len(inspect.signature(f).parameters)])

    t.call("loss", "out y", out=out, y=y)
    if hasattr(criterion, "backward"):
        name = f"{t.learner.called['loss']}.backward"
        for which in ("for 7 images, ", "it is right the first time, but in a second call "):
            got = first(again(criterion.backward, out, t.give(y)))
            if close(got, D):
                continue
            known = [say for say, f in GRADIENTS.items() for k in (scale, 1) if close(got, f(p, hot(p, y)) * k)]
            say = known[0] if known else differ(got, D, n)
            if which[0] == "i":
                say += ": it changes what forward keeps. Work on a copy, grad = self.probs.copy()"
            raise Wrong(f"it is not the derivative of forward: {which}{say}", "def backward", name)
        t.call("loss", "out y", out=out, y=y)
    if hasattr(layer, "zero_grad"):
        layer.zero_grad()
    returned = parts(again(layer.backward, t.give(D)))
    name, times = f"{t.learner.called['net']}.backward", {}
    for part, want in (("W", X.T @ D), ("b", D.sum(0))):
        found = [first(a) for a in gradients_in(t)] + returned
        if part == "W":
            found = [g if g.shape == want.shape else g.T for g in found if g.ndim == 2 and g.numel() == want.numel()]
        else:
            found = [g.reshape(-1) for g in found if g.ndim < 2 or t.classes in g.shape == g.shape or 1 in g.shape]
        times[part] = next((k for k in (1, 1 / n) for g in found if close(g, k * want)), None)
        if times[part] is None or scale < 1 and times[part] < 1:
            raise Wrong(f"d{part}: {differ(found[-1] if found else None, want, n)}", rf"\bd{part}\b|grad_{part}", name)
    if times["W"] != times["b"]:
        raise Wrong("one of dW and db is divided by the number of images, the other is not", r"\bd[Wb]\b.*/", name)
    back = [g for g in returned if g.shape == X.shape]
    if back and not close(back[0], D @ t.W.T):
        raise Wrong(f"the gradient by X that it returns is wrong: {differ(back[0], D @ t.W.T)}", "return", name)
    return ""


def gradients_in(t: Trial) -> list[Any]:
    """What a layer object holds besides W and b."""
    shapes = {tuple(a.shape) for a in t.mine}
    mine = t.own_weights()
    return [a for _, a in arrays(vars(t.box["net"])) if tuple(a.shape) in shapes | {()} and not any(a is m for m in mine)]


def accuracy(t: Trial) -> str:
    """Right answers: their number or their share."""
    roles = order_of(t, "accuracy")
    if "data" in roles and not {"out", "X"} & roles:
        return evaluate(t, "accuracy")
    t.set_weights()
    t.y, form = t.labels(7), OUTPUTS[t.facts.get("net", "logits")]

    def ways(n: int) -> Iterator[Way]:
        Z, y = t.logits(t.X[:n]), t.y[:n]
        inputs = lambda v: ((Z.argmax(1) == y).double(), Z, y)  # noqa: E731
        for one_hot, T in itertools.product((False, True), (t.facts.get("columns", False), False)):
            out = form(Z).T if T else form(Z)
            yield Way("", {"out": out, "y": hot(Z, y) if one_hot else y}, inputs)
        if set(inspect.signature(t.box["accuracy"]).parameters) & {"pred", "preds", "predictions", "predicted"}:
            yield Way("", {"out": Z.argmax(1), "y": y}, inputs)
        for way in t.ways(n):
            X, y = way.inputs(way.values)
            yield Way("", way.values, lambda v, Z=t.logits(X), y=y: ((Z.argmax(1) == y).double(), Z, y))

    t.facts["accuracy"] = t.judge("accuracy", "out W b X y", ways, lambda hits, Z, y: hits, COUNTS, ACCURACY)[1]
    return t.facts["accuracy"]


def predict(t: Trial) -> str:
    """The class with the largest logit."""
    t.set_weights()

    def ways(n: int) -> Iterator[Way]:
        for way in t.ways(n, False):
            Z = t.logits(way.inputs(way.values)[0])
            yield Way("", way.values, lambda v, Z=Z: (Z,))
        Z = t.logits(t.X[:n])
        yield Way("", {"out": Z.T if t.facts.get("columns") else Z}, lambda v, Z=Z: (Z,))

    table = {"it takes the smallest logit": lambda Z: Z.argmin(1) + t.learner.first_label}
    t.judge("predict", "X W b", ways, lambda Z: Z.argmax(1) + t.learner.first_label, {"": lambda p: p.double()}, table)
    return ""


def data_iter(t: Trial) -> str:
    """Every image once, each with its own label, the short last batch too."""
    X, y = torch.arange(20.0).reshape(10, 2).double(), torch.arange(10)
    batches = [parts(tuple(batch)) for batch in t.call("data_iter", "n X y", X=X, y=y, n=4)]
    if not batches or any(len(batch) < 2 for batch in batches):
        raise Unknown("not checked: it does not yield pairs of images and labels")
    images, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    labels = labels - t.learner.first_label
    if images.ndim < 2 or images.shape[1:] != X.shape[1:] or len(labels) != len(images):
        raise Unknown("not checked: its batches are of another kind")
    if not torch.equal(images[:, 0] / 2, labels):
        raise Wrong("images and labels do not belong together: shuffle both with the same permutation", "perm|shuffle")
    sizes = [len(batch[1]) for batch in batches]
    if sorted(labels.tolist()) != list(range(10)):
        missing = sorted(set(range(10)) - set(map(int, labels.tolist())))
        say = f"images {missing} never come" if missing else "some images come twice"
        raise Wrong(f"of 10 images in batches of 4, it yields batches of {sizes}: {say}", "range|//|for")
    return ""


def order_of(t: Trial, piece: str) -> set[str]:
    """The roles that the names of a piece's parameters can stand for."""
    f = t.box[piece]
    names = {name.lower().strip("_") for name in inspect.signature(f if callable(f) else f.forward).parameters}
    return {role for role, known in ROLES.items() if known & names}


def evaluate(t: Trial, piece: str = "evaluate_accuracy") -> str:
    """The share of right answers, over batches of 4, 4 and 2 images, in eval mode, without changing anything."""
    t.set_weights()
    batches = Batches(t)
    training: list[bool] = []
    if t.module is not None:
        t.module.train()
        t.module.register_forward_pre_hook(lambda module, _: training.append(module.training))
    before = [first(a) for a in t.mine]
    values = {"net": t.box.get("net"), "data": batches, "loss": t.box.get("loss")}
    values |= {"W": t.mine[0] if t.mine else t.give(t.W), "b": t.mine[1] if len(t.mine) > 1 else t.give(t.b)}
    found = parts(t.call(piece, "net data W b", **{k: v for k, v in values.items() if v is not None}))
    if any(not close(first(a), b, 0, 1e-9) for a, b in zip(t.mine, before, strict=True)):
        raise Wrong("it changes the weights: evaluating must not train", r"step|updater|backward")
    if is_random(t.module) and any(training):
        raise Wrong("dropout is on while it evaluates: call net.eval() before the loop, and net.train() to train again")
    measured = [measure(t, [first(a) for a in t.mine] or [t.W, t.b], k) for k in range(3)]
    return "returns " + compare_averages(found, measured, measured, must=True)


def sgd(t: Trial) -> str:
    """One step against the gradient, for every parameter."""
    start = {"W": t.give(t.W), "b": t.give(t.b)}
    g = {"W": t.give(t.X[:5].T @ t.Z[:5]), "b": t.give(t.Z[:5].sum(0))}
    n, lr = 5, 0.5
    p0, g0 = {k: first(v) for k, v in start.items()}, {k: first(v) for k, v in g.items()}
    if t.autograd:
        for k, p in start.items():
            p.requires_grad_()
            p.grad = g[k]
    given = {"params": [*start.values()], "grads": [*g.values()], "lr": lr, "n": n}
    given |= {"W": start["W"], "b": start["b"], "dW": g["W"], "db": g["b"]}
    try:
        result = t.call("sgd", "params grads lr n W b dW db", **given)
    except (TypeError, KeyError, AttributeError):
        result = t.call("sgd", "params grads lr n", **given | {"params": start, "grads": {**g, **{f"d{k}": v for k, v in g.items()}}})
    returned = parts(result)
    note = []
    for k in ("W", "b"):
        now = first(start[k])
        if close(now, p0[k], 0, 1e-9):
            now = next((r for r in returned if r.shape == p0[k].shape), now)
        step = (p0[k] - now) / lr
        size = max(float(p0[k].abs().max()), 1.0) * 1e-6 / lr
        if close(step, g0[k] / n, 1e-3, size):
            note.append("divides by batch_size")
            continue
        if close(step, g0[k], 1e-3, size):
            note.append("does not divide by batch_size")
            continue
        if not step.any():
            say = f"{k} is unchanged after the step: p = p - ... only gives the name p to a new tensor. Change the tensor itself, p -= ... under torch.no_grad(), or return the new one"
            raise Wrong(say, r"=.*(lr|step|grad)")
        extra = step - g0[k] / n
        for name, rest in (("divides by batch_size", step - g0[k] / n), ("does not divide by batch_size", step - g0[k])):
            c = float((rest * p0[k]).sum() / p0[k].square().sum())
            if 0 < c < 1 and close(rest, c * p0[k], 1e-2, 10 * size):
                note.append(f"{name}, weight decay {c:.3g}")
                break
        else:
            table = {
                "it goes up the gradient: subtract lr × gradient": -g0[k] / n,
                "it goes up the gradient: subtract it ": -g0[k],
                "it divides by batch_size twice": g0[k] / n**2,
                "it multiplies by batch_size": g0[k] * n,
                "lr is not used: subtract lr × gradient": g0[k] / n / lr,
                "lr is not used: subtract lr × gradient ": g0[k] / lr,
                "lr is used twice: subtract lr × gradient": g0[k] / n * lr,
                "lr divides, it should multiply": g0[k] / n / lr**2,
                "the parameter is replaced by its step: p - lr × gradient is right": (p0[k] + lr * g0[k] / n) / lr,
                "it uses only the sign of the gradient": g0[k].sign() / n,
                "the gradient is set to 0 before it is used": 0 * g0[k],
            }
            for say, wrong in table.items():
                if close(step, wrong, 1e-3, size):
                    raise Wrong(f"{k}: {say}", r"lr|-=|\+=")
            raise Wrong(f"the step of {k} is wrong: {differ(step, g0[k] / n if abs(extra).mean() < abs(step).mean() else g0[k], n)}", r"lr")
    if note[0] != note[1]:
        if note[0].split(",")[0] != note[1].split(",")[0]:
            raise Wrong(f"W {note[0]}, but b {note[1]}")
    t.facts["sgd"] = note[0].split(",")[0]
    if t.autograd:
        t.facts["zeroes"] = all(p.grad is None or not p.grad.any() for p in start.values())
    return note[0]


def updater(t: Trial) -> str:
    """It moves every parameter of this net, all by the same multiple of their gradients."""
    u = t.box["updater"]
    if isinstance(u, torch.optim.Optimizer):
        held = [p for group in u.param_groups for p in group["params"]]
        if t.module is not None:
            for name, p in t.module.named_parameters():
                if not any(p is q for q in held):
                    none = not any(q is p for q in held for p in t.module.parameters())
                    say = "holds none of the net's parameters: it was made for another net. Make it after the net" if none else f"does not hold {name}, so it is never trained: pass net.parameters()"
                    raise Wrong(say)
        elif t.mine:
            for a, name in zip(t.mine, "Wb", strict=False):
                if not any(a is q for q in held):
                    raise Wrong(f"does not hold {name}, so it is never trained: pass [W, b]")
        group = u.param_groups[0]
        if group.get("maximize"):
            raise Wrong("maximize=True goes up the loss", "maximize")
        extras = {k: group[k] for k in ("momentum", "weight_decay") if group.get(k)}
        t.facts["updater"] = "plain"
        return ", ".join([f"{type(u).__name__}", *(f"{k} {v}" for k, v in extras.items())])
    if not (t.objects or t.autograd) or not t.mine:
        return ""
    sizes = {}
    for n in (4, 2):
        with t.learner.sandbox() as box:
            inner = Trial(t.learner, box)
            inner.set_weights()
            before = [first(p) for p in inner.mine]
            for p in inner.mine if not t.objects else ():
                p.grad = torch.full_like(p, 3.0)
            for a in gradients_in(inner) if t.objects else ():
                write(a, torch.full(tuple(a.shape), 3.0))
            step(inner, n)
            if not hasattr(u, "step"):
                t.facts["zeroes"] = all(p.grad is None or not p.grad.any() for p in inner.mine)
            moved = [(a - first(p)) / 3 for a, p in zip(before, inner.own_weights(), strict=True)]
        if len(moved) == 2 and moved[0].any() and moved[1].any() and not close(moved[0].mean(), moved[1].mean(), 1e-2):
            ratio = float(moved[0].mean() / moved[1].mean())
            raise Wrong(f"with equal gradients, W moves {ratio:.4g} times as far as b", r"[wW]\b.*lr|lr.*[wW]\b")
        for name, m in zip("Wb", moved, strict=False):
            if not m.any():
                raise Wrong(f"{name} is not moved by the updater, only {'b' if name == 'W' else 'W'}", r"sgd|step")
        sizes[n] = [float(m.mean()) for m in moved]
    k4, k2 = sizes[4][0], sizes[2][0]
    if k4 < 0:
        raise Wrong("it goes up the gradient: subtract lr × gradient")
    lr, nominal = find_lr(t), t.learner.ns.get("batch_size")
    takes = bool(inspect.signature(u if callable(u) else u.step).parameters)
    t.facts["lr"] = k4
    if abs(k2 / k4 - 2) < 0.05:
        t.facts["updater"], t.facts["lr"] = "divides", 4 * k4
        return "divides by the batch size it gets"
    if abs(k2 / k4 - 4) < 0.1:
        raise Wrong("it divides by the batch size twice: once here and once in sgd", "/|sgd")
    t.facts["updater"] = "plain"
    if nominal and lr and abs(k4 * nominal / lr - 1) < 0.01:
        if takes or t.facts.get("reduction") != "their mean":
            raise Wrong(f"it divides by {nominal}, whatever the length of the batch: the last batch is shorter. Divide by the batch size that it is given", "batch_size")
    return "does not divide"


def step(t: Trial, n: int) -> None:
    """Let the learner's updater take a step."""
    u = t.box["updater"]
    f = u.step if hasattr(u, "step") else u
    required = [p for p in inspect.signature(f).parameters.values() if p.default is p.empty and p.kind in (0, 1)]
    f(*[n] * len(required[:1]))


def find_lr(t: Trial) -> float | None:
    """The learning rate in the file, if there is one."""
    return next((v for k, v in t.learner.ns.items() if k.lower() in ROLES["lr"] and isinstance(v, float)), None)


def init_params(t: Trial) -> str:
    """The same seed gives the same weights, whatever was drawn before; another seed gives others."""
    f = t.box["init_params"]
    seeded = "seed" in order_of(t, "init_params")
    drawn = []
    for state, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(state)
        __import__("numpy").random.seed(state)
        drawn.append(parts(t.call("init_params", "features classes", seed=seed)))
    if len(drawn[0]) < 2:
        return ""
    W = drawn[0][0]
    if seeded and not all(map(close, drawn[0], drawn[1])):
        raise Wrong("the same seed gives other weights the second time: set the seed before drawing, not after", "seed")
    if seeded and W.any() and close(W, drawn[2][0]):
        raise Wrong("another seed gives the same weights: the seed is not used", "seed")
    del f
    raw = t.call("init_params", "features classes", seed=0)
    for a in raw if isinstance(raw, tuple | list) else ():
        if torch.is_tensor(a) and a.requires_grad and not a.is_leaf:
            raise Wrong("a weight is not a leaf but the result of a computation, so its grad stays None: compute first, then call requires_grad_()", "requires_grad")
    return "" if W.any() else "W is 0 at the start, which is harmless without hidden layers"


def seed(t: Trial) -> str | None:
    """A file that sets a seed draws its weights after it."""
    again = t.learner.again
    if again is None:
        return None
    with quiet():
        import numpy as np

        states, drawn = [], []
        for state in (1, 2):
            torch.manual_seed(state), np.random.seed(state)
            ns = again()
            states.append((torch.get_rng_state(), np.random.get_state()[1].tolist()))
            drawn.append([first(a) for n, a in arrays({k: v for k, v in ns.items() if not k.startswith("_")}) if a.ndim])
    same = torch.equal(states[0][0], states[1][0]) or states[0][1] == states[1][1]
    if same and len(drawn[0]) == len(drawn[1]) and not all(map(close, *drawn)):
        raise Wrong("the seed is set after the weights are drawn, so no two runs start alike: set it first", "seed")
    return None


PROBES: list[tuple[str, tuple[str, ...], Callable[[Trial], str | None]]] = [
    ("softmax", ("softmax",), softmax),
    ("one_hot", ("one_hot",), one_hot),
    ("data_iter", ("data_iter",), data_iter),
    ("init_params", ("init_params",), init_params),
    ("weights", (), weights),
    ("net", ("net",), net),
    ("loss", ("loss",), loss),
    ("net + loss", ("net", "loss"), net_loss),
    ("backward", ("net", "loss"), backward),
    ("gradients", ("gradients",), gradients),
    ("sgd", ("sgd",), sgd),
    ("updater", ("updater",), updater),
    ("accuracy", ("accuracy",), accuracy),
    ("predict", ("predict",), predict),
    ("evaluate_accuracy", ("evaluate_accuracy",), evaluate),
    ("train_epoch", ("train_epoch",), epoch),
    ("seed", (), seed),
]
