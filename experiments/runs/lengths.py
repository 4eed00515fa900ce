"""Length extrapolation: the metrics of a model on sequences of other lengths than it was trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from experiments.config.schema.common import check_length
from experiments.util.errors import UserError

QUANTITIES = ("loss", "perplexity")
_NAME = re.compile(r"test_(?:loss|perplexity)_at_(?P<length>\d+)$")


def metric_name(quantity: str, length: int) -> str:
    """What a record calls a quantity of the test split, cut into sequences of ``length`` tokens."""
    return f"test_{quantity}_at_{length}"


def length_of(name: str) -> int | None:
    """The length that a metric of a record was measured at; None for one at the training length."""
    match = _NAME.search(name)
    return int(match["length"]) if match else None


def lacking(metrics: Mapping[str, Any], lengths: Iterable[int]) -> list[int]:
    """Those of ``lengths`` that a record's metrics do not know; a value that was not finite is known, as null."""
    return [length for length in lengths if metric_name("perplexity", length) not in metrics]


def beyond_positions(config: Mapping[str, Any], length: int) -> str | None:
    """Why the model of a resolved config cannot read ``length`` tokens: learned positions, or the published permutation
    tables, end before; None where it can."""
    try:
        check_length(OmegaConf.create(dict(config)), "length", length)
    except UserError as error:
        return str(error)
    return None
