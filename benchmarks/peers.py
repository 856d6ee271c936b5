"""The same training by other means: what each mode is measured against.

Each function takes the data and returns one epoch, training plus evaluation, as a call without arguments.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from d2l_softmax import MODES, BatchIterator, Dataset, train
from d2l_softmax.data.batches import BLOCK
from d2l_softmax.device import threads
from d2l_softmax.scratch import init_params

BATCH_SIZE, LR, SEED = 256, 0.1, 326
CPU = torch.device("cpu")
Epoch = Callable[[], object]


def mode(name: str, dataset: Dataset, device: torch.device = CPU) -> Epoch:
    """One of this project's modes, with as many threads as a run has."""
    generator = torch.Generator().manual_seed(SEED)
    learner = MODES[name](dataset.num_inputs, len(dataset.classes), lr=LR, generator=generator, device=device)
    train_iter = BatchIterator(dataset.train_images, dataset.train_labels, BATCH_SIZE, seed=SEED, device=device)
    test_iter = BatchIterator(dataset.test_images, dataset.test_labels, BLOCK, device=device)

    def epoch() -> list:
        with threads(device, BATCH_SIZE * learner.W.numel()):
            net, loss, updater = learner.net, learner.loss, learner.updater
            return train(net, train_iter, test_iter, loss, 1, updater, backward=learner.backward)

    return epoch


def textbook(dataset: Dataset, device: torch.device = CPU) -> Epoch:
    """The loop that everyone copies: torchvision's data set, ToTensor, DataLoader, a float read in every step."""
    from benchmarks.textbook import load

    root = tempfile.TemporaryDirectory()
    extract(dataset, Path(root.name))
    return _plain_loop(dataset, *load(root.name, BATCH_SIZE), device)


