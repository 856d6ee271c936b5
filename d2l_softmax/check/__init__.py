"""A learner's own softmax regression beside PyTorch's: which piece is wrong, how, and what to change."""

from typing import Any

from d2l_softmax.check.report import Finding, Report

__all__ = ["Finding", "Report", "check"]


def check(namespace: dict[str, Any] | None = None, *, path: str | None = None, names: dict[str, str] | None = None, **pieces: Any) -> Report:
    """Compare the pieces of a softmax regression with PyTorch, on small data, each on a copy.

    `check(globals())` in a notebook looks at whatever is defined there; `check(softmax=..., net=..., ...)` at what is
    given. Nothing of the caller's is changed.
    """
    from d2l_softmax.check.run import examine

    return examine(namespace, path, names or {}, pieces)
