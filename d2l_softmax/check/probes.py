"""The probes of what computes: softmax, net, loss, gradients, accuracy. Each raises `Wrong` or returns a note."""

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from d2l_softmax.check import mistakes
from d2l_softmax.check.epoch import output, run
from d2l_softmax.check.learner import Unjudged, Unknown, arrays, is_array
from d2l_softmax.check.mistakes import ACCURACY, GRADIENTS, LOSS, NET, PENALTY, SOFTMAX, TOO_LARGE, at, hot
from d2l_softmax.check.names import ROLES
from d2l_softmax.check.trial import (
    CUTS,
    OUTPUTS,
    Trial,
    Way,
    Wrong,
    close,
    differ,
    explain,
    first,
    near,
    parts,
    roles,
    write,
)

LOSSES = {
    "one loss per image": lambda l: l,
    "their mean": lambda l: l.mean(),
    "their sum": lambda l: l.sum(),
    "one loss per image, as a column": lambda l: l[:, None],
}
COUNTS = {
    "counts": lambda hits: hits.sum(),
    "returns a fraction": lambda hits: hits.mean(),
    "returns a percentage": lambda hits: 100 * hits.mean(),
    "returns 1 or 0 for each image": lambda hits: hits if len(hits) > 1 else hits[0],
}
SAME = {"": lambda result: result}


def kind_of(out: Tensor) -> str:
    """Whether rows are logits, probabilities or log-probabilities."""
    ones = torch.ones(len(out))
    if close(out.sum(1), ones) and (out >= 0).all():
        return "probabilities"
    return "log-probabilities" if close(out.exp().sum(1), ones) else "logits"


def softmax(t: Trial) -> str:
    """Probabilities that add up to 1 for each image, also for extreme logits."""
    right = (lambda Z: Z.log_softmax(1)) if "log" in t.learner.called["softmax"].lower() else (lambda Z: Z.softmax(1))
    ways = lambda n: iter([Way("", {"out": t.Z[:n]}, lambda v: (v["out"],))])  # noqa: E731
    try:
        t.judge("softmax", "out", ways, right, SAME, SOFTMAX, key="out")
    except Wrong as wrong:
        t.facts["of_one"] = str(wrong) == mistakes.WHOLE_BATCH
        raise
    for which, Z in {
        "logits of 1000": t.Z + 1000,
        "rows that differ by hundreds": t.Z + torch.linspace(-900, 900, 7)[:, None].double(),
        "the logits 1000, 0, 0, …": 1000 * t.Y,
    }.items():
        got = t.result("softmax", "out", out=Z)
        if not close(got, right(Z), 5e-3):
            overflow(t, "softmax", f"for {which} {differ(got, right(Z))}")
    return ""


def overflow(t: Trial, piece: str, says: str) -> None:
    """Raise `Wrong` for a piece that is right for small logits alone, unless it uses one of which this was said."""
    if t.facts.setdefault("overflow", piece) == piece:
        raise Wrong(
            f"right for small logits, as the book's, but {says}: exp overflows above 88 in float32 and is 0 far "
            "below. Subtract each row's own maximum before exp, X - X.max(dim=1, keepdim=True).values, which cancels "
            "out",
            "exp",
        )


def one_hot(t: Trial) -> str:
    """A row with one 1 for each label, whatever other labels are in the batch."""
    for y in (torch.arange(t.classes), torch.tensor([t.classes - 1, 0, t.classes - 1, 1]), torch.tensor([0, 1])):
        want, shown = F.one_hot(y, t.classes).double(), (y + t.learner.first_label).tolist()
        got = t.result("one_hot", "y classes", y=y, n=t.classes)
        if close(got, want):
            continue
        say = differ(got, want)
        if got is not None and got.shape == want.shape and close(got.sum(1), torch.ones(len(y))):
            row = int((got - want).abs().sum(1).argmax())
            say = f"label {shown[row]} gets column {int(got[row].argmax())}"
        if len(y) < t.classes:
            say += ". A label's column is the label itself, and there is one for each class, also for those missing"
        is_row = got is not None and got.ndim == 2 and len(got) == len(want)
        raise Wrong(f"for the labels {shown}, {say}", known=is_row)
    return ""


