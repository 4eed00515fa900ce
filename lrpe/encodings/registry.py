"""Encodings by name. Each registers itself where it is defined; no list of them is kept anywhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lrpe.encodings.base import Encoding
from lrpe.validation import check_choice, nearest

ENCODINGS: dict[str, type[Encoding]] = {}
Class = TypeVar("Class", bound=type[Encoding])


def register_encoding(name: str) -> Callable[[Class], Class]:
    """Class decorator: the encoding is called ``name`` in :func:`build_encoding` and in configs.

    Raises:
        ValueError: another class has the name.
    """

    def register(encoding: Class) -> Class:
        other = ENCODINGS.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (encoding.__module__, encoding.__qualname__):
            raise ValueError(f"encoding {name!r} is {other.__module__}.{other.__qualname__}; choose another name")
        encoding.name = name
        ENCODINGS[name] = encoding
        return encoding

    return register


def discover(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that its encodings register themselves."""
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        if not module.ispkg:
            importlib.import_module(f"{package}.{module.name}")


def encoding_class(name: str) -> type[Encoding]:
    """The class of an encoding.

    Raises:
        ValueError: an unknown name; the message names the nearest.
    """
    return ENCODINGS[check_choice("encoding name", name, ENCODINGS)]


def encoding_options(name: str) -> dict[str, Any]:
    """The options of an encoding and their defaults.

    Raises:
        ValueError: an unknown name.
    """
    return encoding_class(name).options()


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
