"""Reading the project's descriptions of tables: YAML whose every key is known."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from experiments.util.errors import UserError, nearest
from experiments.util.plain_yaml import read_text


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a file, interpolations left as they are: they belong to the runs' configs.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(io.StringIO(read_text(path))), resolve=False)
    except (ValueError, OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values")
    return {str(key): value for key, value in content.items()}


def refuse_unknown(given: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    """Refuse a key that is not ``allowed``.

    Raises:
        UserError: naming the nearest.
    """
    known = sorted(allowed)
    for key in given:
        if key not in known:
            raise UserError(f"{where}: unknown key '{key}'{nearest(str(key), known)}")
