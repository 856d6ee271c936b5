"""The probes of what computes: softmax, net, loss, gradients, accuracy. Each raises `Wrong` or returns a note."""

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from d2l_softmax.check.epoch import output, run
from d2l_softmax.check.learner import Unknown, arrays, is_array, names_in
from d2l_softmax.check.mistakes import ACCURACY, GRADIENTS, LOSS, NET, PENALTY, SOFTMAX, TOO_LARGE, at, hot
from d2l_softmax.check.names import ROLES
from d2l_softmax.check.trial import COLUMNS, CUTS, OUTPUTS, Trial, Way, Wrong, close, differ, first, parts, roles_of

LOSSES = {"one loss per image": lambda l: l, "their mean": lambda l: l.mean(), "their sum": lambda l: l.sum()}
COUNTS = {
    "counts": lambda hits: hits.sum(),
    "returns a fraction": lambda hits: hits.mean(),
    "returns a percentage": lambda hits: 100 * hits.mean(),
    "returns 1 or 0 for each image": lambda hits: hits,
}
SAME = {"": lambda result: result}


def observe(t: Trial, piece: str, others: dict[str, Callable]) -> list[Tensor]:
    """The first array in every call of a piece that the learner's other pieces make."""
    seen: list[Any] = []
    for other, use in others.items():
        if other not in t.box or other == piece:
            continue
        with contextlib.suppress(Exception), t.learner.sandbox() as box:

            def recorder(*args: Any, f: Any = box[piece], **kwargs: Any) -> Any:
                seen.append(first(next(filter(is_array, [*args, *kwargs.values()]), None)))
                return (f if callable(f) else f.forward)(*args, **kwargs)

            t.learner.put(box, piece, recorder)
            use(Trial(t.learner, box))
    return [argument for argument in seen if argument is not None]


def kind_of(out: Tensor) -> str:
    """Whether rows are logits, probabilities or log-probabilities."""
    ones = torch.ones(len(out))
    if close(out.sum(1), ones) and (out >= 0).all():
        return "probabilities"
    return "log-probabilities" if close(out.exp().sum(1), ones) else "logits"


def softmax(t: Trial) -> str:
    """Probabilities that add up to 1 for each image, also for extreme logits."""
    f, note = t.box["softmax"], ""
    others = {"net": net, "loss": loss, "gradients": gradients, "predict": predict}
    shapes = [tuple(s.shape) for s in observe(t, "softmax", others)]
    if shapes and all(len(shape) == 1 for shape in shapes):
        note = "of one image at a time"
        t.box["softmax"] = lambda X: torch.stack([first(f(x)) for x in X])
    elif any(shape in [(t.classes, 7), (t.classes, 1)] for shape in shapes):
        note = "a column for each image"
        t.box["softmax"] = lambda X: f(X.T).T
    t.facts["softmax"] = note
    right = (lambda Z: Z.log_softmax(1)) if "log" in t.learner.called["softmax"] else (lambda Z: Z.softmax(1))
    ways = lambda n: iter([Way(note, {"X": t.Z[:n]}, lambda v: (v["X"],))])  # noqa: E731
    try:
        t.judge("softmax", "X", ways, right, SAME, SOFTMAX, key=None if note else "X", single=False)
    except Wrong:
        with contextlib.suppress(Exception):
            # A file whose loss is of one image alone has a softmax of one image alone.
            if "at a time" in loss(t):
                return "of one image at a time"
        if shapes or not in_columns(t):
            raise
        note, t.box["softmax"] = "a column for each image", lambda X: f(X.T).T
        t.facts["softmax"] = note
        t.judge("softmax", "X", ways, right, SAME, SOFTMAX, single=False)
    except RuntimeError as error:
        if "must match the size" in str(error):
            raise Wrong(f"{error}. Add keepdim=True to the sum or maximum", "sum|max") from error
        raise
    for which, Z in {
        "logits of 1000": t.Z + 1000,
        "rows that differ by hundreds": t.Z + torch.linspace(-900, 900, 7)[:, None].double(),
        "the logits 1000, 0, 0, …": 1000 * t.Y,
    }.items():
        got = first(t.call("softmax", "X", X=Z))
        if not close(got, right(Z), 5e-3):
            t.facts.pop("overflow", None)  # those that use it have been called above
            overflow(t, "softmax", f"for {which} {differ(got, right(Z))}")
    return note


