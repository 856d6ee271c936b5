"""The probes of what draws, batches, steps and evaluates, and the table of all probes."""

import contextlib
from collections.abc import Callable

import numpy as np
import torch

from d2l_softmax.check import probes
from d2l_softmax.check.epoch import Batches, compare_averages, epoch, file_lr, is_random, measure, passed, step
from d2l_softmax.check.learner import Unknown, arrays, quiet
from d2l_softmax.check.mistakes import SGD
from d2l_softmax.check.trial import Trial, Wrong, close, differ, explain, first, near, parts, roles, write

DIVIDES = {"divides by batch_size": 1, "does not divide by batch_size": 0}
IN_PLACE = (
    "p = p - ... gives the name p to a new array, or the gradient is set to 0 before it is used. Change p itself, "
    "p -= lr * grad, or return the new one"
)


def data_iter(t: Trial) -> str:
    """Every image comes once, with its own label, the short last batch too."""
    X, y = torch.arange(20.0).reshape(10, 2).double(), torch.arange(10)
    batches = [parts(tuple(batch)) for batch in t.call("data_iter", "n X y", X=X, y=y, n=4)]
    if not batches or any(len(batch) < 2 or batch[0].ndim < 2 for batch in batches):
        raise Unknown("it does not yield pairs of images and labels")
    if any(len(batch[0]) != len(batch[1]) for batch in batches):
        raise Unknown("it yields a column for each image")
    images, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    if not torch.equal(images[:, 0] / 2 + t.learner.first_label, labels.reshape(-1)):
        raise Wrong(
            "images and labels do not belong together: shuffle both with the same permutation", "perm|shuffle"
        )
    came = images[:, 0].div(2).int().tolist()
    if sorted(came) != list(range(10)):
        missing = sorted(set(range(10)) - set(came))
        say = f"{len(missing)} images never come" if missing else "some images come twice"
        raise Wrong(
            f"of 10 images in batches of 4, it yields {[len(batch[1]) for batch in batches]}: {say}", "range|//"
        )
    return ""


def init_params(t: Trial) -> str | None:
    """The same seed gives the same weights, whatever was drawn before, and another seed gives others."""
    drawn = []
    for state, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(state), np.random.seed(state)
        drawn.append(t.call("init_params", "features classes", seed=seed))
    probes.trainable(arrays(drawn[0]))
    W = [parts(weights)[0] for weights in drawn if parts(weights)]
    if not W:
        return None
    if "seed" not in roles(t.box["init_params"]):
        return ""
    if not close(W[0], W[1]):
        raise Wrong("the same seed gives other weights the second time: set it first, then draw", "seed")
    if W[0].any() and close(W[0], W[2]):
        raise Wrong("another seed gives the same weights: the seed is not used", "seed")
    return ""


def seed(t: Trial) -> None:
    """A file that sets a seed draws its weights after it: run twice from other states, it draws the same."""
    if t.learner.path is None:
        return
    states, drawn = [], []
    for state in (1, 2):
        with quiet():
            torch.manual_seed(state), np.random.seed(state)
            ns = t.learner.run_again()
            states.append((torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()))
            drawn.append([first(a) for _, a in arrays({k: v for k, v in ns.items() if k[0] != "_"}) if a.ndim])
    set_again = any(a == b for a, b in zip(*states, strict=True))
    if set_again and len(drawn[0]) == len(drawn[1]) and not all(map(close, *drawn)):
        raise Wrong("the seed is set after the weights are drawn, so no two runs start alike: set it first", "seed")


