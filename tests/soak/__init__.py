"""Attacks the program at random: `python -m tests.soak --help`."""

from tests.soak.kills import outcome, rows

__all__ = ["outcome", "rows"]