def overflow(t: Trial, piece: str, says: str) -> None:
    """Raise `Wrong` for a piece that is right for small logits alone, unless it uses one of which this was said."""
    if t.facts.setdefault("overflow", piece) == piece:
        raise Wrong(
            f"right for small logits, as the book's, but {says}: exp overflows above 88 in float32 and is 0 far "
            "below. Subtract each row's own maximum before exp, X - X.max(dim=1, keepdim=True).values, which cancels "
            "out",
            "exp",
        )


def in_columns(t: Trial) -> bool:
    """Whether there is a column for each image, as one_hot has it or biases that are a column say."""
    if t.facts.get("one_hot") == "a column for each image":
        return True
    found: list[Tensor] = [first(a) for a in t.mine]
    with contextlib.suppress(Exception):
        found += parts(t.call("init_params", "features classes"))
    return any(a.shape == (t.classes, 1) for a in found)


def one_hot(t: Trial) -> str:
    """A row with one 1 for each label, whatever other labels are in the batch."""
    note = ""
    for y in (torch.arange(t.classes), torch.tensor([t.classes - 1, 0, t.classes - 1, 1]), torch.tensor([0, 1])):
        want, shown = F.one_hot(y, t.classes).double(), (y + t.learner.first_label).tolist()
        got = first(t.call("one_hot", "y classes", y=y, n=t.classes))
        if got is None or got.ndim < 2:
            note = "of one label at a time"
            got = torch.stack([first(t.call("one_hot", "y classes", y=label, n=t.classes)) for label in shown])
        if not close(got, want) and close(got, want.T):
            note, got = "a column for each image", want
        if close(got, want):
            continue
        say = differ(got, want)
        if got.shape == want.shape and close(got.sum(1), torch.ones(len(y))):
            row = int((got - want).abs().sum(1).argmax())
            say = f"label {shown[row]} gets column {int(got[row].argmax())}"
        if len(y) < t.classes:
            say += ". A label's column is the label itself, and there is one for each class, also for those missing"
        raise Wrong(f"for the labels {shown}, {say}")
    t.facts["one_hot"] = note
    return note


