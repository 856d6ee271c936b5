"""A trial: a copy of the learner's world, small data, and one way to judge a piece under every convention."""

import contextlib
import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from d2l_softmax.check.learner import Learner, Unknown, arrays, bind, contents, is_array
from d2l_softmax.check.mistakes import advice
from d2l_softmax.check.names import ROLES

LR = 0.1
OUTPUTS = {
    "logits": lambda Z: Z,
    "probabilities": lambda Z: Z.softmax(-1),
    "log-probabilities": lambda Z: Z.log_softmax(-1),
}
CUTS = r"detach|\.data\b|\.item|\.numpy|no_grad|torch\.tensor\(|float\("
# What has an entry for each image.
IMAGES = ("X", "out", "y")


class Wrong(Exception):
    """A piece is wrong; the message says how and what to change, `pattern` finds the line, `name` is another's.

    Where it is not `known` what the mistake is, the piece may have a convention that is not known, either. What is
    wrong `alone` is right where an epoch that uses it is right.
    """

    def __init__(self, message: str, pattern: str = "$^", name: str = "", known: bool = True, alone: bool = False):
        super().__init__(message)
        self.pattern, self.name, self.known, self.alone = pattern, name, known, alone or not known


class Packed(dict):
    """W and b in one argument, to be taken out by any of their names or by position, or unpacked."""

    def __missing__(self, key: Any) -> Any:
        return [*self.values()][0 if key == 0 or str(key).lower() in ROLES["W"] else 1]

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


class Options:
    """Command-line options as a learner's function gets them, `args`; those that are not known are 0."""

    lr, epochs, batch_size, test_batch_size, log_interval = LR, 1, 4, 4, 10

    def __init__(self, device: torch.device):
        self.device = device

    def __getattr__(self, name: str) -> int:
        return 0


class Way(NamedTuple):
    """One way to call a piece: its convention, the arguments by role, and what the right result is made of."""

    label: Any
    values: dict[str, Any]
    inputs: Callable[[dict[str, Any]], tuple] = lambda values: ()


def parts(value: Any) -> list[Tensor]:
    """Every number and array that a piece returned, as float64."""
    if isinstance(value, dict):
        return parts(tuple(value.values()))
    if isinstance(value, tuple) or (isinstance(value, list) and (not value or any(map(is_array, value)))):
        return [part for item in value for part in parts(item)]
    with contextlib.suppress(Exception):
        found = value.detach().cpu() if torch.is_tensor(value) else torch.as_tensor(np.asarray(value))
        return [found.double().clone()]
    return []


def first(value: Any) -> Tensor | None:
    """The first number or array that a piece returned."""
    return next(iter(parts(value)), None)


def close(got: Tensor | None, want: Tensor, rtol: float = 3e-4, atol: float | None = None) -> bool:
    """Whether a result is right up to the rounding of float32."""
    if got is None or got.shape != want.shape or not want.isfinite().all():
        return False
    atol = 3e-5 * float(want.abs().max()) + 1e-9 if atol is None else atol
    return torch.allclose(got, want.detach().double(), rtol, atol)


def explain(got: Tensor, bases: list[Tensor], noise: float = 1e-6) -> tuple[list[float], float]:
    """The factors with which bases add up to an array, by least squares, and how far off the sum is; 1 is a lot."""
    got, A = got.flatten(), torch.stack([basis.flatten() for basis in bases], 1)
    if not got.isfinite().all():
        return [torch.nan] * len(bases), torch.inf
    factors = torch.linalg.lstsq(A, got[:, None], driver="gelsd").solution[:, 0]
    rest = got - A @ factors
    off = rest.norm() / (2e-3 * got.norm() + noise * got.numel() ** 0.5)
    return factors.tolist(), float(off.nan_to_num(torch.inf))


def near(a: float, b: float, rtol: float = 5e-3) -> bool:
    """Whether two factors are the same."""
    return abs(a - b) <= rtol * abs(b) + 1e-4