def trainable(named: Iterable[tuple[str, Any]], of_file: bool = False) -> None:
    """Raise `Wrong` for a weight that is not a leaf, and for a bias with one element."""
    for name, a in named:
        if torch.is_tensor(a) and a.requires_grad and not a.is_leaf:
            raise Wrong(
                f"{name or 'a weight'} is the result of a computation, not a leaf, so its grad stays None and it is "
                "never trained. Compute first, then call requires_grad_()",
                "requires_grad",
                name if of_file else "",
            )
        if name.lower() in ROLES["b"] and a.shape and max(a.shape) == 1:
            say = f"{name} has one element, which changes nothing: it needs one for each class"
            raise Wrong(say, rf"\b{name}\b", name if of_file else "")


def weights(t: Trial) -> None:
    """W and b of the file are leaves that require a gradient."""
    if not t.autograd:
        return
    names = ROLES["W"] | ROLES["b"]
    mine = [(n, a) for n, a in t.learner.tensors if n.lower() in names and n not in t.learner.unused]
    trainable(mine, of_file=True)
    learned = {name for name, a in mine if a.requires_grad}
    frozen = [name for name, _ in mine if name not in learned]
    said = any(re.search("requires_grad|Parameter", line.split("#")[0]) for line in t.learner.source)
    if t.module is None and frozen and (len(frozen) < len(mine) or not said):
        raise Wrong(f"{frozen[0]} does not require a gradient, so it is never trained", name=frozen[0])


def net(t: Trial) -> str:
    """Logits or probabilities of X W + b, with the learner's own W and b, all of which are trained."""
    if t.module is not None:
        parameters(t, t.module)
        t.module.eval()
    t.set_weights()
    t.need_weights("net")
    # A forward pass may return its inputs, too, for the backward pass.
    take = lambda found: next((p for p in found if t.classes in p.shape), next(iter(found), None))  # noqa: E731

    def ways(n: int) -> Iterator[Way]:
        for way in t.ways(n, False):
            yield way._replace(inputs=lambda v: (t.logits(t.X[:n]), t.b))

    mixed = (
        "it mixes the pixels of different images: reshape(features, -1) does not turn a batch into columns. Write "
        "X.reshape(-1, features), and .T after it for columns"
    )
    table = NET | {mixed: lambda Z, b: t.logits(t.X[: len(Z)].reshape(t.features, -1).T)}
    try:
        way, form = t.judge("net", "X W b", ways, lambda Z, b: Z, OUTPUTS, table, take)
    except Wrong as wrong:
        if not wrong.known and "pixels" not in t.facts and preprocesses(t, take):
            return net(t)
        t.facts.setdefault("net", "logits")
        raise
    t.facts.update(way=way, net=form)
    if "X" in t.turned:
        # Who expects columns refuses rows, unless they are reshaped.
        out, t.turned = None, t.turned - {"X"}
        with contextlib.suppress(Exception):
            out = take(parts(t.call("net", "X W b", **next(ways(7)).values | {"X": t.X[:7]})))
        t.turned |= {"X"}
        if out is not None and out.numel() == t.Z.numel():
            raise Wrong(mixed, r"reshape|view")
    if t.facts["net"] != "logits":
        t.set_weights(300.0)
        values = next(ways(7)).values
        got = take(t.results("net", "X W b", **values | {"W": 300 * values["W"]}))
        if got.isnan().any():
            overflow(
                t, "net", f"{int(got.isnan().sum())} of {got.numel()} values are nan for logits of some hundreds"
            )
        t.set_weights()
    if t.autograd and t.mine and not output(t.call("net", "X W b", **next(ways(7)).values)).requires_grad:
        raise Wrong("no gradient reaches W and b: .detach(), .data or no_grad cuts them off", CUTS, alone=True)
    return f"returns {form}" + (", a column for each image" if t.turned else "")


def preprocesses(t: Trial, take: Callable) -> bool:
    """Whether the net scales and shifts the pixels, as a normalisation does; note by how much."""
    centred = lambda a: a - a.mean(1, keepdim=True)  # noqa: E731
    for way in t.ways(7, False):
        with contextlib.suppress(Exception):
            out = take(t.results("net", "X W b", **way.values))
            out = out if kind_of(out) == "logits" else out.log() if kind_of(out) == "probabilities" else out
            shift = t.W.sum(0).expand(7, -1)
            (a, d, k), off = explain(centred(out), [centred(B) for B in (t.X[:7] @ t.W, shift, t.b.expand(7, -1))])
            if off < 1 and near(k, 1) and a > 0:
                t.facts["pixels"] = (a, d)
                return True
    return False