def weights(t: Trial) -> None:
    """W and b of the file are leaves that require a gradient."""
    if not t.autograd:
        return
    names = ROLES["W"] | ROLES["b"]
    mine = [(n, a) for n, a in t.learner.tensors if n.lower() in names and n not in t.learner.unused]
    for name, a in mine:
        if a.requires_grad and not a.is_leaf:
            raise Wrong(
                f"{name} is the result of a computation, not a leaf, so {name}.grad stays None and it is never "
                f"trained. Compute first, then call {name}.requires_grad_()",
                name=name,
            )
    frozen = [name for name, a in mine if not a.requires_grad]
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
    if t.hidden:
        values = next(t.ways(7, False)).values
        out, again = (first(t.call("net", "X", **values)) for _ in range(2))
        if not close(again, out):
            raise Wrong(f"a second call in eval mode gives something else: {differ(again, out)}")
        t.facts.update(net=kind_of(out), columns=False)
        if kind_of(out) == "logits" and kind_of(out.T) != "logits":
            raise Wrong("its columns add up to 1, not its rows: softmax works down the batch. Use dim=1")
        return f"has hidden layers, so it is more than softmax regression; returns {kind_of(out)}"
    views = {name: (lambda Z, f=f: f(Z) if Z.ndim == 2 else Z) for name, f in OUTPUTS.items()}
    views |= {f"{name}, a column for each image": (lambda Z, f=f: f(Z).T) for name, f in views.items()}

    def ways(n: int) -> Iterator[Way]:
        for way in t.ways(n, False):
            yield way._replace(inputs=lambda v, way=way: (t.logits(way.inputs(v)[0]), t.b))

    try:
        # A forward pass may return its inputs, too, for the backward pass.
        take = lambda v: next((p for p in parts(v) if t.classes in p.shape), first(v))  # noqa: E731
        way, form = t.judge("net", "X W b", ways, lambda Z, b: Z, views, NET, take)
    except Wrong:
        t.facts.setdefault("net", "logits")
        raise
    t.facts.update(way=way, net=re.split(",| of", form)[0], columns="," in form)
    if way[0] == COLUMNS:
        values, out = next(ways(7)).values | {"X": t.X[:7]}, None
        with contextlib.suppress(Exception):
            out = first(t.call("net", "X W b", **values))
        if out is not None and out.numel() == t.Z.numel():
            raise Wrong(
                "it mixes the pixels of different images: reshape(features, -1) does not turn a batch into columns. "
                "Write X.reshape(-1, features), and .T after it for columns",
                r"reshape|view",
            )
    if t.facts["net"] != "logits" and "at a time" not in form:
        t.set_weights(300.0)
        values = next(ways(7)).values
        got = first(t.call("net", "X W b", **values | {"W": 300 * values["W"]}))
        if got.isnan().any():
            overflow(
                t, "net", f"{int(got.isnan().sum())} of {got.numel()} values are nan for logits of some hundreds"
            )
        t.set_weights()
    if t.autograd and t.mine and not output(t.call("net", "X W b", **next(ways(7)).values)).requires_grad:
        raise Wrong("no gradient reaches W and b: .detach(), .data or no_grad cuts them off", CUTS)
    return f"returns {form}"


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
    forms = sorted(OUTPUTS, key=lambda form: form != "probabilities" or t.facts.get("net") != form)
    turned = {t.facts["columns"]} if "columns" in t.facts else {False, True}
    for form, one_hot, T in itertools.product(forms, (False, True), turned):
        turn = (lambda a: a.T) if T else (lambda a: a)

        def inputs(v: dict, form: str = form, turn: Callable = turn) -> tuple:
            out = turn(v["out"])
            lp = out.log() if form == "probabilities" else out.log_softmax(1) if form == "logits" else out
            return out if form == "probabilities" else lp.exp(), lp, t.y[:n]

        values = {"out": turn(OUTPUTS[form](t.Z[:n])), "y": turn(t.Y[:n]) if one_hot else t.y[:n]}
        yield Way((form, one_hot, T), values, inputs)
        if one_hot and "y" not in roles_of(t, "loss"):
            # cross_entropy(p, q), p being what is true
            swapped = {"out": values["y"], "y": values["out"]}
            yield Way((form, one_hot, T), swapped, lambda v, inputs=inputs: inputs({"out": v["y"]}))
    for way in t.ways(n):
        Z = t.logits(way.inputs(way.values)[0])
        yield Way(way.label, way.values, lambda v, Z=Z: (Z.softmax(1), Z.log_softmax(1), t.y[:n]))


