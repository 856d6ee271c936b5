"""Known mistakes: what to say, and what a piece would compute with the mistake. A new one is a line of a table."""

import re

import torch
from torch.nn import functional as F

LN2, LN10 = 0.6931471805599453, 2.302585092994046


def at(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The entry of each row that its label names."""
    return p.gather(1, y[:, None])[:, 0]


def hot(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The labels as one-hot rows like p."""
    return F.one_hot(y, p.shape[1]).to(p)


def shifted(Z: torch.Tensor) -> torch.Tensor:
    """exp of each row less its maximum."""
    return (Z - Z.amax(1, keepdim=True)).exp()


# Right for one image, which may be all that it gets.
WHOLE_BATCH = "each row is divided by the sum of the whole batch. Sum with dim=1, keepdim=True"

# of logits Z (batch, classes)
SOFTMAX = {
    "the columns add up to 1, not the rows: it works down the batch. Use dim=1": lambda Z: Z.softmax(0),
    WHOLE_BATCH: lambda Z: Z.exp() / Z.exp().sum(),
    "each column is divided by its sum, not each row: sum with dim=1, keepdim=True": lambda Z: (
        shifted(Z) / shifted(Z).sum(0)
    ),
    "each row, less its maximum, is divided by the sum of the whole batch. Sum with dim=1, keepdim=True": lambda Z: (
        shifted(Z) / shifted(Z).sum()
    ),
    "each column's maximum is subtracted, which changes the logits of a row. Subtract each row's own, "
    "X.max(dim=1, keepdim=True).values": lambda Z: (Z - Z.amax(0)).softmax(1),
    "the maximum is subtracted above the line only: divide by the sum of the same exp": lambda Z: (
        shifted(Z) / Z.exp().sum(1, True)
    ),
    "it is not divided by the sum of the row": lambda Z: Z.exp(),
    "each row's largest value is 1: divide by the sum of the row": shifted,
    "this is the sigmoid of each logit: divide exp(x) by the row's sum of exp": lambda Z: Z.sigmoid(),
    "it divides the logits themselves by their sum: take exp first": lambda Z: Z / Z.sum(1, True),
    "the sign is wrong: the largest logit gets the smallest probability": lambda Z: (-Z).softmax(1),
    "it takes powers of 2, not of e": lambda Z: (Z * LN2).softmax(1),
    "it takes powers of 10, not of e": lambda Z: (Z * LN10).softmax(1),
    "the logits are divided by their maximum: subtract it": lambda Z: (Z / Z.amax(1, True)).softmax(1),
    "it is applied twice": lambda Z: Z.softmax(1).softmax(1),
    "it returns the logarithm of softmax": lambda Z: Z.log_softmax(1),
    "it divides by the mean of the row, not by its sum": lambda Z: Z.softmax(1) * Z.shape[1],
}

# of probabilities p, log p (batch, classes), labels y (batch,) and logits Z: one loss per image
LOSS = {
    "the sign is wrong: it is log p, the loss is −log p": lambda p, lp, y, Z: at(lp, y),
    "it takes the logarithm to base 2: take the natural one": lambda p, lp, y, Z: -at(lp, y) / LN2,
    "it takes the logarithm to base 10: take the natural one": lambda p, lp, y, Z: -at(lp, y) / LN10,
    "it is divided by the number of classes: sum over the classes, and take the mean over the images alone": (
        lambda p, lp, y, Z: -at(lp, y) / p.shape[1]
    ),
    "the logarithm is missing: it is −p of the right class": lambda p, lp, y, Z: -at(p, y),
    "the logarithm is missing: it is 1 − p of the right class": lambda p, lp, y, Z: 1 - at(p, y),
    "it is the loss of the most probable class, not of the label": lambda p, lp, y, Z: -lp.amax(1),
    "it takes the column before the label's; labels begin at 0": lambda p, lp, y, Z: -at(lp.roll(1, 1), y),
    "it takes the column after the label's; labels begin at 0": lambda p, lp, y, Z: -at(lp.roll(-1, 1), y),
    "this is binary cross-entropy: −log p of the right class alone is the loss": (
        lambda p, lp, y, Z: F.binary_cross_entropy(p, hot(p, y), reduction="none").sum(1)
    ),
    "this is binary cross-entropy, averaged over the classes: −log p of the right class alone is the loss": (
        lambda p, lp, y, Z: F.binary_cross_entropy(p, hot(p, y), reduction="none").mean(1)
    ),
    "it adds −log p of all classes: take the right class alone": lambda p, lp, y, Z: -lp.sum(1),
    "it averages −log p over all classes: take the right class alone": lambda p, lp, y, Z: -lp.mean(1),
    "it is the entropy of the prediction: the label is not used": lambda p, lp, y, Z: -(p * lp).sum(1),
    "it is p log p: multiply log p by the one-hot label, not by p": lambda p, lp, y, Z: -at(p * lp, y),
    "this is the squared error, not −log p": lambda p, lp, y, Z: (p - hot(p, y)).square().sum(1),
    "this is the mean squared error, not −log p": lambda p, lp, y, Z: (p - hot(p, y)).square().mean(1),
    "softmax is applied twice": lambda p, lp, y, Z: -at(p.log_softmax(1), y),
    "softmax works down the batch: use dim=1": lambda p, lp, y, Z: -at(lp.log_softmax(0), y),
    "it is not normalised: the logarithm of the sum of exp is missing": lambda p, lp, y, Z: -at(lp, y) - lp.amax(1),
    "the maximum that is subtracted in log-sum-exp is not added back": lambda p, lp, y, Z: -at(lp, y) - Z.amax(1),
    "all probabilities are taken from the first row: index [arange(len(y)), y], or gather(1, y[:, None])": (
        lambda p, lp, y, Z: -lp[0, y]
    ),
    "every image gets the losses of all labels: index [arange(len(y)), y]": lambda p, lp, y, Z: -lp[:, y],
    "every image gets the mean loss of all labels: index [arange(len(y)), y]": lambda p, lp, y, Z: -lp[:, y].mean(1),
    "every image gets the losses of all labels, added up: index [arange(len(y)), y]": lambda p, lp, y, Z: (
        -lp[:, y].sum(1)
    ),
    "it is twice the loss": lambda p, lp, y, Z: -2 * at(lp, y),
    "it is half the loss": lambda p, lp, y, Z: -at(lp, y) / 2,
}

# of logits Z (batch, classes) and bias b (classes,)
NET = {
    "the bias is not added": lambda Z, b: Z - b,
    "the bias is subtracted": lambda Z, b: Z - 2 * b,
    "the bias is added twice": lambda Z, b: Z + b,
    "ReLU cuts the negative logits off: return them as they are": lambda Z, b: Z.relu(),
    "the sigmoid is applied to the logits: take softmax, or return them": lambda Z, b: Z.sigmoid(),
    "tanh bounds the logits: return them as they are": lambda Z, b: Z.tanh(),
    "the bias is added after softmax: add it to the logits": lambda Z, b: (Z - b).softmax(1) + b,
    "the sign of the logits is wrong": lambda Z, b: -Z,
    "it returns the predicted classes, which have no gradient: return logits": lambda Z, b: Z.argmax(1).double(),
    "it returns the largest logit of each image: return all of them": lambda Z, b: Z.amax(1),
    **{f"its softmax is wrong: {say}": lambda Z, b, wrong=wrong: wrong(Z) for say, wrong in SOFTMAX.items()},
    "log_softmax works down the batch: use dim=1": lambda Z, b: Z.log_softmax(0),
}

# of images X (batch, features), probabilities p and one-hot Y (batch, classes): the gradient by the logits
GRADIENTS = {
    "the one-hot label is not subtracted: the derivative by the logits is p − Y": lambda p, Y: p,
    "only the label's column has a gradient: the derivative by the logits is p − Y": lambda p, Y: (p - Y) * Y,
    "it takes logits for p: the derivative by the logits is softmax(logits) − Y": lambda p, Y: p.log() - Y,
    "the derivative of softmax is applied once more: p − Y has it already": lambda p, Y: (p - Y) * p * (1 - p),
    "it is −Y / p, the derivative by p: by the logits it is p − Y": lambda p, Y: -Y / p,
    "the label's column is off by one": lambda p, Y: p - Y.roll(1, 1),
    "the label's column is off by one (−1)": lambda p, Y: p - Y.roll(-1, 1),
    "softmax works down the batch": lambda p, Y: p.log().softmax(0) - Y,
    "1 is subtracted after p is divided by the number of images: subtract it first": lambda p, Y: p - len(p) * Y,
    "the one-hot label is divided by the number of images twice": lambda p, Y: p - Y / len(p),
    "1 is subtracted from every column: subtract it from the label's alone": lambda p, Y: p - 1,
}

TOO_LARGE = (
    "dW and db are n times those of the loss for n images, 7 times for 7: the loss is a mean, so divide them by the "
    "number of images, too"
)

# what dW has of c × W where the loss has the penalty c × sum of W²
PENALTY = {
    "half of the penalty's derivative is missing: that of c W² is 2 c W": 1,
    "the derivative of the penalty, 2 c W, is missing": 0,
    "it has twice the derivative of the penalty, 2 c W": 4,
    "the derivative of the penalty has the wrong sign": -2,
}

# of the factor a that the gradient should have, lr and n images: the factor that it has, before it is times lr
SGD = {
    "it goes up the gradient: subtract lr × gradient": lambda a, lr, n: -a,
    "it divides by batch_size twice": lambda a, lr, n: a / n,
    "it multiplies by batch_size": lambda a, lr, n: a * n,
    "lr is not used: subtract lr × gradient": lambda a, lr, n: a / lr,
    "lr is used twice: subtract lr × gradient": lambda a, lr, n: a * lr,
    "it divides by lr: subtract lr × gradient": lambda a, lr, n: a / lr**2,
}

# of right answers (batch,), 1 or 0, logits Z and labels y
ACCURACY = {
    "it counts the wrong answers": lambda hits, Z, y: 1 - hits,
    "argmax finds the largest entry of the whole batch: add dim=1, or axis=1": lambda hits, Z, y: (
        Z.argmax() == y
    ).double(),
    "it takes the smallest entry of each row: take argmax": lambda hits, Z, y: (Z.argmin(1) == y).double(),
    "it divides by the number of classes, not of images": lambda hits, Z, y: hits * len(y) / Z.shape[1],
    "one-hot rows are compared entry by entry, so that a wrong answer is mostly right: compare classes": (
        lambda hits, Z, y: 1 - 2 * (1 - hits) / Z.shape[1]
    ),
    "each answer is compared with each label: one of the two has the shape (n, 1)": (
        lambda hits, Z, y: (Z.argmax(1)[:, None] == y).double().sum(1)
    ),
    "it divides by the number of images twice": lambda hits, Z, y: hits / len(y),
    "an answer counts where the label's probability is above 0.5, not where it is the largest: take argmax": (
        lambda hits, Z, y: (at(Z.softmax(1), y) > 0.5).double()
    ),
    "the answers are one class too high": lambda hits, Z, y: (Z.argmax(1) + 1 == y).double(),
}

# of what is averaged over the images, a tensor for each batch: what is returned instead
RETURNS = {
    "the batches' averages are averaged, so that the short last batch counts as much as a full one": (
        lambda m: torch.stack([x.mean() for x in m]).mean()
    ),
    "the batches' averages are added up, whatever their length": lambda m: sum(x.mean() for x in m),
    "the batches' averages are divided by the number of images": lambda m: (
        sum(x.mean() for x in m) / sum(map(len, m))
    ),
    "only the last batch counts": lambda m: m[-1].mean(),
    "only the first batch counts: return after the loop": lambda m: m[0].mean(),
    "the last batch is left out": lambda m: torch.cat(m[:-1]).mean(),
    "the last batch is left out, but its images counted": lambda m: torch.cat(m[:-1]).sum() / sum(map(len, m)),
    "only the last batch is added up, but all images counted": lambda m: m[-1].sum() / sum(map(len, m)),
    "the sum is divided by the number of batches, not of images": lambda m: torch.cat(m).sum() / len(m),
    "every batch is counted as a full one": lambda m: torch.cat(m).sum() / len(m) / len(m[0]),
    "every batch is counted as long as the last": lambda m: torch.cat(m).sum() / len(m) / len(m[-1]),
    "the batches' sums are multiplied by their lengths once more": (
        lambda m: sum(x.sum() * len(x) for x in m) / sum(map(len, m))
    ),
    "every batch's average is multiplied by a full one's length": (
        lambda m: sum(x.mean() for x in m) * len(m[0]) / sum(map(len, m))
    ),
    "it is the share of wrong answers": lambda m: 1 - torch.cat(m).mean(),
}

# What Python says of a mistake, as a pattern
RAISES = {
    "leaf Variable that requires grad": "Change the parameters under torch.no_grad()",
    "has no attribute '(zero_|data|detach_?)'|unsupported operand.*NoneType": (
        "A gradient is None: p = p - ... gives the name p to a new tensor, or backward is not called before the step"
    ),
    "does not require grad": "The loss is cut off from autograd, by no_grad, .detach() or .data in the forward pass",
    "backward through the graph a second time": "Compute the loss anew for every batch",
    "return_types.max": "max gives values and indices: take .values",
    r"tensor a \((7\).* b \(10|10\).* b \(7)\).*dimension 1": "Add keepdim=True to the sum or maximum",
    r"tensor a \(10\).* b \([47]\)|shapes \(10,\) \([47],\)": (
        "It compares answers for the classes, not for the images: take argmax with dim=1, or axis=1"
    ),
}


def advice(message: str) -> str:
    """What to change where Python says this, or nothing."""
    return next((change for said, change in RAISES.items() if re.search(said, message)), "")


# What the gradient of each step has besides
EARLIER = "the gradients of earlier batches are added. Call zero_grad for every batch, before backward"

# What the gradient of each step is multiplied by. k: number of the batch, n: its images, m: of a full one, N: batches
SHORT_BATCH = "a short last batch's gradient is divided by the length of a full one. Divide by len(y)"
TWICE = "the gradient is divided by the number of images twice"
SUM = "the gradient is a sum: divide by the number of images, or take the loss's mean"
ASCENT = "it goes up the gradient, not down"
EPOCH = {
    SHORT_BATCH: lambda k, n, m, N: n / m,
    TWICE: lambda k, n, m, N: 1 / n,
    SUM: lambda k, n, m, N: n,
    ASCENT: lambda k, n, m, N: -1,
    "the last batch is not trained on": lambda k, n, m, N: k < N - 1,
    "the first batch is not trained on": lambda k, n, m, N: k > 0,
    "only the first batch is trained on: return or break ends the loop": lambda k, n, m, N: k == 0,
    "only the last batch is trained on: indent backward and step": lambda k, n, m, N: k == N - 1,
    "the gradient is divided by the number of batches": lambda k, n, m, N: 1 / N,
    "nothing is trained: call backward, then the updater, for every batch, and zero_grad not between them": (
        lambda k, n, m, N: 0
    ),
}
