"""Tried, survived, lost: what the tests of faults count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

PROPERTY = "fault"
SURVIVED, LOST = "survived", "lost"
Attempt = tuple[str, str, int]  # kind, how it ended, how many


class Tally:
    """The attempts of one test; ``report`` hands them to pytest, which carries them from its workers."""

    def __init__(self, report: Callable[[Attempt], None]) -> None:
        self._report = report

    @contextmanager
    def __call__(self, kind: str, times: int = 1) -> Iterator[list[str]]:
        """Count ``times`` attempts of a kind: lost where the block raises, else survived.

        The block may append one word that says how it survived, e.g. ``refused`` or ``harmless``.
        """
        how: list[str] = []
        try:
            yield how
        except BaseException:
            self._report((kind, LOST, times))
            raise
        self._report((kind, how[-1] if how else SURVIVED, times))


def table(attempts: Iterable[Attempt]) -> str:
    """Markdown: a line a kind, and their sum."""
    kinds: dict[str, Counter[str]] = {}
    for kind, ending, times in attempts:
        kinds.setdefault(kind, Counter())[ending] += times
    lines = ["| Fault | Tried | Survived | Lost |", "| --- | ---: | ---: | ---: |"]
    for kind, endings in sorted(kinds.items()):
        lines.append(_line(kind, endings))
    return "\n".join([*lines, _line("All", sum(kinds.values(), Counter()))])


def _line(kind: str, endings: Counter[str]) -> str:
    tried, lost = endings.total(), endings[LOST]
    words = [f"{times} {ending}" for ending, times in sorted(endings.items()) if ending not in (SURVIVED, LOST)]
    survived = f"{tried - lost} ({', '.join(words)})" if words and kind != "All" else f"{tried - lost}"
    return f"| {kind} | {tried} | {survived} | {lost} |"