def loss(t: Trial) -> str:
    """−log p of the right class: one per image, their mean or their sum, with or without an L2 penalty."""
    t.set_weights()
    module = t.box["loss"]
    if getattr(module, "label_smoothing", 0) or getattr(module, "weight", None) is not None:
        raise Unknown("not checked: it smooths the labels or weights the classes")
    c = penalty(t)
    t.facts |= {"penalty": c} if c else {}
    views = {name: (lambda l, r=r: r(l) + c * t.W.square().sum()) for name, r in LOSSES.items()}
    views |= {f"{name}, of b too": (lambda l, r=r: r(l) + c * t.b.square().sum()) for name, r in views.items() if c}
    views["one loss per image, as a column"] = lambda l: l[:, None] if l.ndim else l
    wrong = None
    try:
        label, reduction = t.judge(
            "loss", "out W b X y", lambda n: loss_ways(t, n), lambda p, lp, y: -at(lp, y), views, LOSS, key="out"
        )
    except Wrong as error:
        label, reduction = t.found or ((t.facts.get("net", "probabilities"), False, False), "one loss per image")
        wrong = error
    form = label[0] if isinstance(label[0], str) else "images"
    if form == "probabilities" and t.facts.get("net", form) == form and "at a time" not in reduction:
        constant_in_log(t, *label[1:])
    # A wrong one is replaced, for the probes that follow, by one that takes what the net returns.
    form = t.facts.get("net", form) if wrong and form != "images" else form
    t.facts.update(loss=form, reduction=re.split(",| of ", reduction)[0], of_b="of b" in reduction)
    if wrong:
        raise wrong
    if form == "images":
        t.facts.setdefault("way", label)
        returned = parts(t.call("loss", "W b X y", **next(w for w in t.ways(7) if w.label == label).values))
        t.facts["with_gradients"] = any(a.numel() == t.W.numel() for a in returned)
        return f"returns {reduction}" + (f", with a penalty of {c:.4g} × sum of W²" if c else "")
    if form == "logits":
        turn = (lambda a: a.T) if label[2] else (lambda a: a)
        Z = t.Y * (2000 if t.learner.numpy else 200)
        got = first(t.call("loss", "out y", out=turn(Z), y=turn(t.Y) if label[1] else t.y))
        if not close(got, 0 * got, atol=1e-3):
            says = f"{float(got.sum()):.4g} instead of 0 for logits of {int(Z.max())} for the right class"
            overflow(t, "loss", f"{says} and 0 for the others")
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
                found.append(float(parts(t.call("loss", "", **values | {"W": scale * W}))[0]))
            break
    t.set_weights()
    if len(found) < 3 or abs(found[1] - found[0]) < 1e-7:
        return 0.0
    if abs((found[2] - found[0]) / (found[1] - found[0]) - 4) > 1e-2:
        raise Unknown("not checked: it adds a penalty on W that is not a multiple of the sum of W²")
    return (found[1] - found[0]) / float(W.square().sum())


def constant_in_log(t: Trial, one_hot: bool, T: bool) -> None:
    """A constant of at most 1e-6 inside the logarithm is harmless; a larger one, or a limit, biases the loss."""
    p, y = torch.full((1, t.classes), 1e-9, dtype=torch.float64), torch.tensor([1])
    p[0, 1], p[0, 0], y = 1e-4, 1 - 1e-4, hot(p, y) if one_hot else y
    l = first(t.call("loss", "out y", out=p.T if T else p, y=y.T if T and one_hot else y))
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
    observed = observe(t, "loss", {"train_epoch": run})[:1]
    for out in observed:
        passed = kind_of(out.T if t.facts.get("columns") else out)
        gets, who = passed, who if passed == gets else t.learner.called["train_epoch"]
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
        say += ": softmax is missing"
        if "softmax" in t.box and not observed:
            raise Unknown(f"not judged: {say}, unless softmax is called between them")
    raise Wrong(say, "[sS]oftmax")