def extract(dataset: Dataset, root: Path) -> None:
    """Write a data set as the extracted files of Fashion-MNIST, where torchvision looks for them below `root`."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("t10k", dataset.test_images, dataset.test_labels),
    ):
        pixels, classes = images.squeeze(1).numpy(), labels.to(torch.uint8).numpy()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx_header(*pixels.shape) + pixels.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx_header(*classes.shape) + classes.tobytes())


def idx_header(*shape: int) -> bytes:
    """What an IDX file of bytes of this shape begins with."""
    return np.array([0x800 + len(shape), *shape], ">u4").tobytes()


def tensor_dataset(dataset: Dataset, device: torch.device = CPU) -> Epoch:
    """The same loop with the images decoded once, in a `TensorDataset`."""
    loaders = [
        DataLoader(TensorDataset(images.float() / 255, labels), BATCH_SIZE, shuffle=shuffle)
        for images, labels, shuffle in (
            (dataset.train_images, dataset.train_labels, True),
            (dataset.test_images, dataset.test_labels, False),
        )
    ]
    return _plain_loop(dataset, *loaders, device)


def _plain_loop(dataset: Dataset, train_loader: DataLoader, test_loader: DataLoader, device: torch.device) -> Epoch:
    from benchmarks.textbook import train_and_evaluate

    net = nn.Sequential(nn.Flatten(), nn.Linear(dataset.num_inputs, len(dataset.classes))).to(device)
    loss = nn.CrossEntropyLoss()
    updater = torch.optim.SGD(net.parameters(), lr=LR)

    return lambda: train_and_evaluate(net, loss, updater, train_loader, test_loader, device)


def faster(*ways: Epoch) -> Epoch:
    """The one of several ways whose second epoch is shorter: matrix products depend on their orientation."""

    def seconds(way: Epoch) -> float:
        way()
        start = time.perf_counter()
        way()
        return time.perf_counter() - start

    return min(ways, key=seconds)


def numpy_loop(dataset: Dataset, threads: int | None = None) -> Epoch:
    """Forward, backward and update written out in NumPy, with the logits as x W or as (Wᵀ xᵀ)ᵀ.

    NumPy has as many threads as it chooses, or the number given.
    """

    def limited(epoch: Epoch) -> Epoch:
        def one() -> object:
            with threadpool_limits(threads):
                return epoch()

        return one

    products = (lambda x, W: x @ W, lambda x, W: (W.T @ x.T).T)
    return faster(*(limited(_numpy_loop(dataset, product)) for product in products))


def _numpy_loop(dataset: Dataset, product: Callable) -> Epoch:
    X, y = _flat(dataset.train_images).numpy(), dataset.train_labels.numpy()
    X_test, y_test = _flat(dataset.test_images).numpy(), dataset.test_labels.numpy()
    # As in the modes, each class's weights lie contiguous, which is the faster way here too.
    W, b, generator = _start(dataset)
    W, b = W.numpy(), b.numpy()

    def epoch() -> tuple[float, float, float, float]:
        total = correct = 0
        order = torch.randperm(len(X), generator=generator).numpy()
        for start in range(0, len(X), BATCH_SIZE):
            index = order[start : start + BATCH_SIZE]
            x, k = X[index], np.arange(len(index))
            logits = product(x, W) + b
            logits -= logits.max(axis=1, keepdims=True)
            correct += (logits.argmax(axis=1) == y[index]).sum()
            p = np.exp(logits)
            sums = p.sum(axis=1, keepdims=True)
            total += (np.log(sums[:, 0]) - logits[k, y[index]]).sum()
            p /= sums
            p[k, y[index]] -= 1
            p *= LR / len(index)
            np.subtract(W.T, p.T @ x, out=W.T)
            np.subtract(b, p.sum(axis=0), out=b)
        logits = product(X_test, W) + b
        m = logits.max(axis=1)
        losses = m + np.log(np.exp(logits - m[:, None]).sum(axis=1)) - logits[np.arange(len(m)), y_test]
        return total / len(X), correct / len(X), losses.mean(), (logits.argmax(axis=1) == y_test).mean()

    return epoch


def jax_scan(dataset: Dataset) -> Epoch:
    """An epoch as one jitted `lax.scan`, with the logits as x Wᵀ or as (W xᵀ)ᵀ."""
    return faster(*(_jax_scan(dataset, product) for product in (lambda x, W: x @ W.T, lambda x, W: (W @ x.T).T)))


def _jax_scan(dataset: Dataset, product: Callable) -> Epoch:
    """The scan is over whole batches, with the last, short one after it."""
    import jax
    import jax.numpy as jnp

    X, y = jnp.asarray(_flat(dataset.train_images).numpy()), jnp.asarray(dataset.train_labels.numpy())
    X_test, y_test = jnp.asarray(_flat(dataset.test_images).numpy()), jnp.asarray(dataset.test_labels.numpy())
    whole = len(X) // BATCH_SIZE * BATCH_SIZE

    def mean_loss(parameters, x, k):
        logits = product(x, parameters[0]) + parameters[1]
        losses = jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, k[:, None], axis=1)[:, 0]
        return losses.mean(), (losses.sum(), (logits.argmax(axis=1) == k).sum())

    def step(parameters, index):
        (_, figures), gradients = jax.value_and_grad(mean_loss, has_aux=True)(parameters, X[index], y[index])
        return jax.tree.map(lambda p, g: p - LR * g, parameters, gradients), figures

    @jax.jit
    def run(parameters, key):
        order = jax.random.permutation(key, len(X))
        parameters, figures = jax.lax.scan(step, parameters, order[:whole].reshape(-1, BATCH_SIZE))
        if whole < len(X):
            parameters, _ = step(parameters, order[whole:])
        return parameters, figures, mean_loss(parameters, X_test, y_test)

    key = jax.random.key(SEED)
    state = [
        (0.01 * jax.random.normal(key, (len(dataset.classes), X.shape[1])), jnp.zeros(len(dataset.classes))),
        key,
    ]

    def epoch() -> None:
        state[1], now = jax.random.split(state[1])
        state[0], *figures = run(state[0], now)
        jax.block_until_ready((state[0], figures))

    return epoch


def sgd_classifier(dataset: Dataset) -> Epoch:
    """scikit-learn's SGDClassifier with the log loss, one pass, sample by sample and one class against the rest."""
    from sklearn.linear_model import SGDClassifier

    X, y = _flat(dataset.train_images).numpy(), dataset.train_labels.numpy()
    X_test, y_test = _flat(dataset.test_images).numpy(), dataset.test_labels.numpy()
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=LR / BATCH_SIZE, alpha=0, random_state=SEED)

    def epoch() -> None:
        model.partial_fit(X, y, classes=np.arange(len(dataset.classes)))
        model.score(X_test, y_test)

    return epoch