def sgd(t: Trial) -> str | None:
    """One step against the gradient, for every parameter."""
    wanted = roles(t.box["sgd"])
    if {"X", "y"} <= wanted:
        return None  # it computes its own gradients, of which train_epoch tells
    n, lr, kinds = 5, 0.5 if "lr" in wanted else file_lr(t), {}
    t.set_weights()
    own = t.mine and not {"params", "W"} & wanted
    W = t.W.T if next(t.ways(1)).values["W"].shape == t.W.T.shape else t.W
    start = dict(zip("Wb", t.mine, strict=False)) if own else {"W": t.give(W), "b": t.give(t.b + 0.1)}
    g = {"W": t.give(t.X[:5].T @ t.Z[:5]), "b": t.give(t.Z[:5].sum(0))}
    g = {k: g[k].T if g[k].shape == start[k].T.shape else g[k].reshape(start[k].shape) for k in start}
    before, grads = ({k: first(v) for k, v in held.items()} for held in (start, g))
    for k, p in start.items() if t.autograd else ():
        p.requires_grad_()
        p.grad = g[k]
    values = {"params": [*start.values()], "grads": [*g.values()], "lr": lr, "n": n, **start}
    values |= {f"d{k}": v for k, v in g.items()}
    try:
        returned = t.call("sgd", "params grads lr n W b dW db", **values)
        if callable(returned) or isinstance(returned, torch.optim.Optimizer):
            raise Unknown("it makes an optimizer")
        returned = parts(returned)
    except (TypeError, KeyError, IndexError, AttributeError) as failure:
        values |= {"params": start, "grads": g | {f"d{k}": v for k, v in g.items()}}
        try:
            returned = parts(t.call("sgd", "params grads lr n", **values))
        except Exception:
            raise failure from None
    after = dict(zip("Wb", t.own_weights(), strict=False)) if own else start
    for k in start if own or {"params", "b"} & wanted else ("W",):
        old = before[k]
        now = [first(after[k]), *(p for p in parts(values["params"]) + returned if p.shape == old.shape)]
        now = next((p for p in now if not close(p, old, 0, 1e-9)), old)
        if torch.equal(now, old):
            others = [o for o in kinds if o != k]
            why = f"{others[0]} is not: subtract lr × its gradient, too" if others else IN_PLACE
            raise Wrong(f"{k} is unchanged after the step: {why}", r"=.*(lr|step|grad)")
        moved = (old - now) / lr
        (a, d), off = explain(moved, [grads[k], old], 1e-5)
        if off > 1:
            raise Wrong(f"{k}: of the step {differ(moved, grads[k])}", r"lr|-=|\+=", known=False)
        kinds[k] = next((kind for kind, m in DIVIDES.items() if near(a, 1 / n**m)), "")
        if not kinds[k] or near(d, 1 / lr):
            says = [say for say, f in SGD.items() for m in (n, 1) if near(a, f(1 / m, lr, n)) and not near(d, 1 / lr)]
            says += ["the parameter is replaced by its step: subtract the step from it"] * near(d, 1 / lr)
            say = says[0] if says else f"the step is {a:.4g} × lr × gradient"
            raise Wrong(f"{k}: {say}", r"lr|-=|\+=", alone=a < 0)  # gradients may be those of an ascent
        kinds[k] += f", with a weight decay of {d:.2g}" if d > 1e-4 else ""
    if len({kind.split(",")[0] for kind in kinds.values()}) > 1:
        raise Wrong(f"it {kinds['W']} for W, but for b it {kinds['b']}", "/")
    t.facts["zeroes"] = not t.autograd or all(p.grad is None or not p.grad.any() for p in start.values())
    t.facts["updater"] = "divides" if kinds["W"].startswith("divides") else "plain"
    return kinds["W"]


def updater(t: Trial) -> str | None:
    """It moves every parameter of this net, and all of them by the same multiple of their gradients."""
    u = t.box["updater"]
    if isinstance(u, torch.optim.Optimizer):
        return optimizer(t, u)
    if not (t.objects or t.autograd) or not t.mine:
        return None
    held = [a for _, a in arrays(getattr(u, "__dict__", {}))]
    if held and not any(a is own for a in held for own in t.mine):
        raise Unknown(f"it was made for other weights than those of {t.learner.called.get('net')}")
    far = {}
    for n in (4, 2):
        with t.learner.sandbox() as box:
            inner = Trial(t.learner, box)
            with contextlib.suppress(Exception):
                # Layers may have no gradients before the first backward pass.
                probes.backward(inner)
            inner.set_weights()
            before = [first(p) for p in inner.mine]
            for p in inner.mine if inner.autograd else ():
                p.grad = torch.full_like(p, 3.0)
            for a in inner.own_gradients() if inner.objects else ():
                write(a, torch.full(tuple(a.shape), 3.0))
            step(inner, n)
            t.facts["zeroes"] = hasattr(u, "step") or all(p.grad is None or not p.grad.any() for p in inner.mine)
            if zero := getattr(box["updater"], "zero_grad", None):
                zero()
                left = inner.own_gradients() if inner.objects else [p.grad for p in inner.mine if p.grad is not None]
                if any(a.shape == inner.mine[0].shape and (first(a) == 3).all() for a in left):
                    raise Wrong(
                        "it leaves the gradients as they are. Change the arrays themselves, g[...] = 0, not g = 0. "
                        "A generator of parameters is used up after one loop: keep a list",
                        "zero_grad",
                        f"{t.learner.called['updater']}.zero_grad",
                    )
            steps = [
                float((old - first(new)).mean() / 3) for old, new in zip(before, inner.own_weights(), strict=True)
            ]
        for name, m in zip("Wb", steps, strict=False):
            if m == 0:
                raise Wrong(f"{name} is not moved by it", r"sgd|step|-=")
            if not near(m / steps[0], 1, 1e-2):
                raise Wrong(f"with equal gradients, {name} moves {m / steps[0]:.4g} times as far as W")
        far[n] = steps[0]
    ratio, nominal = far[2] / far[4], t.learner.ns.get("batch_size")
    if far[4] < 0:
        raise Wrong("it goes up the gradient: subtract lr × gradient", alone=True)
    if near(ratio, 4, 0.02):
        raise Wrong("it divides by the batch size twice: once here and once in sgd", "/|sgd")
    divides = near(ratio, 2, 0.02)
    t.facts.update(updater="divides" if divides else "plain", lr=far[4] * (4 if divides else 1))
    if nominal and not divides and near(far[4] * nominal / file_lr(t), 1, 0.01):
        raise Wrong(
            f"it always divides by {nominal}, but the last batch is shorter: divide by the number that it is given",
            "batch_size|sgd",
        )
    return "divides by the batch size that it gets" if divides else "does not divide"


