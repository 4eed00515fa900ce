"""key=value arguments of the small entry points, typed by a dataclass."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from typing import TypeVar

from omegaconf import OmegaConf

from experiments.util.errors import UserError, nearest
from experiments.util.values import read_value

PATHS = ("run", "checkpoint", "data", "images", "out", "results", "source", "folder")  # in which ~ is the home folder
Schema = TypeVar("Schema")


def parse(schema: type[Schema], arguments: list[str], usage: str) -> Schema:
    """An instance of ``schema`` from words like ``split=test``; ``--help`` prints ``usage`` and ends the program.

    Raises:
        UserError: an unknown key (the nearest is named), or a value of another type.
    """
    if any(word in ("-h", "--help", "help") for word in arguments):
        print(usage.strip())
        sys.exit(0)
    names = [field.name for field in fields(schema)]  # type: ignore[arg-type]
    structure, given = OmegaConf.structured(schema), {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"'{word}': expected key=value, with a key of {', '.join(names)}")
        if key not in names:
            raise UserError(f"unknown key '{key}'{nearest(key, names)} (keys: {', '.join(names)})")
        given[key] = read_value(structure, key, value)
    made = schema(**given)
    for key in set(names) & set(PATHS):  # defaults too, which may come from the environment
        if isinstance(path := getattr(made, key), str):
            setattr(made, key, os.path.expanduser(path))
    return made
