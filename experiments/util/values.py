"""What a key takes, and what is said of a value that it does not take."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import BooleanNode, DictConfig, EnumNode, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from experiments.util.errors import UserError, nearest

MAX_INT = 2**32 - 1  # of any whole number: numpy's largest seed
_TRUTHS = {"true": True, "false": False}
_WORDS = {IntegerNode: "a whole number", FloatNode: "a number", BooleanNode: "true or false"}
_PLURALS = {int: "whole numbers", float: "numbers"}


def read_value(structure: DictConfig, key: str, text: str) -> Any:
    """The value of a word ``key=text`` of a command line. A text stays as it was written: nothing in it is resolved.

    Raises:
        UserError: the key of the structured config takes another type, or no number of this size.
    """
    node: Any = structure._get_node(key)
    if text == "null" and node._is_optional():
        return None
    if isinstance(node, StringNode):
        return text
    try:
        value = _TRUTHS[text.lower()] if isinstance(node, BooleanNode) else type(node)(text)._value()
    except (KeyError, OmegaConfBaseException):
        value = text
    if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{key}={text}: expected {_words(node)}")
    if abs(value) > MAX_INT:
        raise UserError(f"{key}={text}: expected a number of at most {MAX_INT}")
    return value


def explain(error: OmegaConfBaseException, structure: DictConfig, given: DictConfig) -> str:
    """One line on what OmegaConf refused.

    Args:
        error: of the merge of ``given`` into ``structure``.
        structure: a structured config.
        given: the values that were asked for.
    """
    key, reason = error.full_key or "?", str(error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return f"{key} is missing; give it a value"
    if isinstance(error, ConfigKeyError):
        return f"{key} is no key of this experiment; give a preset, model, recipe and task of one experiment"
    if not isinstance(error, ValidationError):  # interpolations
        return f"{key}: {reason}; give a value instead"
    node, value = _node(structure, key), OmegaConf.select(given, key)
    hint = nearest(str(value), _names(node)) if isinstance(node, EnumNode) else ""
    return f"{key}={'null' if value is None else value}: expected {_words(node)}{hint}"


def _node(structure: DictConfig, key: str) -> Any:
    """The node of a key, of the whole list where the key is an element's."""
    node: Any = structure
    for part in key.partition("[")[0].split("."):
        node = node._get_node(part)
    return node


def _names(node: EnumNode) -> list[str]:
    return [choice.name for choice in node.enum_type]


def _words(node: Any) -> str:
    if isinstance(node, EnumNode):
        words = f"one of {', '.join(_names(node))}"
    elif isinstance(node, ListConfig):
        words = f"a list of {_PLURALS.get(node._metadata.element_type, 'values')}, e.g. [1,2]"
    elif isinstance(node, DictConfig):
        words = "keys and values"
    else:
        words = _WORDS.get(type(node), "a single value")
    return f"{words}, or null" if node._is_optional() else words