def parameters(t: Trial, module: torch.nn.Module) -> None:
    """Everything that a module learns is among its parameters, and requires a gradient."""
    held = [*module.parameters(), *module.buffers()]
    for name, a in arrays(vars(module)):
        if not any(a is p for p in held) and (a.requires_grad or max(a.shape, default=0) in (t.classes, t.features)):
            raise Wrong(
                f"{name} is not among net.parameters(), so the optimizer never moves it, and it is not saved. Write "
                f"self.{name} = nn.Parameter(...), and nn.ModuleList for a list of layers",
                rf"self\.{name}\s*=",
            )
    for name, p in module.named_parameters():
        if not p.requires_grad:
            raise Wrong(f"{name} does not require a gradient, so it is never trained", "requires_grad|no_grad")


def loss_ways(t: Trial, n: int) -> Iterator[Way]:
    """A loss of what the net returns, or of images, with labels as indices or one-hot: of p, log p and labels."""
    # CrossEntropyLoss is right for log-probabilities, too, but its gradient is that by logits.
    for form, one_hot in itertools.product(
        sorted(OUTPUTS, key=lambda form: form != "probabilities" or t.facts.get("net") != form), (False, True)
    ):

        def inputs(v: dict, form: str = form) -> tuple:
            Z = v["out"].log() if form == "probabilities" else v["out"]
            lp = Z.log_softmax(1) if form == "logits" else Z
            return v["out"] if form == "probabilities" else lp.exp(), lp, t.y[:n], Z

        values = {"out": OUTPUTS[form](t.Z[:n]), "y": t.Y[:n] if one_hot else t.y[:n]}
        yield Way((form, one_hot), values, inputs)
        if one_hot and "y" not in roles(t.box["loss"]):
            # cross_entropy(p, q), p being what is true
            swapped = {"out": values["y"], "y": values["out"]}
            yield Way((form, one_hot), swapped, lambda v, inputs=inputs: inputs({"out": v["y"]}))
    for way in t.ways(n):
        Z = t.logits(t.X[:n])
        yield way._replace(inputs=lambda v, Z=Z: (Z.softmax(1), Z.log_softmax(1), t.y[:n], Z))


def loss(t: Trial) -> str:
    """−log p of the right class: one per image, their mean or their sum, with or without an L2 penalty."""
    t.set_weights()
    module = t.box["loss"]
    if getattr(module, "label_smoothing", 0) or getattr(module, "weight", None) is not None:
        raise Unknown("it smooths the labels or weights the classes")
    c = penalty(t)
    t.facts |= {"penalty": c} if c else {}
    views = {name: (lambda l, r=r: r(l) + c * t.W.square().sum()) for name, r in LOSSES.items()}
    views |= {f"{name}, of b too": (lambda l, r=r: r(l) + c * t.b.square().sum()) for name, r in views.items() if c}
    wrong = None
    try:
        label, reduction = t.judge(
            "loss", "out W b X y", lambda n: loss_ways(t, n), lambda p, lp, y, Z: -at(lp, y), views, LOSS, key="out"
        )
    except Wrong as error:
        label, reduction = t.found or ((t.facts.get("net", "probabilities"), False), "one loss per image")
        wrong = error
    form = label[0] if isinstance(label[0], str) else "images"
    if form == "probabilities" and t.facts.get("net", form) == form and not wrong:
        constant_in_log(t, label[1])
    # A wrong one is replaced, for the probes that follow, by one that takes what the net returns.
    form = t.facts.get("net", form) if wrong and form != "images" else form
    t.facts.update(loss=form, reduction=reduction.split(",")[0], one_hot=bool(label[-1]))
    if wrong:
        raise wrong
    if form == "images":
        t.facts.setdefault("way", label)
        returned = parts(t.call("loss", "W b X y", **next(w for w in t.ways(7) if w.label == label).values))
        if any(a.numel() == t.W.numel() for a in returned):
            t.box["gradients"] = t.box["loss"]
            try:
                reduction += f", and gradients: {gradients(t)}"
            except Wrong as wrong:
                wrong.known = True  # with a right loss, it was called rightly
                raise
        return f"returns {reduction}" + (f", with a penalty of {c:.4g} × sum of W²" if c else "")
    if form == "logits":
        small, large = (t.result("loss", "out y", out=Z, y=t.Y if label[1] else t.y) for Z in (t.Z, t.Z + 1000))
        if not close(large, small, 5e-3):
            overflow(t, "loss", f"for logits of 1000 {differ(large, small)}")
    return f"takes {form}{' and one-hot labels' * label[1]}, returns {reduction}"


