"""A learner's own softmax regression beside PyTorch's: which piece is wrong, how, and what to change."""

from typing import Any

from d2l_softmax.check.report import Finding, Report

__all__ = ["Finding", "Report", "check"]


def check(
    namespace: dict[str, Any] | str | None = None,
    *,
    names: dict[str, str] | None = None,
    penalty: float | None = None,
    first_label: int | None = None,
    **pieces: Any,
) -> Report:
    """Compare the pieces of a softmax regression with PyTorch's: `check(globals())` in a notebook, or a file.

    Every probe works on copies, on small data and on the CPU; variables, random states and settings stay as they
    were. A class is made, and its `fit` called, where nothing else gives it weights. Conventions are found out by
    trying: probabilities or logits, indices or one-hot labels, one loss per image, their mean or sum, a row or a
    column for each image, W (features, classes) or (classes, features), NumPy or torch. A difference that has no
    explanation is only a remark, unless the learner's own epoch runs and is not right, either.

    Args:
        namespace: the names of a notebook, or the path of a file, which is run once.
        names: piece → the name that it has, where that is none of the usual ones: `{"softmax": "normalise"}`. The
            pieces: softmax, one_hot, net, loss, gradients, sgd, updater, accuracy, predict, evaluate_accuracy,
            train_epoch, data_iter, init_params.
        penalty: c of a penalty c Σ W² that train_epoch adds to the mean loss, where it is not found out.
        first_label: the label of the first class, if not 0.
        pieces: pieces by name, `check(softmax=f, net=g)`, instead of a namespace.

    A file can say the same as the last three keywords in a dictionary, `CHECK = {"first_label": 1}`.

    Returns:
        The report: it prints itself, `ok` is whether nothing is wrong, and `findings` lists what was found.

    Raises:
        UserError: the file cannot be read or run, or nothing to check was found.
    """
    # PyTorch is imported when there is something to check.
    from d2l_softmax.check.run import examine

    told = {"names": names, "penalty": penalty, "first_label": first_label}
    return examine(namespace, pieces, {key: value for key, value in told.items() if value is not None})
