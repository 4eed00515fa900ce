"""Encodings by name."""

from __future__ import annotations

import inspect
from typing import Any

from lrpe.encodings.base import Encoding
from lrpe.encodings.lrpe import LRPE
from lrpe.encodings.none import NoEncoding
from lrpe.encodings.permuteformer import PermuteFormer
from lrpe.encodings.rope import RoPE
from lrpe.encodings.spe import SPE
from lrpe.validation import check_choice, nearest

ENCODINGS: dict[str, type[Encoding]] = {
    "none": NoEncoding,
    "rope": RoPE,
    "lrpe": LRPE,
    "spe": SPE,
    "permuteformer": PermuteFormer,
}


def encoding_options(name: str) -> dict[str, Any]:
    """The options of an encoding and their defaults.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("encoding name", name, ENCODINGS)
    parameters = inspect.signature(ENCODINGS[name].__init__).parameters.values()
    return {option.name: option.default for option in parameters if option.kind is option.KEYWORD_ONLY}


def build_encoding(name: str, *, head_dim: int, num_heads: int, **options: Any) -> Encoding:
    """An encoding by name, e.g. ``build_encoding("lrpe", head_dim=64, num_heads=8, core="unitary")``.

    Args:
        name: a key of :data:`ENCODINGS`.
        head_dim: features per head.
        num_heads: heads.
        options: keyword arguments of the encoding's class.

    Raises:
        ValueError: an unknown name or option (the message names the nearest valid one), or a bad value.
    """
    valid = encoding_options(name)
    for option in options:
        if option not in valid:
            raise ValueError(
                f"encoding {name!r} has no option {option!r}{nearest(option, valid)}; "
                f"valid: {', '.join(sorted(valid)) or 'none'}"
            )
    return ENCODINGS[name](head_dim, num_heads, **options)