def penalty(t: Trial) -> float:
    """The factor of an L2 penalty in a loss of W: what W adds to it where all images are 0."""
    found: list[float] = []
    for way in t.ways(7):
        same = {"X": 0 * way.values["X"], "out": torch.full_like(t.Z, 1 / t.classes)}
        W, values, found = way.values["W"].clone(), way.values | same, []
        if len(W) > max(t.features, t.classes):
            W[[0, -1]] = 0  # one of them is a bias
        with contextlib.suppress(Exception):
            for scale in (0.0, 1.0, 2.0):
                t.set_weights(scale)
                values |= {"W": scale * W, "params": t.packed(t.give(scale * W), t.give(way.values["b"]))[0]}
                found.append(float(parts(t.call("loss", "", **values))[0]))
            break
    t.set_weights()
    if len(found) < 3 or not abs(found[1] - found[0]) > 1e-7:
        return 0.0
    if abs((found[2] - found[0]) / (found[1] - found[0]) - 4) > 1e-2:
        raise Unknown("it adds a penalty on W that is not a multiple of the sum of W²")
    return (found[1] - found[0]) / float(W.square().sum())


def constant_in_log(t: Trial, one_hot: bool) -> None:
    """A constant of at most 1e-6 inside the logarithm is harmless; a larger one, or a limit, biases the loss."""
    p, y = torch.full((1, t.classes), 1e-9, dtype=torch.float64), torch.tensor([1])
    p[0, 1], p[0, 0] = 1e-4, 1 - 1e-4
    l = t.result("loss", "out y", out=p, y=hot(p, y) if one_hot else y)
    extra = float(torch.exp(-l).sum()) - 1e-4 if l is not None else 0.0
    if 3e-6 < extra < 0.05:
        raise Wrong(
            f"{float(l.sum()):.4f} instead of 9.2103 for a probability of 0.0001: {extra:.1g} is added to it inside "
            "the logarithm, or smaller ones are raised to it. The loss is too small, the more so the smaller the "
            "probability, and so is the gradient. Compute it from logits with log-sum-exp, which needs no constant, "
            "or take at most 1e-6",
            r"log|clamp|clip",
        )


def net_loss(t: Trial) -> str | None:
    """Softmax is applied once between X W + b and the logarithm."""
    gets, takes, who = t.facts.get("net"), t.facts.get("loss"), t.learner.called["net"]
    if takes in (None, "images") or gets is None:
        return None
    observed = passed_to_loss(t)
    if observed is not None and kind_of(observed) != gets:
        gets, who = kind_of(observed), t.learner.called["train_epoch"]
    if gets == takes or (gets, takes) == ("log-probabilities", "logits"):
        return ""
    t.facts["passes"] = gets
    say = f"{who} gives {gets}, but {t.learner.called['loss']} takes {takes}"
    if (gets, takes) == ("probabilities", "logits"):
        say += " and applies softmax again: the loss cannot fall below 1.46, and learning is slow. Remove the first"
        say += " softmax"
    elif takes == "log-probabilities" and gets == "probabilities":
        say += ": the logarithm is missing"
    elif gets == "logits":
        say += f": {'log_' if takes[:3] == 'log' else ''}softmax is missing"
        if "softmax" in t.box and observed is None:
            raise Unknown(f"{say}, unless softmax is called between them")
    raise Wrong(say, "[sS]oftmax")


def passed_to_loss(t: Trial) -> Tensor | None:
    """The first array that train_epoch passes to the loss, a row for each image."""
    seen: list[Any] = []
    with contextlib.suppress(Exception), t.learner.sandbox() as box:
        f = box["loss"]

        def recorder(*args: Any, **kwargs: Any) -> Any:
            seen.append(first(next(filter(is_array, [*args, *kwargs.values()]), None)))
            return (f if callable(f) else f.forward)(*args, **kwargs)

        t.learner.put(box, "loss", recorder)
        run(Trial(t.learner, box))
    return t.turn(seen[0], seen[0].shape[-1]) if seen and seen[0] is not None and seen[0].ndim == 2 else None