def differ(got: Tensor | None, want: Tensor, count: int = 0) -> str:
    """How a result differs: by shape, by a constant ratio, or where most."""
    if got is None:
        return "it returns no number"
    if got.shape != want.shape:
        return f"its shape is {tuple(got.shape)} instead of {tuple(want.shape)}"
    if not got.isfinite().all():
        return f"{int((~got.isfinite()).sum())} of {got.numel()} values are nan or infinite"
    k = float((got * want).sum() / want.square().sum())
    if abs(k) > 1e-6 and close(got, k * want):
        for ratio, word in ((k, "large"), (1 / k, "small")):
            if count and abs(ratio - count) < 1e-3 * count:
                return f"it is exactly {count} times too {word}, and there are {count} images"
        if m := next((m for m in want.shape if count and near(k * m, count, 1e-3)), 0):
            return f"it is divided by {m}, not by the {count} images"
        if abs(k + 1) < 1e-3:
            return "its sign is wrong"
        if want.ndim:
            return f"it is {k:.4g} times what is right"
    i = int((got - want).abs().argmax())
    place = [int(j) for j in torch.unravel_index(torch.tensor(i), got.shape)] if got.ndim else ""
    return f"{float(got.flatten()[i]):.4f} instead of {float(want.flatten()[i]):.4f}{place and f' at {place}'}"


