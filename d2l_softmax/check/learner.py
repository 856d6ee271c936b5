"""The learner's code: run once, its pieces found by name, called by the names of their parameters, on copies only."""

import contextlib
import copy
import inspect
import io
import os
import random
import re
import sys
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d2l_softmax.check.names import PIECES, ROLES, plain
from d2l_softmax.errors import UserError

# What a notebook keeps for itself.
HISTORY = re.compile(r"_+|_i?\d+|_[iod]h|_+i+|In|Out|__.*")
# A function that makes a net.
FACTORY = re.compile("(?i)(get|make|build|create|init|new)_?(softmax_?)?(net|network|model|classifier)")
SETTINGS = re.compile("(?i)config|param|args|options|settings")
LARGE = 2_000_000


class Unknown(Exception):
    """It is not known how a piece is called, so that it cannot be checked."""


class Unjudged(Exception):
    """A piece differs in a way that may be meant."""


def is_array(value: Any) -> bool:
    """Whether it is a tensor or a NumPy array of floating-point numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f"
    return torch.is_tensor(value) and value.is_floating_point()


def arrays(root: Any, name: str = "", depth: int = 8, seen: set | None = None) -> Iterator[tuple[str, Any]]:
    """Yield every array that an object holds, with the name it has there."""
    seen = set() if seen is None else seen
    if id(root) in seen or depth < 0 or isinstance(root, type | types.ModuleType | types.FunctionType):
        return
    seen.add(id(root))
    if is_array(root):
        yield name, root
        return
    root = getattr(root, "__self__", root) if isinstance(root, types.MethodType) else root
    items = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list | tuple) else ()
    for key, value in [*items, *getattr(root, "__dict__", {}).items()]:
        yield from arrays(value, key if isinstance(key, str) and key != "value" else name, depth - 1, seen)


def matrices(instance: Any) -> list[Any]:
    """The matrices that an object holds."""
    return [a for _, a in arrays(getattr(instance, "__dict__", {})) if a.ndim == 2]


def bind(f: Any, values: dict[str, Any], order: str) -> dict[str, Any]:
    """The keyword arguments for `f`.

    A parameter gets the value of the role that its name stands for. Where the name says nothing, it keeps its
    default, or gets the next role of `order` that is left.
    """
    arguments, waiting, left = {}, [], list(values)
    parameters = inspect.signature(f.forward if isinstance(f, torch.nn.Module) else f).parameters.values()
    if parameters and all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise Unknown("its parameters have no names")
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        name = p.name.lower().strip("_").rstrip("0123456789_")
        own_default = any(arrays(p.default)) if name in ROLES["params"] else p.default is not p.empty
        if own_default and name in ROLES["params"] | ROLES["args"] | ROLES["classes"] | ROLES["features"]:
            continue  # it is better than a guess
        role = next((role for role in left if name in ROLES[role]), None)
        if not arguments and not waiting and role in ("n", "lr") and role not in order.split():
            role = order.split()[0]  # the first argument, such as eta, the logits of statisticians
        if role is not None:
            arguments[p.name] = values[role]
            left.remove(role)
        elif p.default is p.empty:
            waiting.append(p.name)
    weights = {"params", "W"} - {*left}  # who passes them does not pass the net
    rest = [role for role in order.split() if role in left and not (weights and role == "net")]
    if len(rest) < len(waiting):
        raise Unknown(f"it is not known what to pass as {', '.join(waiting[len(rest) :])}")
    return arguments | {n: values[role] for n, role in zip(waiting, rest, strict=False)}


def instance_of(maker: Any, values: dict[str, Any]) -> Any:
    """What a class, one of its class methods or a function makes, with arrays if there is a choice, or None."""
    order = "params net lr" if hasattr(maker, "step") else "features classes lr"
    made = []
    for make in [maker, *(getattr(maker, name) for name, m in vars(maker).items() if isinstance(m, classmethod))]:
        with contextlib.suppress(Exception):
            made.append(make(**bind(make, values, order)))
    return next((held for held in made if any(arrays(held))), made[0] if made else None)


def offered(instance: Any) -> dict[str, Any]:
    """What an object that holds weights is to what is made of it, such as an optimizer."""
    if not matrices(instance):
        return {}
    held = [a for _, a in arrays(vars(instance))]
    with contextlib.suppress(Exception):
        parameters = getattr(instance, "parameters", getattr(instance, "params", held))
        held = list(parameters() if callable(parameters) else parameters)
    return {"net": instance, "layers": [instance], "params": held}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print nothing during the block, and leave the process as it was."""
    states, gpus = (random.getstate(), np.random.get_state()), torch.cuda.is_initialized()
    modes = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    argv, path, folder = sys.argv[:], sys.path[:], os.getcwd()
    try:
        torch.set_num_threads(1)  # the data is small
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count() if gpus else 0)))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(np.errstate(all="ignore"))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(states[0]), np.random.set_state(states[1])
        torch.set_grad_enabled(modes[0]), torch.set_default_dtype(modes[1]), torch.set_num_threads(modes[2])
        sys.argv[:], sys.path[:] = argv, path
        os.chdir(folder)