def derivative(t: Trial, found: dict[str, Tensor | None], X: Tensor, p: Tensor, Y: Tensor) -> dict[str, int]:
    """Explain dW and db as factors times the derivatives of the mean loss, and of a penalty; return the factors."""
    n, c, factors = len(X), t.facts.get("penalty", 0.0), {}
    known = {"": p - Y} | {say: f(p, Y) for say, f in GRADIENTS.items()}
    for part, got in found.items():
        basis, own = (lambda D: X.T @ D / n, t.W) if part == "W" else (lambda D: D.mean(0), t.b)
        place = rf"\bd{part.lower()}\b|grad_{part}|return" if part == "b" else "return|dot|@|matmul"
        if part == "b" and got is not None and got.numel() in (1, n) and n != t.classes:
            what = "is one number" if got.numel() == 1 else "has one for each image"
            raise Wrong(f"db {what}: sum over the images alone, axis=0, for one of each class", place)
        if got is None:
            raise Wrong(f"there is no d{part} of the shape {tuple(own.shape)}", place, known=False)
        if got.numel() != own.numel():
            raise Wrong(f"d{part}: {differ(got, basis(p - Y), n)}", place, known=False)
        got = got.reshape(own.shape)
        for say, D in known.items():
            (a, k), off = explain(got, [basis(D), own])
            if off < 1 and (not say or near(a, 1) or near(a, n)):
                break
        else:
            raise Wrong(f"d{part}: for {n} images, {differ(got, basis(p - Y), n)}", place, known=False)
        if say:
            raise Wrong(f"d{part}: {say}", place)
        factors[part] = next((m for m in (1, n, -1, -n) if near(a, m)), 0)
        if not factors[part]:
            raise Wrong(f"d{part}: {differ(a * basis(p - Y), basis(p - Y), n)}", place)
        times = (k if a > 0 else -k) / (c or 1)
        if part == "W" and c and not near(times, 2):
            say = next((say for say, wrong in PENALTY.items() if near(times, wrong)), None)
            say = say or f"it has {times:.3g} c W where the derivative of the penalty is 2 c W"
            raise Wrong(f"dW: {say}", "reg|lam|decay|l2|W")
    return factors


def own_derivative(t: Trial) -> tuple[Way, dict[str, int]]:
    """Call the learner's gradients for 7 images in every way; return the one that is right, and its factors."""
    errors: list[Exception] = []
    X, y, shape = t.X[:7], t.y, t.W.shape

    def take(returned: list[Tensor]) -> dict[str, Tensor | None]:
        """Pick dW, as (features, classes), and db from what is returned in any order."""
        rest = [a for a in returned if a.ndim < 3]
        if theta := [a for a in rest if a.shape == (shape[0] + 1, shape[1])]:
            last = t.bias_last
            found = {"W": theta[0][:-1] if last else theta[0][1:], "b": theta[0][-1 if last else 0]}
        else:
            dW = next((a for a in rest if a.ndim == 2 and a.numel() == t.W.numel()), None)
            rest = [a for a in rest if a is not dW]
            db = next((a for size in (t.classes, 1, 7) for a in rest if a.numel() == size), None)
            found = {"W": dW if dW is None or dW.shape == shape else dW.T, "b": db}
        return found if t.has_bias() else {"W": found["W"]}

    for way, form in itertools.product(t.ways(7), ("probabilities", "logits")):
        values = way.values | {"out": OUTPUTS[form](t.logits(X))}
        with contextlib.suppress(Exception):
            # What a forward pass keeps for the backward pass is the last thing that it returns.
            values["cache"] = t.call("net", "X W b", **way.values)[-1]
        try:
            returned = parts(t.call("gradients", "W b X y out", **values))
            found = take(returned or parts((*t.own_gradients(), *t.own_numbers())))
            p = t.logits(X).softmax(1)
            return way._replace(values=values), derivative(t, found, X, p, hot(p, y))
        except Exception as error:
            errors.append(error)
    raise min(errors, key=lambda error: 2 - isinstance(error, Wrong) - getattr(error, "known", False))