class Trial:
    """What a probe is given: `box`, the pieces' copies; data in float64; `facts`, the conventions found so far.

    Probes have a row for each image. `facts["columns"]` are the roles of which the learner has a column for each:
    `call` turns what goes in, and `results` what comes out.
    """

    def __init__(self, learner: Learner, box: dict[str, Any]):
        self.learner, self.box, self.facts = learner, box, learner.facts
        self.turned = set(self.facts.get("columns", ()))
        self.given: dict[int, Tensor] = {}
        net = box.get("net")
        self.module = net if isinstance(net, torch.nn.Module) else None
        self.objects = self.module is None and hasattr(net, "backward")
        self.mine = self.own_weights()
        c, f = sorted(self.mine[0].shape)[:2] if self.mine else (10, 784)
        # A bias inside W is in the row that belongs to a column of ones.
        self.folded = len(self.mine) == 1 and f == 785
        f -= self.folded
        self.classes, self.features = c, f
        self.dtype, drawn = torch.float32, self.mine
        with contextlib.suppress(Exception):
            drawn = self.mine or [a for _, a in arrays(self.call("init_params", "features classes"))]
        self.dtype = next((a.dtype for a in drawn if torch.is_tensor(a)), torch.float32)
        self.autograd = learner.autograd and "gradients" not in box and not self.objects
        for a in self.mine:
            if self.autograd and self.module is None:
                a.requires_grad_()
        f, c, g = self.features, self.classes, torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.randn(shape, generator=g, dtype=torch.float64)  # noqa: E731
        self.W, self.b = draw(f, c) * 6 / f**0.5, torch.linspace(-0.5, 0.7, c, dtype=torch.float64)
        self.Z, self.X = draw(7, c) * 1.5, 0.3 * torch.rand(10, f, generator=g, dtype=torch.float64)
        self.weighting = draw(7, c)
        if not self.has_bias():
            self.b *= 0
        self.y = torch.tensor([0, c - 1, 3 % c, 3 % c, 1, min(5, c - 1), 0])
        self.Y = F.one_hot(self.y, c).double()

    def holder(self) -> Any:
        """The object whose weights the pieces use, or None where these are globals or what closures hold."""
        net = self.box.get("net")
        if self.module is not None or self.objects or (self.learner.is_own(type(net))):
            return net
        pieces = [net] if net is not None else [self.box.get(piece) for piece in ("gradients", "loss", "train_epoch")]
        return next((piece.__self__ for piece in pieces if isinstance(piece, types.MethodType)), None)

    def own_weights(self) -> list[Any]:
        """The learner's own W and b as they are in the sandbox; nothing, where there are hidden layers."""
        holder, root = self.holder(), {}
        if holder is None:
            for f in self.learner.functions():
                root |= zip(f.__code__.co_freevars, map(contents, f.__closure__ or ()), strict=True)
            root |= self.learner.ns
            root = {k: v for k, v in root.items() if not k.startswith("_") and k not in self.learner.unused}
        elif self.module is None and hasattr(holder, "__dict__"):
            root = {k: v for k, v in vars(holder).items() if not hasattr(v, "step")}  # what an optimizer keeps
        found = [(n.lower().strip("_"), a) for n, a in arrays(root or holder) if max(a.shape, default=1) > 1]
        known = [(n, a) for n, a in found if n in ROLES["W"] | ROLES["b"] or getattr(a, "requires_grad", False)]
        matrices, unnamed = ([a for _, a in named if a.ndim > 1 and min(a.shape) > 1] for named in (known, found))
        if len(matrices) > 1 and (self.module is not None or len({tuple(a.shape) for a in matrices}) > 1):
            return []
        if not matrices and holder is not None:
            matrices, known = unnamed[:1], found
        if self.objects:  # a layer's bias may have any name
            known += [(n, a) for n, a in found if not re.match("d_|d?[bw]$|g_|grad|delta|vel|mom", n)]
        sizes = {s for a in matrices for s in a.shape}
        biases = [a for _, a in known if a.ndim and max(a.shape) in sizes and a.nbytes == max(a.shape) * a.itemsize]
        # Velocities may have the same names.
        learned = lambda found: [a for a in found if getattr(a, "requires_grad", False)] or found  # noqa: E731
        return learned(matrices)[:1] + learned(biases)[:1] if matrices else []

    def need_weights(self, piece: str) -> None:
        """Raise `Unknown` where W and b were not found and are not passed to a piece, either."""
        if not self.mine and not {"W", "params"} & roles(self.box[piece]):
            raise Unknown("its W and b were not found, or it has hidden layers")

    def own_gradients(self) -> list[Any]:
        """The arrays that an object with W and b holds besides them and velocities."""
        held = getattr(self.holder(), "__dict__", {})
        held = [(n.lower(), a) for n, a in arrays(held) if a.shape != (self.features,)]
        held = [a for n, a in held if not re.match("vel|mom", n)]
        return [a for a in held if not any(a is m for m in self.mine)]

    def own_numbers(self) -> list[Any]:
        """The numbers that an object with W and b holds where the gradient of b should be."""
        held = getattr(self.holder(), "__dict__", {}).items()
        return [v for n, v in held if n.lower() in ROLES["db"] and np.ndim(v) == 0 and v is not None]

    def has_bias(self) -> bool:
        """Whether there is a bias: the learner's own, or a parameter of that name."""
        if self.mine:
            return len(self.mine) > 1 or self.folded
        given = [roles(f) for f in self.box.values() if inspect.isroutine(f)]
        return not any("W" in names for names in given) or any("b" in names for names in given)

    def set_weights(self, scale: float = 1.0) -> None:
        """Give the learner's own W and b those of this trial, whose b is not 0; W times `scale`."""
        values = (self.fold(self.W * scale),) if self.folded else (self.W * scale, self.b)
        for a, value in zip(self.mine, values, strict=False):
            value = value.T if a.ndim == 2 and tuple(a.shape) == tuple(value.T.shape) else value
            write(a, value.reshape(tuple(a.shape)))

    @property
    def bias_last(self) -> bool:
        """Where the bias is in a W that has a row for it."""
        return self.facts.get("bias") != "first"

    def fold(self, W: Tensor) -> Tensor:
        """W with the bias as a row."""
        self.learner.folded = True
        return torch.cat([W, self.b[None]] if self.bias_last else [self.b[None], W])

    def give(self, value: Any, role: str = "") -> Any:
        """A copy of float64 data or labels as the learner keeps them; anything else itself."""
        if not torch.is_tensor(value):
            return value
        if role in self.turned and value.ndim > 1:
            value = value.flatten(1).T
        if id(value) in self.given or value.requires_grad or value.dtype not in (torch.float64, torch.int64):
            return value
        if value.dtype == torch.int64:
            value = value + self.learner.first_label
        if self.learner.numpy:
            return value.numpy().copy()
        dtype = self.dtype if value.dtype == torch.float64 else value.dtype
        given = value.to(self.learner.device, dtype, copy=True)
        self.given[id(given)] = given  # a step may change it in place
        return given

    def turn(self, found: Any, n: int) -> Any:
        """A result with a row for each of n images, where it has a column for each."""
        return found.T if self.turned and found is not None and found.ndim == 2 and n in found.shape else found

    def arguments(self, piece: str, order: str, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The function of a piece and its arguments."""
        f = self.box[piece]
        if not callable(f) or (hasattr(f, "forward") and not isinstance(f, torch.nn.Module)):
            f = getattr(f, "forward", None) or f.step
        if isinstance(f, types.BuiltinFunctionType):
            raise Unknown("it is PyTorch's own")
        held = arrays(vars(f.__self__)) if isinstance(f, types.MethodType) else ()
        held = [a for _, a in held if self.mine and a.shape == self.mine[0].shape]
        if held and not any(a is p for a in held for p in self.mine):
            raise Unknown(f"it has weights of its own, not those of {self.learner.called.get('net')}")
        device = self.learner.device
        known = {"classes": self.classes, "features": self.features, "lr": LR, "reg": self.facts.get("reg", 0.05)}
        known |= {"dim": 1, "epochs": 1, "device": device, "seed": 0, "train": True, "n": 7}
        if piece == "sgd":
            known["reg"] = 0.0  # which it may add to some rows alone
        if piece == "init_params":
            del known["dim"]  # there it is not that of an array
        known |= {"rng": np.random.default_rng(0), "generator": torch.Generator().manual_seed(0)}
        given = {k: self.give(v, k) for k, v in values.items()} | {
            k: v for k, v in (known | {"args": Options(device)}).items() if k not in values
        }
        return f, bind(f, given, order)

    def call(self, piece: str, order: str, /, **values: Any) -> Any:
        """Call a piece with values by role, as `bind` describes."""
        return apply(*self.arguments(piece, order, values))

    def results(self, piece: str, order: str, /, **values: Any) -> list[Tensor]:
        """What a piece returns, a row for each image."""
        n = next((len(values[k]) for k in IMAGES if k in values), 0)
        return [self.turn(part, n) for part in parts(self.call(piece, order, **values))]

    def result(self, piece: str, order: str, /, **values: Any) -> Tensor | None:
        """The first number or array that a piece returns, a row for each image."""
        return next(iter(self.results(piece, order, **values)), None)

    def ways(self, n: int, labels: bool = True) -> Iterator[Way]:
        """Every way to lay out n images, weights and labels. A probe says what the right result is made of."""
        X, y, f, c = self.X[:n], self.y[:n], self.features, self.classes
        side = round(f**0.5)
        image = (lambda X: X.reshape(-1, 1, side, side)) if side**2 == f and not self.learner.numpy else (lambda X: X)
        layouts = [(g, scale) for scale in (1, 1 / 255) for g in (image, lambda X: X)]
        if self.mine:
            shapes = [[tuple(a.shape) for a in self.mine]]
        else:
            shapes = [[(f, c), (c,)], [(c, f), (c,)], [(c, f), (c, 1)], [(f, c), (1, c)], [(f, c), (c, 1)]]
            shapes += [] if self.has_bias() else [[(f + 1, c)]]
            with contextlib.suppress(Exception):
                shapes = [[tuple(a.shape) for a in parts(self.call("init_params", "features classes"))[:2]]]
        known = self.facts.get("way")
        owner = next((f.__self__ for f in self.box.values() if isinstance(f, types.MethodType)), None)
        net = self.box.get("net", owner)
        for key in itertools.product(range(len(layouts)), shapes, range(2 if labels else 1)):
            (layout, scale), shape, hot = layouts[key[0]], key[1], key[2]
            if known is not None and key[:2] != known[:2]:
                continue
            values = {"y": (y, F.one_hot(y, c).double())[hot]}
            values["W"] = self.W if shape[0] == tuple(self.W.shape) else self.W.T
            if shape[0] == (f + 1, c):
                values["W"] = self.fold(self.W)
            values["b"] = self.b.reshape(shape[1]) if len(shape) > 1 else self.b
            values["params"] = self.packed(self.give(values["W"]), self.give(values["b"]))[0]
            values |= {} if net is None else {"net": net}
            # What the net does to the pixels may be done before another piece gets them.
            for factor, shift in dict.fromkeys([self.facts.get("pixels", (scale, 0)), (scale, 0)]):
                yield Way(key, values | {"X": layout((X - shift) / factor)})

    def container(self) -> Any:
        """What holds exactly the learner's own W and b, such as a dictionary, or a list of them."""
        mine = {id(a) for a in self.mine}
        for value in self.learner.ns.values():
            if isinstance(value, dict | list | tuple) and {id(a) for _, a in arrays(value)} == mine:
                return value
        return self.mine

    def packed(self, *weights: Any) -> tuple[Any, list[Any]]:
        """W and b in one argument, as the learner's own init_params gives them, and the arrays in it."""
        with contextlib.suppress(Exception):
            own = self.call("init_params", "features classes")
            held = [a for _, a in arrays(own)]
            for a, value in zip(held, weights, strict=True):
                write(a, first(value).reshape(tuple(a.shape)))
            return own, held
        return Packed(zip("Wb", weights, strict=False)), [*weights]

    def logits(self, X: Tensor) -> Tensor:
        """X W + b with the weights of this trial."""
        return X @ self.W + self.b

    def labels(self, n: int) -> Tensor:
        """Labels of which images 0, 3 and 8 are classified wrongly."""
        return (self.logits(self.X[:n]).argmax(1) + torch.tensor([i in (0, 3, 8) for i in range(n)])) % self.classes

    def judge(
        self,
        piece: str,
        order: str,
        ways: Callable[[int], Iterator[Way]],
        right: Callable[..., Tensor],
        views: dict[str, Callable[[Tensor], Tensor]],
        table: dict[str, Callable[..., Tensor]],
        take: Callable[[list[Tensor]], Tensor | None] = first,
        key: str | None = None,
    ) -> tuple[Any, str]:
        """Find the way and the view under which a piece is right, and return both; then try it harder.

        Harder is: one image alone, a second call, arguments left alone, and the gradient by the argument `key`.

        Args:
            right, table: what is right, and what known mistakes give, of the inputs of a way.
            views: what may be made of it, by name: the mean of the losses, for example.
            take: picks what is judged from the arrays that the piece returns.

        Raises:
            Wrong: there is no such way, or the piece fails under it.
            Unknown: it is not known how to call it.
        """
        results, errors, unknown, self.found = [], [], [], None
        for way, alone in zip(ways(7), ways(1), strict=True):
            try:
                got = take(self.results(piece, order, **way.values))
            except Exception as error:
                (unknown if isinstance(error, Unknown) else errors).append(error)
                continue
            inputs = way.inputs(way.values)
            for name, view in views.items():
                if close(got, view(right(*inputs))):
                    self.found = way.label, name
                    self.harder(piece, order, way, alone, lambda *x, view=view: view(right(*x)), take, key)
                    return way.label, name
            results.append((way, got, inputs))
        if not results:
            raise (errors or unknown)[0]
        for (way, got, inputs), (say, wrong), (name, view) in itertools.product(
            results, table.items(), views.items()
        ):
            if close(got, view(wrong(*inputs))):
                self.found = way.label, name
                raise Wrong(say)
        if advised := [error for error in errors if advice(str(error))]:
            raise advised[0]
        way, got, inputs = next((r for r in results if r[1] is not None and r[1].isfinite().all()), results[0])
        wants = {name: view(right(*inputs)) for name, view in views.items()}
        name = next((n for n, w in wants.items() if got is not None and w.shape == got.shape), next(iter(wants)))
        self.found, want = (way.label, name), wants[name]
        if piece != "softmax" and not self.mine and isinstance(self.box[piece], types.MethodType):
            raise Unknown("its W and b were not found")
        raise Wrong(f"for 7 images, {differ(got, want, 7)}", known=False)

    def again(self, piece: str, order: str, way: Way, take: Callable = first) -> None:
        """Raise `Wrong` for a piece that changes its arguments, or gives something else in a second call."""
        f, arguments = self.arguments(piece, order, way.values)
        before = {
            name: first(value) for name, value in arguments.items() if torch.is_tensor(value) or is_array(value)
        }
        one = take(parts(apply(f, arguments)))
        for name, value in before.items():
            if not close(first(arguments[name]), value, 0, 1e-9):
                raise Wrong(
                    f"it changes its argument {name} in place, so that a second call with the same {name} gives "
                    f"something else. Make a new one: {name} = {name} / 255, not {name} /= 255",
                    r"[-+*/]=|\]\s*=[^=]|[a-z]_\(|out=",
                )
        if one is not None and not close(two := take(parts(apply(f, arguments))), one):
            raise Wrong(f"a second call with the same arguments gives something else: {differ(two, one)}")

    def harder(self, piece: str, order: str, way: Way, alone: Way, right: Callable, take: Callable, key: Any) -> None:
        """See `judge`."""
        self.again(piece, order, way, take)
        got, want = take(self.results(piece, order, **alone.values)), right(*alone.inputs(alone.values))
        if not close(got, want) and not self.facts.get("penalty"):  # which may be divided by the number of images
            raise Wrong(f"right for 7 images, but for one image alone {differ(got, want)}", "squeeze|sum|mean|max")
        if key is None or not self.autograd:
            return
        theirs = way.values[key].clone().requires_grad_()
        mine = self.give(way.values[key]).requires_grad_()
        f, arguments = self.arguments(piece, order, way.values | {key: mine})
        raw, want = apply(f, arguments), right(*way.inputs(way.values | {key: theirs}))
        if not torch.is_tensor(raw) or not raw.requires_grad:
            raise Wrong(
                "no gradient flows through it: .detach(), .data, .item() or torch.tensor(...) cut it off", CUTS
            )
        weighting = self.weighting[:, 0] if want.ndim == 1 else self.weighting
        weighting = weighting if want.shape == weighting.shape else torch.ones_like(want)
        (self.turn(raw, 7).reshape(want.shape) * weighting.to(raw.device)).sum().backward()
        (want * weighting).sum().backward()
        if not close(first(mine.grad), theirs.grad, 2e-3):
            (unweighted,) = torch.autograd.grad(right(*way.inputs(way.values | {key: theirs})).sum(), theirs)
            if close(first(mine.grad), unweighted, 2e-3):
                say = "its backward pass does not multiply by the gradient from above, grad_output"
                raise Wrong(say, "def backward")
            raise Wrong(
                f"its value is right, its gradient is not: {differ(first(mine.grad), theirs.grad)}. A part is cut "
                "off from autograd, by .detach(), .data or no_grad",
                CUTS,
            )


def apply(f: Callable, arguments: dict[str, Any]) -> Any:
    """Call by position where that is possible: what wraps a function, such as vmap, may take nothing by name."""
    bound = inspect.signature(f.forward if isinstance(f, torch.nn.Module) else f).bind(**arguments)
    return f(*bound.args, **bound.kwargs)


def write(a: Any, value: Tensor) -> None:
    """Change an array or a tensor in place, past autograd."""
    if torch.is_tensor(a):
        a.data.copy_(value)
    else:
        a[...] = value.numpy()


def roles(f: Any) -> set[str]:
    """The roles that the names of a function's parameters can stand for."""
    f = getattr(f, "forward", None) or getattr(f, "step", f)
    names = {name.lower().strip("_").rstrip("0123456789_") for name in inspect.signature(f).parameters}
    return {role for role, known in ROLES.items() if known & names}