class Learner:
    """What a learner has written.

    Args:
        ns: the names of the file or notebook, which its functions have as their globals.
        path: the file, or None for a notebook.
        told: `names`, `penalty` and `first_label`, as `check` has them.
        given: pieces by name; those of the file are not looked for then.
    """

    def __init__(self, ns: dict[str, Any], path: str | None, told: dict[str, Any], given: dict[str, Any]):
        self.ns, self.path, self.first_label = ns, path, told.get("first_label", 0)
        self.names = {name: piece for piece, name in told.get("names", {}).items()}
        self.facts: dict[str, Any] = {"penalty": told["penalty"]} if "penalty" in told else {}
        self.pieces: dict[str, Any] = {}
        # Further versions of a piece, such as softmax_loss_vectorized beside softmax_loss_naive.
        self.versions: list[tuple[str, str, Any]] = []
        self.called: dict[str, str] = {}
        self.ranks: dict[str, int] = {}
        # What was made with arguments that may not be those that are meant.
        self.guessed: set[str] = set()
        # Whether weights are drawn when training begins.
        self.draws = False
        # Whether W was seen to have a row for a bias.
        self.folded = False
        # The lines that train_epoch has run, of two branches those of one.
        self.lines_run: set[int] = set()
        self.source = Path(path).read_text("utf-8", "replace").splitlines() if path else []
        own = {key: value for key, value in ns.items() if not HISTORY.fullmatch(key)}
        with quiet():
            self.make_objects(own)
        for key, value in (given or own).items():
            self.add(key, value)
        trainer = getattr(self.pieces.get("train_epoch"), "__self__", None)
        for key, value in getattr(trainer, "__dict__", {}).items():
            # A trainer's own net and optimizer, not others that the file could make.
            if isinstance(value, torch.nn.Module) and list(value.parameters()):
                self.pieces["net"], self.called["net"] = value, key
            elif isinstance(value, torch.optim.Optimizer):
                self.pieces["updater"], self.called["updater"] = value, key
        f = self.pieces.get("sgd")
        takes = {n.lower() for n in inspect.signature(f).parameters} if f else set()
        becomes: str | None = "sgd"
        if takes & ROLES["X"] and takes & ROLES["y"]:
            # A step that computes its own gradients is an epoch of one batch.
            becomes = "sgd" if "train_epoch" in self.pieces else "train_epoch"
        elif f and not takes & (ROLES["params"] | ROLES["W"] | ROLES["grads"] | ROLES["dW"]):
            # A step without parameters to change is an updater, unless it is one of a meter, say.
            becomes = "updater" if not isinstance(f, types.MethodType) or any(arrays(vars(f.__self__))) else None
        for held in (self.pieces, self.called) if becomes != "sgd" else ():
            value = held.pop("sgd")
            if becomes:
                held.setdefault(becomes, value)
        held = [
            dict(zip(f.__code__.co_freevars, map(contents, f.__closure__ or ()), strict=True))
            for f in self.functions()
        ]
        self.tensors = [(n, a) for names in [own, *held] for n, a in arrays(names) if torch.is_tensor(a)]
        self.words = words = {word for f in self.functions() for word in names_in(f.__code__)}
        # Data are put where the learner's weights are.
        on = [a.device for _, a in arrays([*self.pieces.values(), own.get("W"), own]) if torch.is_tensor(a)]
        self.device = on[0] if on else torch.device("cpu")
        used = {v.shape for k, v in own.items() if k in words and is_array(v)}
        # What W was made of is not W.
        self.unused = {k for k, v in own.items() if k not in words and is_array(v) and v.shape in used}
        kinds = {torch.is_tensor(a) for _, a in arrays([own.get("W"), own.get("w"), *self.pieces.values()])}
        modules = {getattr(v, "__name__", "").split(".")[0] for v in ns.values()}
        has_module = any(isinstance(piece, torch.nn.Module) for piece in self.pieces.values())
        is_torch = has_module or "torch" in words or ("torch" in modules and not {"np", "numpy"} & words)
        self.numpy = kinds == {False} or (not kinds and not is_torch)
        learns = isinstance(self.pieces.get("net"), torch.nn.Module) or any(a.requires_grad for _, a in self.tensors)
        # Whether the gradient comes from autograd, not from the learner's own formula.
        self.autograd = not self.numpy and (learns or bool({"backward", "grad", "requires_grad"} & words))

    def make_objects(self, own: dict[str, Any]) -> None:
        """Add, as `name()`, what the file defines and makes nowhere but in a main(): its classes, and its net."""
        made: dict[str, Any] = {"features": 784, "classes": 10, "lr": 0.1, "seed": 0}
        modules = [m for v in own.values() if isinstance(v, torch.nn.Module) for m in v.modules()]
        classes = {type(v) for v in [*own.values(), *modules]}
        has_net = any(True for m in modules for _ in m.parameters())
        there: dict[str, Any] = {}
        for value in own.values():
            there |= offered(value) if self.is_own(type(value)) else {}
        # What steps takes the parameters of what computes.
        for key, value in sorted(own.items(), key=lambda item: hasattr(item[1], "step")):
            is_class = isinstance(value, type) and self.is_own(value) and value not in classes
            if not is_class and (has_net or not inspect.isfunction(value) or not FACTORY.fullmatch(key)):
                continue
            instance = instance_of(value, made | there)
            if not is_class and instance is not None:
                del own[key]
            if isinstance(instance, dict | tuple):
                # Functions that share W and b
                named = instance.items() if isinstance(instance, dict) else ((None, f) for f in instance)
                own |= {name or f.__name__: f for name, f in named if inspect.isfunction(f)} | own
            if isinstance(instance, dict | tuple) or not hasattr(instance, "__dict__"):
                continue
            with contextlib.suppress(Exception):
                self.train(instance)
            own[f"{key}()"] = instance
            self.guessed.add(key)
            made |= offered(instance) or ({"args": instance} if SETTINGS.search(key) else {})
        for value in own.values():
            if isinstance(value, torch.nn.Module) and any(map(torch.nn.parameter.is_lazy, value.parameters())):
                # The first images give a lazy layer its weights.
                with contextlib.suppress(Exception):
                    value(torch.zeros(2, 1, 28, 28))

    def train(self, instance: Any) -> None:
        """Train an object that makes its weights when it is given images and labels, on a few of them."""
        fit = getattr(instance, "fit", None) or instance.train
        takes = {name.lower() for name in inspect.signature(fit).parameters}
        if takes & ROLES["X"] and takes & ROLES["y"] and not matrices(instance):
            vars(instance).update({name: 1 for name in vars(instance) if name.lower() in ROLES["epochs"]})
            X, y = np.random.rand(20, 784), np.arange(20) % 10
            fit(**bind(fit, {"X": X, "y": y, "n": 10, "epochs": 1, "lr": 0.1}, "X y"))
            self.draws = True

    def is_own(self, value: Any) -> bool:
        """Whether the learner's code defines it."""
        return getattr(value, "__module__", None) == self.ns.get("__name__")

    def add(self, key: str, value: Any) -> None:
        """Take what a name holds for a piece, if name or kind say so; of several, the first name in the table."""
        if is_applied := isinstance(value, types.BuiltinFunctionType):
            of = value.__self__
            if not (isinstance(of, type) and issubclass(of, torch.autograd.Function)):
                return
            # The apply of a torch.autograd.Function has no signature; its forward has one more argument.
            function, (_, *given) = value, inspect.signature(of.forward).parameters.values()
            value = lambda *args: function(*args)  # noqa: E731
            value.__signature__ = inspect.Signature(given)
        if plain(key) in PIECES["init_params"] and isinstance(value, types.MethodType):
            return  # it draws the weights that its object holds anew
        methods = {} if isinstance(value, type) or not self.is_own(type(value)) else vars(type(value))
        piece = self.names.get(key) or next((p for p, names in PIECES.items() if plain(key) in names), None)
        piece = piece or ("loss" if is_applied else None)
        rank = -1.0 if key in self.names else 50.0
        if piece and plain(key) in PIECES[piece] and key not in self.names:
            of_guess = type(getattr(value, "__self__", None)).__name__ in self.guessed
            rank = PIECES[piece].index(plain(key)) + (plain(key) != key) / 2 + 40 * of_guess
        if isinstance(value, torch.nn.Module):
            for name in set(methods) - {"forward"}:
                # What else gives probabilities is no net beside the module.
                if inspect.isfunction(methods[name]) and not (name[:2] == "__" or plain(name) in PIECES["net"]):
                    self.add(name, getattr(value, name))
            if isinstance(value, torch.nn.modules.loss._Loss):
                piece = "loss"
            elif piece not in ("loss", "softmax") or list(value.parameters()):
                piece = "net"
        elif isinstance(value, torch.optim.Optimizer):
            piece = "updater"
        elif {"forward", "backward"} <= set(methods) and not {"train_epoch", "train", "fit"} & set(methods):
            takes_labels = len(inspect.signature(value.forward).parameters) > 1
            named = piece if piece == "softmax" else None
            piece = "net" if matrices(value) else "loss" if takes_labels else named
        elif "step" in methods and not {"forward", "loss", "train_epoch", "train", "fit"} & set(methods):
            piece = "updater"
        elif methods and not (piece and "__call__" in methods):
            for name in methods:
                if isinstance(methods[name], types.FunctionType) and not name.startswith("__"):
                    self.add(name, getattr(value, name))
            return
        elif piece == "data_iter" and isinstance(value, type) and hasattr(value, "__iter__"):
            pass  # an object of it yields batches
        elif not (inspect.isroutine(value) or methods) or (
            not methods and not self.is_own(value) and piece not in ("loss", "softmax")
        ):
            return
        if inspect.isroutine(value) and piece not in (None, "train_epoch", "updater", "sgd", "init_params"):
            takes = inspect.signature(value).parameters
            if not takes or (piece == "loss" and ROLES["updater"] & takes.keys()):
                return  # what a meter gives, or a step with a batch
            if piece == "net" and any(n in ROLES["y"] and p.default is p.empty for n, p in takes.items()):
                piece, rank = "loss", 45.0
        same_name = piece in ("loss", "gradients") and plain(key) == plain(self.called.get(piece, ""))
        if same_name and value is not self.pieces[piece]:
            self.versions.append((piece, key, value))
        if piece is not None and rank < self.ranks.get(piece, 99):
            self.pieces[piece], self.called[piece], self.ranks[piece] = value, key.removesuffix("()"), rank

    def functions(self) -> Iterator[types.FunctionType]:
        """Every function of the learner's: methods and what closures hold, too."""
        waiting, seen = [*self.ns.values(), *self.pieces.values()], set()
        waiting += [m for v in waiting if isinstance(v, type) and self.is_own(v) for m in vars(v).values()]
        while waiting:
            f = waiting.pop()
            f = getattr(f, "__func__", f)
            if isinstance(f, types.FunctionType) and id(f) not in seen and not f.__module__.startswith("d2l_softmax"):
                seen.add(id(f))
                if self.is_own(f):
                    yield f
                waiting += [getattr(f, "__wrapped__", None), *map(contents, f.__closure__ or ())]

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[dict[str, Any]]:
        """Put copies in the place of all that names and closures hold, for the block; yield the pieces' copies.

        All copies share one memo, so that an optimizer still holds the copied net's parameters.
        """
        names = {key: value for key, value in self.ns.items() if not HISTORY.fullmatch(key)}
        memo: dict[int, Any] = {}
        for _, a in arrays({**names, "": list(self.pieces.values())}):
            if torch.is_tensor(a) and not a.is_leaf:
                # A result cannot be copied with its history. That W is one is for its own probe to say.
                memo[id(a)] = a.detach().clone().requires_grad_()
            elif a.nbytes > LARGE:
                memo[id(a)] = a
        functions = [f for f in self.functions() if f.__defaults__ or f.__kwdefaults__]
        defaults = [(f.__defaults__, f.__kwdefaults__) for f in functions]
        cells = [cell for f in self.functions() for cell in f.__closure__ or () if contents(cell) is not None]
        held = [contents(cell) for cell in cells]
        fresh = {key: clone(value, memo) for key, value in names.items()}
        fresh |= {key: self.device for key in names if key.lower() in ROLES["device"]}
        box = {piece: clone(value, memo) for piece, value in self.pieces.items()}
        # A sandbox within this one copies these copies.
        outer, self.pieces = self.pieces, box
        with quiet():
            try:
                for cell, value in zip(cells, held, strict=True):
                    cell.cell_contents = clone(value, memo)
                for f, own in zip(functions, defaults, strict=True):
                    f.__defaults__, f.__kwdefaults__ = (clone(values, memo) for values in own)
                self.ns.update(fresh)
                yield box
            finally:
                self.pieces = outer
                for key in [key for key in self.ns if key not in names and not HISTORY.fullmatch(key)]:
                    del self.ns[key]
                self.ns.update(names)
                for cell, value in zip(cells, held, strict=True):
                    cell.cell_contents = value
                for f, own in zip(functions, defaults, strict=True):
                    f.__defaults__, f.__kwdefaults__ = own

    def put(self, box: dict[str, Any], piece: str, value: Any) -> None:
        """Put something else in the place of a piece, in a sandbox."""
        if isinstance(box.get(piece), types.MethodType):
            setattr(box[piece].__self__, box[piece].__name__, value)
        elif self.called.get(piece) in self.ns:
            self.ns[self.called[piece]] = value
        box[piece] = value

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Note the lines of the learner's functions that run in the block."""
        codes, before = {f.__code__ for f in self.functions()}, sys.gettrace()
        self.lines_run = set()

        def trace(frame: types.FrameType, *_: Any) -> Any:
            if frame.f_code in codes:
                self.lines_run.add(frame.f_lineno)
                return trace
            return None

        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def line(self, piece: str, pattern: str = "$^", method: str = "") -> str:
        """Where a piece, or a method of it, is, as `file:line`: the first line that matches and ran, or its start."""
        value = self.pieces.get(piece)
        value = getattr(value, method, value)
        f = value if inspect.isroutine(value) else type(value)
        name = Path(self.path).name if self.path else "line"
        if not self.is_own(f):
            begins = (
                pattern if value is None and pattern != "$^" else rf"(^|\W){self.called.get(piece, piece)}\W*[=:]"
            )
            starts = [i for i, s in enumerate(self.source, 1) if re.search(begins, s)]
            return f"{name}:{starts[0]}" if starts else ""
        try:
            lines, first = inspect.getsourcelines(inspect.unwrap(f))
        except (OSError, TypeError):
            return ""
        start = next((i for i, s in enumerate(lines) if re.match(r"\s*(def|class) ", s)), 0)
        found = [i for i, s in enumerate(lines) if re.search(pattern, s.split("#")[0])]
        at = [*(i for i in found if first + i in self.lines_run), *found, start][0]
        return f"{name}:{first + at}" if self.path else f"line {at + 1} of {self.called[piece]}"

    def run_again(self) -> dict[str, Any]:
        """Run the file once more, from the present state of the random generators."""
        return run_file(self.path)

    def raised_at(self, error: BaseException) -> str | None:
        """The last line of the learner's code that an exception came through, or None."""
        files = {f.__code__.co_filename for f in self.functions()}
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None


