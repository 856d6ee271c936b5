# %% [markdown]
"""
# One sample, step by step

Softmax regression on one image by hand, then on a batch, then for an epoch: `one_sample.ipynb` or, without pictures,
`python -m examples.one_sample --data-dir DIR`. The images are the MNIST in DIR or else digits, which need no files.
"""

# %%
import argparse
import os
from pathlib import Path

import torch
from torch.nn.functional import one_hot

if Path.cwd().name == "examples":  # where a notebook starts
    os.chdir("..")
from d2l_softmax import BatchIterator, cross_entropy, evaluate, load_dataset, scratch, softmax, train_epoch
from d2l_softmax.initialisers import uniform
from d2l_softmax.record import pictures

# %matplotlib inline
parser = argparse.ArgumentParser("examples.one_sample")
parser.add_argument("--data-dir", default=os.environ.get("D2L_SOFTMAX_DATA", "data"), help="may hold MNIST/raw/")
folder = parser.parse_args(None if "__file__" in globals() else []).data_dir  # a notebook has no command line
data = load_dataset("mnist" if Path(folder, "MNIST", "raw").is_dir() else "digits", folder)
images, labels = data.train_images[:1000] / data.max_value, data.train_labels[:1000]

# %% [markdown]
# The start is W, b ~ U(−1, 1), and the image is the first that it gets wrong. The logits are o = x W + b, the
# probabilities p = softmax(o), and the loss is l = −log p_y.

# %%
cpu, start, lr = torch.device("cpu"), torch.Generator().manual_seed(326), 0.1
W, b = scratch.init_params(data.num_inputs, len(data.classes), uniform, generator=start, device=cpu)
net = scratch.Net(W, b)
i = int((net(images).argmax(dim=1) != labels).nonzero()[0])
X, y = images[i : i + 1], labels[i : i + 1]
logits = net(X)
p, loss = softmax(logits).detach(), cross_entropy(logits, y)
for name, o_j, p_j in zip(data.classes, logits[0], p[0], strict=True):
    print(f"class {name}: logit {o_j:7.3f}, probability {p_j:.4f}")
print(f"loss {loss.item():.4f} of training image {i} of {data.name}")
pictures.predictions(data.train_images, labels, softmax(net(images)).detach(), data.classes, data.max_value)

# %% [markdown]
# As l = log Σ_k exp(o_k) − o_y, its gradient with respect to the logits is g_j = ∂l/∂o_j = p_j − [j = y]. By the
# chain rule ∂l/∂W_ij = x_i g_j and ∂l/∂b_j = g_j. Autograd must find the same.

# %%
g = p - one_hot(y, len(data.classes))
dW, db = X.flatten(1).T @ g, g[0]
loss.sum().backward()
print(f"by hand and by autograd: apart by at most {max((W.grad - dW).abs().max(), (b.grad - db).abs().max()):.1e}")
pictures.weights(-lr * dW, *X.shape[2:], data.classes, "What a step adds to the weights: −lr ∂l/∂W")

# %% [markdown]
# A step against the gradient, W ← W − lr ∂l/∂W and b ← b − lr ∂l/∂b, moves the logits of its image by
# −lr (|x|² + 1) g. That is much on MNIST, where |x|² is about 90: one step nearly settles the one image.
# A published walk-through has a loss of 7.87 before its step and 0.0026 after, but not which image, start and rate.
# It cannot have begun with small weights, whose losses lie near log 10 = 2.30, but it can with U(−1, 1).

# %%
with torch.no_grad():
    o, squares = net(images), images.flatten(1).square().sum(dim=1, keepdim=True)
    moved = o - lr * (squares + 1) * (softmax(o) - one_hot(labels, len(data.classes)))
    W -= lr * dW
    b -= lr * db
print("loss                     before   after\npublished                  7.87  0.0026")
print(f"this image              {loss.item():7.2f}  {cross_entropy(net(X), y).item():6.2g}")
print("median of 1000 images   {:7.2f}  {:6.2g}".format(*(cross_entropy(z, labels).median() for z in (o, moved))))

# %% [markdown]
# For a batch it is the mean over its images: g = (p − one-hot) / 256, ∂L/∂W = Xᵀ g and ∂L/∂b = Σ g. An epoch is such
# a step for every batch of the shuffled data set, in the loop that every mode trains with.

# %%
with torch.no_grad():
    X, y = images[:256].flatten(1), labels[:256]
    before, g = cross_entropy(net(X), y).mean(), (softmax(net(X)) - one_hot(y, len(data.classes))) / len(y)
    W -= lr * X.T @ g
    b -= lr * g.sum(dim=0)
print(f"loss of the batch: {before:.4f} before the step, {cross_entropy(net(X), y).mean():.4f} after it")
train_iter = BatchIterator(data.train_images, data.train_labels, 256, seed=326, divisor=data.max_value, device=cpu)
test_iter = BatchIterator(data.test_images, data.test_labels, 1024, divisor=data.max_value, device=cpu)
print("test loss {:.4f}, accuracy {:.4f} before the epoch".format(*evaluate(net, test_iter, cross_entropy)))
train_epoch(net, train_iter, cross_entropy, scratch.SGD([W, b], lr))
print("test loss {:.4f}, accuracy {:.4f} after it".format(*evaluate(net, test_iter, cross_entropy)))
p = softmax(net(data.test_images / data.max_value)).detach()
pictures.predictions(data.test_images, data.test_labels, p, data.classes, data.max_value)
