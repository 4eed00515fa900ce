"""Overrides to a checked config; every mistake becomes one :class:`UserError` that names the nearest valid choice."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Sweep
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.effect import refuse_without_effect, without_effect
from experiments.config.overrides import LAUNCHER, PATHS, expand_home, refuse_reaching, refuse_sweeping, unreadable
from experiments.config.schema import MAXIMUM, MINIMUM, SCHEMAS, check_common
from experiments.config.schema.common import check_choice
from experiments.config.schema.model import limits
from experiments.util.errors import UserError, nearest
from experiments.util.values import MAX_INT, explain

CONF = Path(__file__).resolve().parents[2] / "conf"
FREE_FORM_KEYS = (
    "encoding.options",
    "attention.feature_map_options",
    "engine.fairseq",
)  # dictionaries that take further keys


def compose(overrides: list[str]) -> DictConfig:
    """The config of one run from hydra overrides such as ``["encoding=rope", "seed=2"]``.

    Raises:
        UserError: a misspelt group, option, key or value, a combination that cannot be, or a setting without effect.
    """
    config, idle = compose_row(overrides)
    refuse_without_effect(idle)
    return config


def compose_row(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """:func:`compose`, and the overrides' keys that have no effect, each with the reason: where runs share
    overrides, as a table's rows do, a key may be for the others.

    Raises:
        UserError: as :func:`compose`, but for settings without effect.
    """
    overrides = [expand_home(word) for word in overrides]
    with _hydra():
        keys = _check_overrides(overrides, sweeping=False)
        try:
            config = hydra_compose("train", overrides=overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_first_line(error)) from None
    checked = validate(config)
    plain: dict[str, Any] = OmegaConf.to_container(checked)  # type: ignore[assignment]
    return checked, without_effect(keys, config, plain)


def check_overrides(overrides: list[str], sweeping: bool = True) -> None:
    """Refuse misspelt groups, options and keys; sweeps (``seed=1,2``, ``glob(...)``) only where ``sweeping``."""
    with _hydra():
        _check_overrides([expand_home(word) for word in overrides], sweeping)


def validate(config: DictConfig) -> DictConfig:
    """Check types, ranges and combinations, resolve every interpolation, and return a read-only config.

    Raises:
        UserError: naming the key, its value and what was expected.
    """
    name = OmegaConf.select(config, "experiment.name")
    if name not in SCHEMAS:
        raise UserError(f"experiment.name={name}: unknown{nearest(name, SCHEMAS)} (choices: {', '.join(SCHEMAS)})")
    schema = SCHEMAS[name]
    structure, given = OmegaConf.structured(schema.config), config
    try:
        given = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(config, resolve=True)))
        typed = cast(DictConfig, OmegaConf.merge(structure, given))
        OmegaConf.to_container(typed, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, structure, given)) from None
    for key in PATHS:
        if path := OmegaConf.select(typed, key, default=None):
            OmegaConf.update(typed, key, os.path.expanduser(path))
    for key, smallest in {**MINIMUM, **schema.minimum, **limits(schema.model, "minimum", schema.also)}.items():
        value = OmegaConf.select(typed, key)
        if value is not None and not isinstance(value, str) and not (math.isfinite(value) and value >= smallest):
            raise UserError(f"{key}={value}: expected a number of at least {smallest:g}")
    for key, largest in {**MAXIMUM, **limits(schema.model, "maximum", schema.also)}.items():
        value = OmegaConf.select(typed, key)
        if value is not None and value > largest:
            raise UserError(f"{key}={value}: expected a number of at most {largest}")
    for key in (*limits(schema.model, "below", schema.also), *schema.rates):
        if OmegaConf.select(typed, key) >= 1:
            raise UserError(f"{key}={OmegaConf.select(typed, key)}: expected a rate below 1")
    for key, choices in limits(schema.model, "choices", schema.also).items():
        check_choice(key, OmegaConf.select(typed, key), choices)
    _check_values(typed, given)
    check_common(typed)
    schema.check(typed)
    plain = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(typed, resolve=True, enum_to_str=True)))
    OmegaConf.set_readonly(plain, True)
    OmegaConf.set_struct(plain, True)
    return plain


def _check_values(typed: DictConfig, given: DictConfig) -> None:
    """Refuse numbers that no arithmetic can use, and truths that OmegaConf would make of other numbers."""
    for key in _leaves(typed):
        value = OmegaConf.select(typed, key)
        if isinstance(value, bool):
            word = OmegaConf.select(given, key)
            if not isinstance(word, str) and word not in (True, False):
                raise UserError(f"{key}={word}: expected true or false")
        elif isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key}={value}: expected a finite number")
        elif isinstance(value, int) and abs(value) > MAX_INT:
            raise UserError(f"{key}={value}: expected a number of at most {MAX_INT}")


def _check_overrides(overrides: list[str], sweeping: bool) -> list[str]:
    """The keys that are overridden one by one, groups aside; see :func:`check_overrides`."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise UserError(unreadable(error.override or "")) from None
    # the loader's own list_groups and get_group_options copy every config that was read so far
    files: Any = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]  # of ConfigLoaderImpl
    groups = [name for name in files.get_group_options("", ObjectType.GROUP) if name != "hydra"]
    choices: list[str] = []
    keys: list[Override] = []
    for override in parsed:
        refuse_reaching(override)
        if override.key_or_group in (*groups, LAUNCHER):
            options = files.get_group_options(override.key_or_group, ObjectType.CONFIG)
            _check_option(override, options)
            if override.key_or_group != LAUNCHER:
                choices.append(f"{override.get_key_element()}={next(_elements(override, options))}")
        elif not override.key_or_group.startswith("hydra."):
            keys.append(override)
    try:
        base = hydra_compose("train", overrides=choices)
    except (HydraException, OmegaConfBaseException) as error:
        _refuse_unknown(keys, groups)  # a misspelt experiment=..., say, leaves the others without theirs
        raise UserError(_missing_group(error)) from None
    known = sorted(_leaves(base)) + groups
    for override in keys:
        key = override.key_or_group
        if not key:
            raise UserError(f"cannot read {override.input_line!r}: expected key=value, e.g. encoding=rope")
        if not _known(base, key) and not (override.is_add() and _is_open(key)):
            raise UserError(_unknown_key(key, known, f" of experiment={base.experiment.name}"))
        if override.is_add() and _known(base, key):
            raise UserError(f"'{override.input_line}': the key is there already; leave out the +")
        if override.is_delete() and (override.value() is not None or not _is_open(key)):
            raise UserError(f"'{override.input_line}': a run needs this key; give it another value instead of the ~")
        if OmegaConf.is_dict(OmegaConf.select(base, key)) and not isinstance(override.value(), dict):
            raise UserError(f"'{key}' is a group of keys and takes no single value")
    refuse_sweeping(parsed, sweeping)
    return [override.key_or_group for override in keys]


def _refuse_unknown(overrides: list[Override], groups: list[str]) -> None:
    """Refuse keys that no experiment has."""
    structures = [OmegaConf.structured(schema.config) for schema in SCHEMAS.values()]
    known = sorted({key for structure in structures for key in _leaves(structure)}) + groups
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


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        child: Any = node._get_node(key)
        name = f"{prefix}{key}"
        yield name
        if OmegaConf.is_dict(child):
            yield from _leaves(child, name + ".")


def _missing_group(error: Exception) -> str:
    """What to do about a group, or a preset, that this experiment does not have."""
    text = _first_line(error)
    if "preset/" in text:
        name = text.split("preset/")[1].split("'")[0]
        presets = sorted(path.stem for path in (CONF / "preset").glob("*.yaml"))
        return f"no preset '{name}' for this experiment and profile; there are: {', '.join(presets)}"
    if match := re.match(r"Could not override '(.+)'\. No match", text):
        remedy = "; add experiment=glue, which has tasks" if match[1] == "task" else ""
        return f"'{match[1]}=' is no choice of this experiment{remedy}"
    return text


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra's loader over ``conf/``, also inside a running hydra job, whose own state is put back afterwards."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = outer
