"""Masking of secrets in commands, texts and configs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
_SECRET_WORDS = r"(?:api[-_]?key|key|token|password|passwd|secret|credentials?)"
_SECRET_NAME = re.compile(rf"^(?:.*[-_.+~])?{_SECRET_WORDS}$", re.IGNORECASE)
_INSIDE = re.compile(
    rf"""((?<![a-z]){_SECRET_WORDS}["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,}}&]+)""",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_KNOWN_SHAPES = re.compile(r"\b(?:hf_|gh[pousr]_|github_pat_|sk-|wandb_v\d_)[A-Za-z0-9_-]{16,}")


def mask_command(argv: Sequence[str]) -> list[str]:
    """The command line with the values of everything that is named like a secret, or looks like one, replaced."""
    masked: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if hide_next:
            masked.append(MASK)
        elif equals and is_secret_name(name):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_text(argument))
        hide_next = not hide_next and not equals and argument.startswith("-") and is_secret_name(argument)
    return masked


def mask_text(text: str) -> str:
    """Free text with ``key: value`` pairs of secrets, passwords in addresses and well-known tokens replaced."""
    text = _INSIDE.sub(rf"\1{MASK}", text)
    text = _LOGIN.sub(rf"\1{MASK}@", text)
    return _KNOWN_SHAPES.sub(MASK, text)


def mask_config(config: Any) -> Any:
    """Plain config data with the values under secret names replaced, for sending to a tracker."""
    if isinstance(config, Mapping):
        return {
            key: MASK if value is not None and is_secret_name(str(key)) else mask_config(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return [mask_config(item) for item in config]
    return mask_text(config) if isinstance(config, str) else config


def is_secret_name(name: str) -> bool:
    """True for ``api_key``, ``hub.token``, ``--password``; not for ``tokens_per_sample`` or ``monkey``."""
    return _SECRET_NAME.match(name) is not None