def gradients(t: Trial) -> str:
    """dW and db are the derivatives of the learner's own loss, or of the sum of the losses."""
    t.set_weights()
    c, notes = t.facts.get("penalty", 0.0), {}

    def ways(n: int) -> Iterator[Way]:
        for way, form in itertools.product(t.ways(n), ("probabilities", "logits")):
            X, y = way.inputs(way.values)
            out = OUTPUTS[form](t.logits(X))
            values = way.values | {"out": out.T if t.facts.get("columns") else out}
            with contextlib.suppress(Exception):
                # What a forward pass keeps for the backward pass is the last thing that it returns.
                values["cache"] = t.call("net", "X W b", **way.values)[-1]
            yield Way(way.label, values, lambda v, X=X, y=y: (t.logits(X).softmax(1), hot(t.Z, y), X))

    def take(part: str, row: int, value: Any) -> Tensor | None:
        """Pick dW, as (features, classes) and from a row on, or db from what is returned in any order."""
        found = parts(value)
        rows = t.W.shape[0]
        found = [a[row : row + rows] if a.shape == (rows + 1, t.classes) else a for a in found]
        dW = next((a for a in found if a.ndim == 2 and a.numel() == t.W.numel()), None)
        if part == "W":
            return dW if dW is None or dW.shape == t.W.shape else dW.T
        rest = [a for a in found if a is not dW and a.ndim < 3]
        return next((a.reshape(-1) for a in rest if a.numel() == t.classes), rest[-1] if rest else None)

    for part, own in {"W": t.W, "b": t.b * t.facts.get("of_b", False)}.items():
        if part == "b" and not t.has_bias():
            continue

        def finish(
            D: Tensor, X: Tensor, mean: float, extra: float = 2.0, part: str = part, own: Tensor = own
        ) -> Tensor:
            return (X.T @ D if part == "W" else D.sum(0)) / (len(X) if mean else 1) + extra * c * own

        table = {say: (lambda p, Y, X, f=f: finish(f(p, Y), X, True)) for say, f in GRADIENTS.items()}
        if part == "W" and c:
            table |= {say: (lambda p, Y, X, k=k: finish(p - Y, X, True, k)) for say, k in PENALTY.items()}
        errors, alone = [], False
        for mean, row in itertools.product((True, False), (0, 1)):
            right = lambda p, Y, X, mean=mean: finish(p - Y, X, mean)  # noqa: E731
            try:
                label, _ = t.judge(
                    "gradients", "W b X y out", ways, right, SAME, table, lambda v, p=part, row=row: take(p, row, v)
                )
                notes[part] = "a mean" if mean else "a sum"
                break
            except Wrong as wrong:
                errors.append(wrong)
        else:
            for way in ways(1) if "shape" in str(errors[0]) and "train_epoch" not in t.box else ():
                with contextlib.suppress(Exception):
                    got = take(part, 0, t.call("gradients", "W b X y out", **way.values))
                    alone = alone or close(got, right(*way.inputs(way.values)))
            if alone:
                raise Unknown(f"not judged: right for one image alone, but for 7 images d{part} has another shape")
            first_error = errors[0]
            place = first_error.pattern if part == "W" else r"\bdb\b"
            raise Wrong(f"d{part}: {first_error}", place, known=first_error.known)
        t.facts.setdefault("way", label)
    if len(set(notes.values())) > 1:
        raise Wrong(f"dW is {notes['W']} over the images, but db {notes['b']}", r"\bdb\b")
    if t.facts.get("reduction") == "their sum" and notes["W"] == "a mean" and c:
        raise Wrong("it is the derivative of the mean of the losses and the penalty, but the loss adds the losses up")
    # A step that divides makes this right, which only an epoch shows.
    t.facts["too_large"] = t.facts.get("reduction") == "their mean" and notes["W"] == "a sum"
    divided = "train_epoch" in t.box or ("sgd" in t.box and "n" in roles_of(t, "sgd"))
    if t.facts["too_large"] and not divided:
        raise Wrong(TOO_LARGE, "return")
    return f"{notes['W']} over the images"