def optimizer(t: Trial, u: torch.optim.Optimizer) -> str:
    """An optimizer of PyTorch's holds every parameter of this net."""
    held = [p for group in u.param_groups for p in group["params"]]
    named = list(t.module.named_parameters()) if t.module is not None else list(zip("Wb", t.mine, strict=False))
    lost = [name for name, p in named if not any(p is q for q in held)]
    if lost and len(lost) == len(named):
        raise Wrong("it holds none of the net's parameters: it was made for another net. Make it after the net")
    if lost:
        raise Wrong(f"it does not hold {lost[0]}, which is never trained: pass all parameters, net.parameters()")
    if u.param_groups[0].get("maximize"):
        raise Wrong("maximize=True goes up the loss", "maximize")
    extras = [f"{k} {u.param_groups[0][k]}" for k in ("momentum", "weight_decay") if u.param_groups[0].get(k)]
    t.facts["updater"] = "plain"
    return ", ".join([type(u).__name__, *extras])


def evaluate(t: Trial, piece: str = "evaluate_accuracy") -> str:
    """The share of right answers over batches of 4, 4 and 2 images, in eval mode, without changing anything."""
    t.need_weights(piece)
    t.set_weights()
    training: list[bool] = []
    if t.module is not None:
        t.module.train()
        t.module.register_forward_pre_hook(lambda module, _: training.append(module.training))
    before = [first(a) for a in t.mine]
    W, b = t.mine if len(t.mine) == 2 else (t.give(next(t.ways(1)).values[k]) for k in "Wb")
    values = {"data": Batches(t), "W": W, "b": b, "params": t.container() if t.mine else t.packed(W, b)[0]}
    values |= passed(t)
    if not (found := parts(t.call(piece, "net data W b", **values))):
        raise Unknown("it returns nothing")
    if not all(map(torch.equal, before, [first(a) for a in t.mine])):
        raise Wrong("it changes the weights: evaluating must not train", r"step|updater|backward|data")
    if is_random(t.module) and any(training):
        raise Wrong(
            "dropout is on while it evaluates: call net.eval() before the loop, and net.train() to train again"
        )
    penalties = (t.facts.get("penalty", 0.0), 0.0)
    measured = [[measure(t, before or [t.W, t.b], k, c) for k in range(3)] for c in penalties]
    kind = compare_averages(t, found, measured, must=True)
    if t.mine:
        t.set_weights(-1.0)
        measured = [[measure(t, [first(a) for a in t.mine], k) for k in range(3)]]
        try:
            compare_averages(t, parts(t.call(piece, "net data W b", **values)), measured, must=True)
        except Wrong:
            raise Wrong("right the first time, not the second: counts are kept in a default argument, say") from None
    return f"returns {kind}"


def accuracy(t: Trial) -> str | None:
    """An accuracy of a batch, or of a data loader, which is what others call evaluate_accuracy."""
    of_loader = "data" in roles(t.box["accuracy"]) and not {"out", "X"} & roles(t.box["accuracy"])
    return evaluate(t, "accuracy") if of_loader else probes.accuracy(t)


# The name of the finding, the pieces it needs, and the probe, in the order in which they run.
PROBES: list[tuple[str, tuple[str, ...], Callable[[Trial], str | None]]] = [
    ("one_hot", ("one_hot",), probes.one_hot),
    ("softmax", ("softmax",), probes.softmax),
    ("data_iter", ("data_iter",), data_iter),
    ("init_params", ("init_params",), init_params),
    ("weights", (), probes.weights),
    ("net", ("net",), probes.net),
    ("loss", ("loss",), probes.loss),
    ("net + loss", ("net", "loss"), probes.net_loss),
    ("backward", ("loss",), probes.backward),
    ("gradients", ("gradients",), probes.gradients),
    ("sgd", ("sgd",), sgd),
    ("updater", ("updater",), updater),
    ("predict", ("predict",), probes.predict),
    ("accuracy", ("accuracy",), accuracy),
    ("evaluate_accuracy", ("evaluate_accuracy",), evaluate),
    ("train_epoch", ("train_epoch",), epoch),
    ("seed", (), seed),
]
