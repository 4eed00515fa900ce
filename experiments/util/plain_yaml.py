"""YAML that is no larger than its file: no aliases, a few lines of which stand for gigabytes, and no endless nesting,
which overflows the stack of libyaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from experiments.util.errors import UserError

MAX_YAML_DEPTH = 50  # collections in each other; a config has four
# libyaml's, several times faster, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path) -> str:
    """The text of a YAML file that can be loaded without harm.

    Raises:
        UserError: it is missing, no YAML, or has aliases or collections nested deeper than :data:`MAX_YAML_DEPTH`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise UserError(f"{path}: alias *{event.anchor}; write out what it stands for")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_YAML_DEPTH:
                raise UserError(f"{path}: nested deeper than {MAX_YAML_DEPTH} levels; expected keys and values")
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    return text


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, as plain data.

    Raises:
        UserError: as :func:`read_text`, or it holds something else.
    """
    try:
        content = yaml.load(read_text(path), Loader=_LOADER)
    except (ValueError, yaml.YAMLError) as error:  # e.g. a tag that would build an object, a date that is none
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values")
    return content
