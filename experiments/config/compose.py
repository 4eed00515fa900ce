"""Overrides to a checked config; every mistake becomes one :class:`UserError` that names the nearest valid choice.

hydra composes what is chosen in the groups, once, and the single keys are checked against that and set in it: the same
config as hydra makes of all the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Sweep
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from experiments.config.effect import refuse_without_effect, without_effect
from experiments.config.groups import LAUNCHER, config_of, groups, options_of
from experiments.config.overrides import expand_home, refuse_reaching, refuse_sweeping, unreadable
from experiments.config.schema import SCHEMAS
from experiments.config.validation import leaves, validate
from experiments.util.errors import UserError, nearest

FREE_FORM_KEYS = (
    "encoding.options",
    "attention.feature_map_options",
    "engine.fairseq",
)  # dictionaries that take further keys


def compose(overrides: Sequence[str]) -> DictConfig:
    """The config of one run from overrides such as ``["encoding=rope", "seed=2"]``: what every command has its config
    from.

    Raises:
        UserError: a misspelt group, option, key or value, a combination that cannot be, or a setting without effect.
    """
    config, idle = compose_row(overrides)
    refuse_without_effect(idle)
    return config


def compose_row(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """:func:`compose`, and the overrides' keys that have no effect, each with the reason: where runs share
    overrides, as a table's rows do, a key may be for the others.

    Raises:
        UserError: as :func:`compose`, but for settings without effect.
    """
    config, keys = read_words(overrides, sweeping=False)
    for override in keys:
        apply(override, config)
    checked = validate(config)
    plain: dict[str, Any] = OmegaConf.to_container(checked)  # type: ignore[assignment]
    return checked, without_effect([override.key_or_group for override in keys], config, plain)


def check_overrides(overrides: Sequence[str], sweeping: bool = True) -> None:
    """Refuse misspelt groups, options and keys; sweeps (``seed=1,2``, ``glob(...)``) only where ``sweeping``."""
    read_words(overrides, sweeping)


def parse(words: Sequence[str]) -> list[Override]:
    """Overrides as hydra's grammar reads them.

    Raises:
        UserError: one cannot be read, or could do more than set a value.
    """
    try:
        parsed = OverridesParser.create().parse_overrides([expand_home(word) for word in words])
    except OverrideParseException as error:
        raise UserError(unreadable(error.override or "")) from None
    for override in parsed:
        refuse_reaching(override)
    return parsed


def apply(override: Override, config: DictConfig) -> None:
    """Set the override of a single key, as hydra does.

    Raises:
        UserError: a value that has no place there.
    """
    key, word = override.key_or_group, override.input_line
    if override.package is not None:
        raise UserError(f"'{word}': @ is for groups, and '{key}' is none; leave it out")
    try:
        if override.is_delete():
            parent, _, name = key.rpartition(".")
            with open_dict(config):
                del OmegaConf.select(config, parent)[name]
        else:
            added = override.is_add() or override.is_force_add()
            OmegaConf.update(config, key, override.value(), merge=True, force_add=added)
    except (ConfigAttributeError, ConfigKeyError) as error:
        raise UserError(_unknown_key(error.full_key or key, sorted(leaves(config)))) from None
    except OmegaConfBaseException as error:
        raise UserError(f"'{word}': {first_line(error)}") from None


def read_words(words: Sequence[str], sweeping: bool) -> tuple[DictConfig, list[Override]]:
    """(the config of what is chosen in groups, the first of several; the overrides of single keys)."""
    parsed, known_groups = parse(words), groups()
    choices: list[str] = []
    keys: list[Override] = []
    for override in parsed:
        if override.key_or_group in (*known_groups, LAUNCHER):
            options = options_of(override.key_or_group)
            _check_option(override, options)
            if override.key_or_group != LAUNCHER:
                choices.append(f"{override.get_key_element()}={next(_elements(override, options))}")
        elif not override.key_or_group.startswith("hydra."):
            keys.append(override)
    try:
        config = config_of(*choices)
    except (HydraException, OmegaConfBaseException) as error:
        _refuse_unknown(keys, known_groups)  # a misspelt experiment=..., say, leaves the others without theirs
        raise UserError(_missing_group(error)) from None
    known = sorted(leaves(config)) + known_groups
    for override in keys:
        key = override.key_or_group
        if not key:
            raise UserError(f"cannot read {override.input_line!r}: expected key=value, e.g. encoding=rope")
        if not _known(config, key) and not (override.is_add() and _is_open(key)):
            raise UserError(_unknown_key(key, known, f" of experiment={config.experiment.name}"))
        if override.is_add() and _known(config, key):
            raise UserError(f"'{override.input_line}': the key is there already; leave out the +")
        if override.is_delete() and (override.value() is not None or not _is_open(key)):
            raise UserError(f"'{override.input_line}': a run needs this key; give it another value instead of the ~")
        if OmegaConf.is_dict(OmegaConf.select(config, key)) and not isinstance(override.value(), dict):
            raise UserError(f"'{key}' is a group of keys and takes no single value")
    refuse_sweeping(parsed, sweeping)
    return config, keys


def _refuse_unknown(overrides: list[Override], groups: list[str]) -> None:
    """Refuse keys that no experiment has."""
    structures = [OmegaConf.structured(schema.config) for schema in SCHEMAS.values()]
    known = sorted({key for structure in structures for key in leaves(structure)}) + groups
    for override in overrides:
        key = override.key_or_group
        if not _is_open(key) and not any(_known(structure, key) for structure in structures):
            raise UserError(_unknown_key(key, known))


def _unknown_key(key: str, known: list[str], where: str = "") -> str:
    hint = nearest(key, known)
    if key.startswith("engine.fairseq."):
        hint = f"; +{key}=... adds it to fairseq's config"
    return f"unknown key '{key}'{hint} (all keys{where}: python -m experiments.train --cfg job)"


def _check_option(override: Override, options: list[str]) -> None:
    if override.is_add() or override.is_force_add():
        raise UserError(f"'{override.input_line}': every group has a choice already; leave out the +")
    if override.is_delete():
        raise UserError(
            f"'{override.input_line}': the group '{override.key_or_group}' cannot be left out "
            f"(choices: {', '.join(options)})"
        )
    chosen = list(_elements(override, options))
    if not chosen:
        raise UserError(f"'{override.input_line}' matches none of: {', '.join(options)}")
    for option in chosen:
        if option not in options:
            raise UserError(
                f"{override.key_or_group}={option}: unknown{nearest(option, options)} (choices: {', '.join(options)})"
            )


def _elements(override: Override, options: list[str]) -> Iterator[str]:
    """The option names that a group's override stands for, sweeps and globs expanded."""
    value = override.value()
    if isinstance(value, Glob):
        yield from value.filter(options)
    elif isinstance(value, ChoiceSweep):
        for element in value.list:
            yield from element.filter(options) if isinstance(element, Glob) else [str(element)]
    elif isinstance(value, Sweep):
        yield from (str(element) for element in override.sweep_iterator())
    else:
        yield str(value)


def _known(base: DictConfig, key: str) -> bool:
    node: Any = base
    for part in key.split("."):
        if not OmegaConf.is_dict(node) or part not in node:
            return False
        node = node._get_node(part)
    return True


def _is_open(key: str) -> bool:
    return any(key.startswith(f"{parent}.") for parent in FREE_FORM_KEYS)


def _missing_group(error: Exception) -> str:
    """What to do about a group, or a preset, that this experiment does not have."""
    text = first_line(error)
    if "preset/" in text:
        name = text.split("preset/")[1].split("'")[0]
        return f"no preset '{name}' for this experiment and profile; there are: {', '.join(options_of('preset'))}"
    if match := re.match(r"Could not override '(.+)'\. No match", text):
        remedy = "; add experiment=glue, which has tasks" if match[1] == "task" else ""
        return f"'{match[1]}=' is no choice of this experiment{remedy}"
    return text


def first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
