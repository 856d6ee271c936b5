# %% [markdown]
"""
# Softmax regression, from the images to a trained network

This notebook follows sections 3.5 to 3.7 of *Dive into Deep Learning* with the functions of `d2l_softmax`. Its last
section lists the names of the book beside ours. It trains on Fashion-MNIST, which is read from `data/` (or the folder
that `D2L_SOFTMAX_DATA` names) or downloaded. Without a network it trains on `digits`, which come with scikit-learn.
"""

# %%
import os
import warnings
from pathlib import Path

import torch
from IPython.display import clear_output, display
from torch import nn

if Path.cwd().name == "examples":  # where Jupyter starts this notebook in a checkout
    os.chdir("..")
from d2l_softmax import BatchIterator, concise, cross_entropy, load_dataset, scratch, softmax, train, train_epoch
from d2l_softmax.check import check
from d2l_softmax.record import pictures

# %matplotlib inline
batch_size, lr, num_epochs, seed = 256, 0.1, 5, 326

# %% [markdown]
# ## 3.5 The images
# `load_dataset` returns the images as bytes, their labels, and the names of the classes.

# %%
data = load_dataset("auto", os.environ.get("D2L_SOFTMAX_DATA", "data"))
num_inputs, num_outputs = data.num_inputs, len(data.classes)
print(f"{data.name}: {tuple(data.train_images.shape)} to train on, {tuple(data.test_images.shape)} to test on")
print(f"{num_inputs} pixels, {num_outputs} classes: {', '.join(data.classes)}")
pictures.samples(data.train_images[:10], data.train_labels[:10], data.classes, data.max_value)


# %% [markdown]
# A `BatchIterator` yields batches of images `X`, with pixels from 0 to 1, and labels `y`, on the GPU if there is one.
# With a seed every pass has a new order, and a new iterator begins again with the first.


# %%
def load_data():
    """Return iterators over the training and the test images, as `load_data_fashion_mnist(batch_size)` does."""
    train_iter = BatchIterator(data.train_images, data.train_labels, batch_size, seed=seed, divisor=data.max_value)
    return train_iter, BatchIterator(data.test_images, data.test_labels, batch_size, divisor=data.max_value)


train_iter, test_iter = load_data()
X, y = next(iter(train_iter))
print(f"{len(train_iter)} batches of X {tuple(X.shape)}, {X.dtype}, and y {tuple(y.shape)}, {y.dtype}")

# %% [markdown]
# ## 3.6 From scratch
# The network computes a number for each class, the logits o = x W + b, and softmax makes probabilities of them:
# p_j = exp(o_j) / Σ_k exp(o_k). The exponential of a large logit is infinite, and inf / inf is nan. So `softmax`
# first subtracts the largest logit from all. Numerator and denominator shrink by the same factor, which cancels.

# %%
logits = torch.tensor([[1.0, 2.0, 3.0], [1001.0, 1002.0, 1003.0]])
print("by the formula:", logits.exp() / logits.exp().sum(dim=1, keepdim=True), sep="\n")
print("softmax:", softmax(logits), sep="\n")

# %% [markdown]
# The loss of an image is its cross-entropy, −log p_y. A very small probability is rounded to 0, and its logarithm is
# infinite. So `cross_entropy` takes logits and computes the same quantity as log Σ_k exp(o_k) − o_y.

# %%
logits, labels = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 200.0]]), torch.tensor([2, 0])
print("of probabilities:", scratch.cross_entropy_of_probabilities(softmax(logits), labels))
print("of logits:       ", cross_entropy(logits, labels))

# %% [markdown]
# `train` takes a step for every batch. After every epoch it evaluates the network on the test images and passes the
# results to its listeners. The listener here redraws its figure with the new epoch.


# %%
def curves(title):
    """Make a listener that draws the curves of all epochs so far."""
    results = []

    def draw(result):
        results.append(result)
        clear_output(wait=True)
        display(pictures.curves(results, f"{title}: test accuracy {result.test_accuracy:.4f}"))

    return draw


W, b = scratch.init_params(num_inputs, num_outputs, generator=torch.Generator().manual_seed(seed))
net, updater = scratch.Net(W, b), scratch.SGD([W, b], lr)
results = train(net, *load_data(), cross_entropy, num_epochs, updater, listeners=[curves("From scratch")])

# %% [markdown]
# Each column of W has a weight for every pixel, so it can be drawn as an image. Below it are the first test images.

# %%
X, y = next(iter(test_iter))
display(pictures.weights(W, *X.shape[2:], data.classes, "The weights of each class"))
pictures.predictions(data.test_images, y, softmax(net(X)), data.classes, data.max_value)