def backward(t: Trial) -> str | None:
    """The backward passes of layer and loss objects are the derivatives of their forward passes."""
    if not t.objects:
        return None
    t.need_weights("net")
    t.set_weights()
    way = next(t.ways(7))
    X, y = way.inputs(way.values)
    n, scale, p = 7, 1 / 7 if t.facts.get("reduction") == "their mean" else 1.0, t.logits(X).softmax(1)
    Y, criterion, layer = hot(t.Z, y), t.box["loss"], t.box["net"]
    D = (p - Y) * scale
    turn = (lambda a: a.T if a is not None and a.ndim == 2 else a) if t.facts.get("columns") else (lambda a: a)
    out = t.call("net", "X", **way.values)

    def call(f: Callable, *arguments: Any) -> Any:
        """Call a backward with as many arguments as it needs; a lone one of the loss is the gradient from above."""
        needed = sum(p.default is p.empty for p in inspect.signature(f).parameters.values())
        try:
            return f(*arguments[:needed]) if needed != 1 or len(arguments) == 1 else f(1.0)
        except Exception as error:
            error.piece = f"{t.learner.called['net' if f == layer.backward else 'loss']}.backward"
            raise

    t.call("loss", "out y", out=out, y=y)
    for which in ("for 7 images, ", "it is right the first time, but in a second call "):
        got = turn(first(call(criterion.backward, out, t.give(y)))) if hasattr(criterion, "backward") else D
        if not close(got, D):
            says = [say for say, f in GRADIENTS.items() if close(got, f(p, Y) * scale)]
            say = says[0] if says else differ(got, D, n)
            if which[0] == "i":
                say += ": it changes what forward has kept. Work on a copy, grad = self.probs.copy()"
            name = f"{t.learner.called['loss']}.backward"
            raise Wrong(f"it is not the derivative of forward: {which}{say}", "def backward", name)
    if hasattr(layer, "zero_grad"):
        layer.zero_grad()
    t.call("loss", "out y", out=out, y=y)
    returned, name, times = parts(call(layer.backward, t.give(turn(D)))), f"{t.learner.called['net']}.backward", {}
    found = [first(a) for a in t.own_gradients()] + returned
    grads = {"W": [g if g.shape == t.W.shape else g.T for g in found if g.ndim == 2 and g.numel() == t.W.numel()]}
    grads["b"] = [g.reshape(-1) for g in found if g.ndim < 2 or 1 in g.shape]
    for part, want in {"W": X.T @ D, "b": D.sum(0)}.items():
        times[part] = next((k for k in (1, 1 / n) for g in grads[part] if close(g, k * want)), None)
        if times[part] is None or (scale < 1 and times[part] < 1):
            raise Wrong(f"d{part}: {differ([*grads[part], None][0], want, n)}", rf"\bd{part}\b|grad_{part}", name)
    if times["W"] != times["b"]:
        raise Wrong("one of dW and db is divided by the number of images, the other is not", r"\bd[Wb]\b.*/", name)
    back = [turn(g) for g in returned if turn(g).shape == X.shape]
    if back and not close(back[0], D @ t.W.T):
        raise Wrong(f"the gradient by X that it returns is wrong: {differ(back[0], D @ t.W.T)}", "return", name)
    return ""


def accuracy(t: Trial) -> str:
    """The number of right answers, or their share."""
    t.set_weights()
    # Every image is like the positive weights of its own class, so that not all get the same answer.
    t.X = 0.1 * (t.W[:, (torch.arange(10) * 3 + 1) % t.classes] > 0).double().T
    t.X[0] *= 2  # the largest entry of all is in the first row
    t.y, form = t.labels(7), OUTPUTS[t.facts.get("net", "logits")]
    turn = (lambda a: a.T) if t.facts.get("columns") else (lambda a: a)

    def ways(n: int) -> Iterator[Way]:
        Z, y = t.logits(t.X[:n]), t.y[:n]
        inputs = lambda v: ((Z.argmax(1) == y).double(), Z, y)  # noqa: E731
        yield Way("", {"out": turn(form(Z)), "y": y}, inputs)
        yield Way("", {"out": form(Z), "y": y}, inputs)
        yield Way("", {"out": turn(form(Z)), "y": turn(hot(Z, y))}, inputs)
        if any("pred" in name.lower() for name in inspect.signature(t.box["accuracy"]).parameters):
            yield Way("", {"out": Z.argmax(1), "y": y}, inputs)
        for way in t.ways(n):
            X, y = way.inputs(way.values)
            Z = t.logits(X)
            yield Way("", way.values, lambda v, Z=Z, y=y: ((Z.argmax(1) == y).double(), Z, y))

    try:
        single = not works(t, ways(7))
        return t.judge("accuracy", "out W b X y", ways, lambda hits, Z, y: hits, COUNTS, ACCURACY, single=single)[1]
    except Wrong as wrong:
        if wrong.known:
            raise
        for place, _ in enumerate(ways(1)):
            try:
                one_by_one(t, ways, place)
            except Wrong:
                raise
            except Exception:
                continue  # it is not called in this way
        raise


