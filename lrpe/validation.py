"""Checks of what a user passes, and messages that name the argument, its value and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def check_positive(argument: str, value: int) -> int:
    """Return ``value`` if it is a positive integer.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is smaller than one.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be a positive integer, got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"{argument} must be a positive integer, got {value}")
    return value


def check_choice(argument: str, value: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``; else raise ValueError naming the nearest choice."""
    choices = sorted(choices)
    if value in choices:
        return value
    raise ValueError(f"{argument}={value!r} is unknown{nearest(value, choices)}; valid: {', '.join(choices)}")


def nearest(value: object, choices: Iterable[str]) -> str:
    """The part of a message that suggests the nearest of ``choices``, or nothing if none is near."""
    matches = difflib.get_close_matches(str(value), list(choices), n=1)
    return f", did you mean {matches[0]!r}?" if matches else ""