# %% [markdown]
# ## 3.7 Concisely
# The same from PyTorch's own pieces. `concise.make_net` draws the same weights from the same seed.
# `nn.CrossEntropyLoss` takes logits, too. It returns the mean over the batch, which `train` also accepts.

# %%
linear = concise.make_net(num_inputs, num_outputs, generator=torch.Generator().manual_seed(seed))
loss, updater = nn.CrossEntropyLoss(), torch.optim.SGD(linear.parameters(), lr)
concise_results = train(linear, *load_data(), loss, num_epochs, updater, listeners=[curves("Concise")])
difference = (linear[1].weight.T - W).abs().max().item()
print(linear)
print(f"largest difference from the weights from scratch: {difference:.1e}, from rounding")

# %% [markdown]
# ## A hidden layer
# `train` only needs a network that maps images to logits, so a deeper one is trained in the same way.

# %%
torch.manual_seed(seed)
deep = nn.Sequential(nn.Flatten(), nn.Linear(num_inputs, 256), nn.ReLU(), nn.Linear(256, num_outputs)).to(X.device)
updater = torch.optim.SGD(deep.parameters(), lr)
deep_results = train(deep, *load_data(), loss, num_epochs, updater, listeners=[curves("With a hidden layer")])

# %% [markdown]
"""
## The book's names and ours

| book | ours | difference |
| --- | --- | --- |
| `load_data_fashion_mnist(batch_size, resize)` | the same | `resize=` by name; decoded images stay on the device |
| `get_fashion_mnist_labels(labels)` | `data.classes[label]` | |
| `show_images(…)` | `pictures.samples(images, labels, classes, max_value)` | |
| `net(X)` | `scratch.Net(W, b)` | the book's returns probabilities, ours logits |
| `softmax(X)` | the same | ours subtracts the maximum |
| `cross_entropy(y_hat, y)` | `cross_entropy_of_probabilities(y_hat, y)` | |
| | `cross_entropy(logits, y)` | takes logits, as `nn.CrossEntropyLoss` does |
| `accuracy(y_hat, y)` | the same | ours returns the number of correct predictions as a tensor |
| `Accumulator(n)` | the same | ours also adds up tensors, without waiting for a GPU |
| `evaluate_accuracy(net, data_iter)` | the same | |
| `sgd(params, lr, batch_size)` | `scratch.SGD(params, lr)` | an object that uses the gradient of the mean loss |
| `train_epoch_ch3(net, train_iter, loss, updater)` | `train_epoch`, the same arguments | |
| `train_ch3(net, train_iter, test_iter, loss, num_epochs, updater)` | `train`, the same arguments | listeners draw |
| `Animator(…)` | `pictures.curves(results, title)` | draws one figure; see `curves` above |
| `predict_ch3(net, test_iter, n)` | `pictures.predictions(images, labels, probabilities, …)` | draws ten images |
| `try_gpu(i)` | the same | ours is where data and weights go by default |

Two habits from the book need care. There the network ends in softmax, but `cross_entropy` here takes logits. Together
they apply softmax twice. The network then learns less, and no error says so. Therefore `train` warns:
"""

# %%
W, b = scratch.init_params(num_inputs, num_outputs, generator=torch.Generator().manual_seed(seed))
net, updater = scratch.Net(W, b), scratch.SGD([W, b], lr)
with warnings.catch_warnings(record=True) as caught:
    twice = train(lambda X: softmax(net(X)), *load_data(), cross_entropy, num_epochs, updater)
print(caught[0].message)
print(f"test accuracy {twice[-1].test_accuracy:.4f} instead of {results[-1].test_accuracy:.4f}")

# %% [markdown]
# And the book's updater is a function of the batch size, called after the gradient of the sum. `train` takes it, too:


# %%
def sgd(params, lr, batch_size):
    """The book's minibatch stochastic gradient descent."""
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


W, b = scratch.init_params(num_inputs, num_outputs, generator=torch.Generator().manual_seed(seed))
net = scratch.Net(W, b)
print(train_epoch(net, train_iter, cross_entropy, lambda batch_size: sgd([W, b], lr, batch_size)))

# %% [markdown]
# ## Is mine right?
# `check` compares the functions of a notebook with PyTorch, one by one and together:

# %%
print(check(globals()))


# %% [markdown]
# A copy of `softmax` that adds up the batch instead of the classes is found out:


# %%
def broken_softmax(X):
    """Softmax with a mistake."""
    exp = (X - X.amax(dim=0, keepdim=True)).exp()
    return exp / exp.sum(dim=0, keepdim=True)


print(check(softmax=broken_softmax))
