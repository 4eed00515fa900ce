"""What a study varies: ``recipe.learning_rate=log(1e-4,1e-2)`` as an Optuna distribution."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.util.errors import UserError, nearest

_CALL = re.compile(r"(\w+)\((.*)\)$", re.DOTALL)
KINDS: dict[str, Callable[[Any, Any], BaseDistribution]] = {
    "uniform": FloatDistribution,
    "log": lambda low, high: FloatDistribution(low, high, log=True),
    "integer": IntDistribution,
    "log_integer": lambda low, high: IntDistribution(low, high, log=True),
}
CHOICE = "choice"
NAMES = (*KINDS, CHOICE)


def is_varied(value: str) -> bool:
    """Whether an override's value is written as a distribution, known or not."""
    return _CALL.match(value) is not None


def parse_distribution(key: str, value: str) -> BaseDistribution:
    """``uniform(low,high)``, ``log(low,high)``, ``integer(low,high)``, ``log_integer(low,high)``, ``choice(a,b,...)``.

    Raises:
        UserError: an unknown name, bounds that are no numbers or in the wrong order, or fewer than two choices.
    """
    match = _CALL.match(value)
    if match is None or match[1] not in NAMES:
        word = match[1] if match else value
        raise UserError(f"{key}={value}: unknown distribution '{word}'{nearest(word, NAMES)} (there are: {_listed()})")
    words = [word.strip() for word in match[2].split(",") if word.strip()]
    if match[1] == CHOICE:
        if len(set(words)) < 2:
            raise UserError(f"{key}={value}: expected two choices at least, e.g. choice(rope,none)")
        return CategoricalDistribution(list(dict.fromkeys(words)))
    number = int if "integer" in match[1] else float
    try:
        low, high = (number(word) for word in words)
        distribution = KINDS[match[1]](low, high)
    except ValueError:
        kind = "whole numbers" if number is int else "numbers"
        above = " above 0" if "log" in match[1] else ""
        raise UserError(f"{key}={value}: expected {match[1]}(low,high) with two {kind}{above}, low first") from None
    return distribution


def describe(space: Mapping[str, BaseDistribution]) -> dict[str, str]:
    """The distributions as a person writes them, which a study keeps and compares."""
    return {key: _written(distribution) for key, distribution in sorted(space.items())}


def corners(space: dict[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Two assignments that between them touch every bound, or the first and the last choice."""
    ends = {
        key: (found.choices[0], found.choices[-1])
        if isinstance(found, CategoricalDistribution)
        else (_numbers(found).low, _numbers(found).high)
        for key, found in space.items()
    }
    return [{key: pair[end] for key, pair in ends.items()} for end in (0, 1)]


def as_overrides(parameters: dict[str, Any]) -> list[str]:
    """A trial's parameters as words for ``experiments.train``; every digit of a number is kept."""
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in parameters.items()]


def _written(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"{CHOICE}({','.join(str(choice) for choice in distribution.choices)})"
    found = _numbers(distribution)
    names = ("integer", "log_integer") if isinstance(found, IntDistribution) else ("uniform", "log")
    return f"{names[found.log]}({found.low!r},{found.high!r})"


def _numbers(distribution: BaseDistribution) -> IntDistribution | FloatDistribution:
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # there are no others in KINDS
    return distribution


def _listed() -> str:
    return ", ".join(f"{name}(low,high)" for name in KINDS) + f", {CHOICE}(a,b,...)"
