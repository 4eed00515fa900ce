"""A composed config against its experiment's schema."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.overrides import PATHS
from experiments.config.schema import MAXIMUM, MINIMUM, SCHEMAS, check_common
from experiments.config.schema.common import check_choice
from experiments.config.schema.model import limits
from experiments.util.errors import UserError, nearest
from experiments.util.values import MAX_INT, explain


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
    for key in leaves(typed):
        value = OmegaConf.select(typed, key)
        if isinstance(value, bool):
            word = OmegaConf.select(given, key)
            if not isinstance(word, str) and word not in (True, False):
                raise UserError(f"{key}={word}: expected true or false")
        elif isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key}={value}: expected a finite number")
        elif isinstance(value, int) and abs(value) > MAX_INT:
            raise UserError(f"{key}={value}: expected a number of at most {MAX_INT}")


def leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """The keys of a config, those of its dictionaries with dots."""
    for key in node:
        child: Any = node._get_node(key)
        name = f"{prefix}{key}"
        yield name
        if OmegaConf.is_dict(child):
            yield from leaves(child, name + ".")