def gradients(t: Trial) -> str:
    """dW and db are the derivatives of the learner's own loss, or of the sum of the losses."""
    t.set_weights()
    way, factors = own_derivative(t)
    t.again("gradients", "W b X y out", way)
    t.facts.setdefault("way", way.label)
    if len(set(factors.values())) > 1:
        names = {1: "a mean", 7: "a sum", -1: "a mean with the wrong sign", -7: "a sum with the wrong sign"}
        raise Wrong(f"dW is {names[factors['W']]} over the images, but db {names[factors['b']]}", r"\bdb\b")
    is_sum, reduction = abs(factors["W"]) == 7, t.facts.get("reduction")
    if reduction == "their sum" and not is_sum and t.facts.get("penalty"):
        raise Wrong("it is the derivative of the mean of the losses and the penalty, but the loss adds the losses up")
    # A step that adds, or divides, makes these right, which only an epoch shows.
    t.facts |= {"ascends": factors["W"] < 0, "too_large": reduction == "their mean" and is_sum}
    has_epoch = "train_epoch" in t.box and not t.learner.draws
    if t.facts["ascends"] and not has_epoch:
        if re.search("ascen|likelihood", " ".join([*t.learner.words, *t.learner.ns])):
            raise Unjudged("their signs are those of an ascent")
        raise Wrong("the signs of dW and db are wrong", "return")
    if t.facts["too_large"] and not has_epoch and not ("sgd" in t.box and "n" in roles(t.box["sgd"])):
        raise Wrong(TOO_LARGE, "return")
    return "a sum over the images" if is_sum else "a mean over the images"


def softmax_backward(t: Trial) -> None:
    """The backward pass of a softmax or log_softmax layer is the gradient from above times the derivatives."""
    name, p, g = t.learner.called["softmax"], t.Z.softmax(1), t.weighting
    t.call("softmax", "out", out=t.Z)
    got = t.turn(first(t.box["softmax"].backward(t.give(g, "out"))), 7)
    want = g - p * g.sum(1, True) if "log" in name.lower() else p * (g - (p * g).sum(1, True))
    if not close(got, want):
        says = {"the derivatives by the other logits are missing": g * p * (1 - p), "it returns what it gets": g}
        say = next((say for say, wrong in says.items() if close(got, wrong)), differ(got, want))
        raise Wrong(f"it is not the derivative of forward: {say}", "return", f"{name}.backward", say in says)


def backward(t: Trial) -> str | None:
    """The backward passes of layer and loss objects are the derivatives of their forward passes."""
    criterion, layer = t.box["loss"], t.box.get("net")
    if not t.objects and not hasattr(criterion, "backward"):
        return None
    t.set_weights()
    scale = 1 / 7 if t.facts.get("reduction") == "their mean" else 1.0
    names = {of: f"{t.learner.called.get(of)}.backward" for of in ("net", "loss")}

    def call(of: str, *arguments: Any) -> Any:
        """Call a backward with as many arguments as it needs; a lone one of the loss is the gradient from above."""
        f = t.box[of].backward
        needed = sum(p.default is p.empty for p in inspect.signature(f).parameters.values())
        return f(*arguments[:needed]) if needed != 1 or len(arguments) == 1 else f(1.0)

    # The derivative may be that by what the loss takes, or that by the logits, of which log p are some, too.
    taken = OUTPUTS.get(t.facts.get("loss"), OUTPUTS["logits"])(t.Z)
    by_taken = {"probabilities": lambda p: -t.Y / p, "log-probabilities": lambda p: -t.Y}.get(t.facts.get("loss"))
    t.call("loss", "out y", out=taken, y=t.y)
    layered = hasattr(t.box.get("softmax"), "backward")
    if layered:
        softmax_backward(t)
    for which in ("for 7 images, ", "it is right the first time, but in a second call "):
        p = t.Z.softmax(1)
        D = got = (p - t.Y) * scale
        if hasattr(criterion, "backward"):
            got = t.turn(first(call("loss", t.give(taken, "out"), t.give(t.y))), 7)
        right = [D] * (not by_taken or not layered) + ([by_taken(p) * scale] if by_taken else [])
        if not any(close(got, want) for want in right):
            says = [say for say, f in GRADIENTS.items() if close(got, f(p, t.Y) * scale)]
            say = says[0] if says else differ(got, right[-1], 7)
            if layered and close(got, D):
                say = f"it is p − Y, that of softmax too, which {t.learner.called['softmax']}.backward adds once more"
            if which[0] == "i":
                say += ": it changes what forward has kept. Work on a copy, grad = self.probs.copy()"
            raise Wrong(f"it is not the derivative of forward: {which}{say}", "def backward", names["loss"])
    if not t.objects:
        return ""
    t.need_weights("net")
    # Else something may be between them, such as a softmax.
    chained = hasattr(criterion, "backward") and t.facts.get("net") in (None, t.facts.get("loss"))

    def passes(X: Any, y: Any) -> list[Any]:
        """The arrays that a layer holds and returns after a forward and a backward pass."""
        for a in t.own_gradients():
            if any(a.shape == own.shape for own in t.mine):
                write(a, torch.zeros(tuple(a.shape)))  # it may be added to
        out = output(getattr(layer, "forward", layer)(X))
        getattr(criterion, "forward", criterion)(out, y)
        D = (t.logits(t.X[:7]).softmax(1) - t.Y) * scale
        returned = call("net", call("loss", out, y) if chained else t.give(D, "out"))
        return [*t.own_gradients(), *parts(returned), *t.own_numbers()]

    t.box["gradients"] = passes
    try:
        gradients(t)
    except Wrong as wrong:
        raise Wrong(str(wrong), wrong.pattern, names["net"], wrong.known, wrong.alone) from None
    return ""


