"""What a person reads when data cannot be prepared or trusted, and the nearest of the words that were expected."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DataError(Exception):
    """Data is missing, damaged or not what it claims to be; the message names the file and says what to do.

    Entry points print the message alone, without a traceback, and exit with code 2.
    """


def closest(word: object, choices: Iterable[str], count: int = 1, cutoff: float = 0.5) -> list[str]:
    """At most ``count`` of ``choices`` that are like ``word``, the nearest first."""
    return get_close_matches(str(word), list(choices), n=count, cutoff=cutoff)


def nearest(word: object, choices: Iterable[str], cutoff: float = 0.5) -> str:
    """``"; did you mean 'rope'?"`` for the closest of ``choices``, or an empty string where none is close."""
    found = closest(word, choices, cutoff=cutoff)
    return f"; did you mean '{found[0]}'?" if found else ""
