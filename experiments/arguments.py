"""key=value arguments of the small entry points, typed by a dataclass."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.errors import UserError, nearest

Schema = TypeVar("Schema")


def parse(schema: type[Schema], arguments: list[str], usage: str) -> Schema:
    """An instance of ``schema`` from words like ``split=test``; ``--help`` prints ``usage`` and ends the program.

    Raises:
        UserError: an unknown key (the nearest is named), a missing one, or a value of another type.
    """
    if any(word in ("-h", "--help", "help") for word in arguments):
        print(usage.strip())
        sys.exit(0)
    names = [field.name for field in fields(schema)]  # type: ignore[arg-type]
    config = OmegaConf.structured(schema)
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"'{word}': expected key=value, with a key of {', '.join(names)}")
        if key not in names:
            raise UserError(f"unknown key '{key}'{nearest(key, names)} (keys: {', '.join(names)})")
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise UserError(f"{word}: {str(error).splitlines()[0]}") from None
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]}=... is missing\n\n{usage.strip()}")
    return OmegaConf.to_object(config)  # type: ignore[return-value]