def clone(value: Any, memo: dict[int, Any]) -> Any:
    """A copy that keeps its ties with what was copied before; data sets, and what cannot be copied, are shared."""
    if type(value).__module__.startswith(("torch.utils.data", "torchvision")) or isinstance(value, types.ModuleType):
        return value
    known = set(memo)
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        for begun in memo.keys() - known:
            del memo[begun]
        return value


def contents(cell: types.CellType) -> Any:
    """What a closure's cell holds, or None if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def names_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function uses, and the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def run_file(path: str) -> dict[str, Any]:
    """Run a learner's file as a module that is not `__main__`, and return its names.

    Raises:
        UserError: it cannot be read, or it raises; the message has its own line and what Python said.
    """
    if path.endswith(".ipynb"):
        raise UserError(f"{path} is a notebook: in its last cell, write `check(globals())`")
    module = types.ModuleType("learner")
    module.__file__ = path
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.path.insert(0, str(Path(path).resolve().parent))
    sys.modules["learner"] = module
    try:
        exec(compile(Path(path).read_bytes(), path, "exec"), module.__dict__)
    except OSError as error:
        if error.filename != path:
            raise UserError(f"{path}: {type(error).__name__}: {error}") from error
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}") from error
    except SystemExit:
        pass
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        advice = "; what is checked may not need it: leave it out" if isinstance(error, ImportError) else ""
        raise UserError(f"{path}:{lines[-1] if lines else 1}: {type(error).__name__}: {error}{advice}") from error
    return module.__dict__