def works(t: Trial, ways: Iterator[Way]) -> bool:
    """Whether an accuracy can be called for 7 images."""
    errors = []
    for way in ways:
        try:
            t.call("accuracy", "out W b X y", **way.values)
        except Exception as error:
            errors.append(str(error))
        else:
            return True
    if re.search(r"\b10\b.*\b7\b", errors[0]):
        f = getattr(t.box["accuracy"], "__func__", t.box["accuracy"])
        if {"argmax", "max", "topk"} & set(names_in(f.__code__)):
            raise Wrong("it takes argmax down the batch: use dim=1, or axis=1", "argmax|max")
        raise Wrong("it compares all entries with the labels: take argmax(dim=1), or axis=1", "==")
    return False


def one_by_one(t: Trial, ways: Callable[[int], Iterator[Way]], place: int) -> None:
    """Raise `Wrong` if an accuracy, called in one way with each image alone, is that of a known mistake, or wrong."""
    X, y, got = t.X, t.y, []
    hits, Z, _ = next(ways(7)).inputs(None)
    for i in range(7):
        t.X, t.y = X[i : i + 1], y[i : i + 1]
        got.append(first(t.call("accuracy", "out W b X y", **next(itertools.islice(ways(1), place, None)).values)))
    t.X, t.y, found = X, y, torch.stack(got).reshape(7)
    if set(found.tolist()) == {0, 1} and not torch.equal(found, hits):
        says = [say for say, wrong in ACCURACY.items() if torch.equal(found, wrong(hits, Z, y))]
        i = int((found != hits).nonzero()[0])
        given = f"an image of class {y[i]} whose largest entry is that of class {int(Z[i].argmax())}"
        raise Wrong(says[0] if says else f"for {given} it counts {found[i]:.0f} instead of {hits[i]:.0f}")


def predict(t: Trial) -> str:
    """The class with the largest logit."""
    if "data" in roles_of(t, "predict"):
        raise Unknown("not checked: it shows the images of a data loader")
    t.set_weights()
    returned: Any = 0
    with contextlib.suppress(Exception):
        returned = t.call("predict", "X W b", **next(t.ways(7, False)).values)
    if not (found := parts(returned)):
        raise Unknown("not checked: it returns no numbers")
    if found[0].shape == (7, t.classes):
        return "returns a number for each class"

    def ways(n: int) -> Iterator[Way]:
        for way in t.ways(n, False):
            Z = t.logits(way.inputs(way.values)[0])
            yield Way("", way.values, lambda v, Z=Z: (Z,))
        Z = t.logits(t.X[:n])
        yield Way("", {"out": Z.T if t.facts.get("columns") else Z}, lambda v: (Z,))

    largest = lambda Z: Z.argmax(1).double() + t.learner.first_label  # noqa: E731
    table = {"it takes the smallest logit: take argmax": lambda Z: largest(-Z)}
    take = lambda v: None if (classes := first(v)) is None else classes.flatten()  # noqa: E731
    return t.judge("predict", "X W b", ways, largest, SAME, table, take)[1]