def accuracy(t: Trial) -> str | None:
    """The number of right answers, or their share."""
    t.set_weights()
    # Every image is like the positive weights of its own class, so that not all get the same answer.
    t.X = 0.1 * (t.W[:, (torch.arange(10) * 3 + 1) % t.classes] > 0).double().T
    t.X[0] *= 2  # the largest entry of all is in the first row
    t.X[1] /= 5  # the probability of its class is below 0.5
    Z, form = t.logits(t.X[:7]), OUTPUTS[t.facts.get("net", "logits")]
    takes = roles(t.box["accuracy"])
    # Two wrong answers, for which every known mistake gives another number of right ones.
    t.y = Z.argmax(1)
    t.y[[3, 4]] = int(t.y[0])

    def ways(n: int) -> Iterator[Way]:
        Z, y = t.logits(t.X[:n]), t.y[:n]
        inputs = lambda v: ((Z.argmax(1) == y).double(), Z, y)  # noqa: E731
        yield Way("", {"out": form(Z), "y": y}, inputs)
        if t.facts.get("one_hot") or "one_hot" in t.box:
            yield Way("", {"out": form(Z), "y": hot(Z, y)}, inputs)
        if any("pred" in name.lower() for name in inspect.signature(t.box["accuracy"]).parameters):
            yield Way("", {"out": Z.argmax(1), "y": y}, inputs)
        for way in t.ways(n) if {"X", "net"} & takes or "out" not in takes else ():
            yield way._replace(inputs=inputs)

    take = lambda found: found[0].reshape(()) if found and found[0].numel() == 1 else first(found)  # noqa: E731
    return t.judge("accuracy", "out W b X y", ways, lambda hits, Z, y: hits, COUNTS, ACCURACY, take)[1]


def predict(t: Trial) -> str:
    """The class with the largest logit."""
    t.set_weights()
    found: list[Tensor] = []
    with contextlib.suppress(Exception):
        found = t.results("predict", "X W b", **next(t.ways(7, False)).values)
    if not found:
        raise Unknown("it returns no numbers")
    if found[0].shape == (7, t.classes):
        return "returns a number for each class"

    def ways(n: int) -> Iterator[Way]:
        inputs = lambda v: (t.logits(t.X[:n]),)  # noqa: E731
        for way in t.ways(n, False):
            yield Way("", way.values, inputs)
        yield Way("", {"out": t.logits(t.X[:n])}, inputs)

    largest = lambda Z: Z.argmax(1).double() + t.learner.first_label  # noqa: E731
    table = {"it takes the smallest logit: take argmax": lambda Z: largest(-Z)}
    table |= {"it returns the largest logit, not its place: take argmax": lambda Z: Z.amax(1)}
    take = lambda found: found[0].flatten() if found else None  # noqa: E731
    return t.judge("predict", "X W b", ways, largest, SAME, table, take)[1]
