"""Fields of a model's config that declare which values they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any


def bounded(
    default: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A dataclass field with its default and, as metadata, the values that it takes."""
    limits = {"minimum": minimum, "maximum": maximum, "below": below, "choices": tuple(choices) or None}
    return field(default=default, metadata={key: limit for key, limit in limits.items() if limit is not None})


def check_fields(config: Any) -> None:
    """Check each field of a dataclass instance against its own metadata.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """
    for item in fields(config):
        value, limits = getattr(config, item.name), item.metadata
        if "choices" in limits and value not in limits["choices"]:
            raise ValueError(f"{item.name}={value!r}: expected one of {', '.join(limits['choices'])}")
        if "minimum" in limits and not value >= limits["minimum"]:
            raise ValueError(f"{item.name}={value}: expected at least {limits['minimum']:g}")
        if "maximum" in limits and not value <= limits["maximum"]:
            raise ValueError(f"{item.name}={value}: expected at most {limits['maximum']:g}")
        if "below" in limits and not value < limits["below"]:
            raise ValueError(f"{item.name}={value}: expected a number below {limits['below']:g}")