def floor(dataset: Dataset) -> Epoch:
    """The training of the modes as lean as PyTorch can do it: one thread, no autograd, everything in place.

    Logits are (classes, batch), the orientation of the products that is faster on a CPU.
    """
    W, b, generator = _start(dataset)
    W, b = W.T, b.unsqueeze(1)
    images, test_images = dataset.train_images.flatten(1), dataset.test_images.flatten(1)
    pixels, X = (torch.empty(BATCH_SIZE, images.shape[1], dtype=dtype) for dtype in (torch.uint8, torch.float32))
    # The last batch is shorter: every buffer is cut to size.
    flat, highest, minus_one = torch.empty(len(W) * BATCH_SIZE), torch.empty(BATCH_SIZE), -torch.ones(1, BATCH_SIZE)

    def one_pass(images: torch.Tensor, y: torch.Tensor, order: torch.Tensor | None = None) -> tuple[float, float]:
        """The mean loss and the accuracy; with an order, every batch is trained on."""
        sums, own, predicted = torch.empty(len(y)), torch.empty(len(y)), torch.empty_like(y)
        for start in range(0, len(y), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            n, labels = len(y[part]), y[None, part]
            batch = images[part] if order is None else torch.index_select(images, 0, order[part], out=pixels[:n])
            x, logits = X[:n].copy_(batch).div_(255), flat[: len(W) * n].view(len(W), n)
            torch.addmm(b, W, x.T, out=logits)
            logits.sub_(torch.amax(logits, 0, out=highest[:n]))
            torch.argmax(logits, 0, out=predicted[part])
            torch.gather(logits, 0, labels, out=own[None, part])
            torch.sum(logits.exp_(), 0, out=sums[part])
            if order is not None:
                grad = logits.div_(sums[part]).scatter_add_(0, labels, minus_one[:, :n])
                W.addmm_(grad, x, alpha=-LR / n)
                b.sub_(grad.sum(dim=1, keepdim=True), alpha=LR / n)
        return float(sums.log_().sub_(own).mean()), float((predicted == y).float().mean())

    def epoch() -> tuple[float, float, float, float]:
        with torch.inference_mode(), threads(CPU, work=0):
            order = torch.randperm(len(images), generator=generator)
            figures = one_pass(images, dataset.train_labels[order], order)
            return *figures, *one_pass(test_images, dataset.test_labels)

    return epoch


def _start(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    """The weights and biases that the modes begin with, and the generator of their orders."""
    generator = torch.Generator().manual_seed(SEED)
    W, b = init_params(dataset.num_inputs, len(dataset.classes), generator=generator, device=CPU)
    return W.detach(), b.detach(), torch.Generator().manual_seed(SEED)


def _flat(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1).float() / 255


PEERS: dict[str, Callable[[Dataset], Epoch]] = {
    "textbook": textbook,
    "TensorDataset": tensor_dataset,
    "NumPy": numpy_loop,
    "NumPy, 1 thread": partial(numpy_loop, threads=1),
    "JAX scan": jax_scan,
    "SGDClassifier": sgd_classifier,
    "floor": floor,
}
# Those that can train on a GPU.
MOVABLE = ("textbook", "TensorDataset")


def missing(name: str) -> bool:
    """Whether what a peer needs is not installed."""
    return name == "JAX scan" and importlib.util.find_spec("jax") is None
