"""The schema of every family by the name of its experiment: the ``SCHEMA`` of each module of this name here."""

from __future__ import annotations

import importlib
import pkgutil

from experiments.config.schema.common import MAXIMUM, MINIMUM, Schema, check_common

__all__ = ["MAXIMUM", "MINIMUM", "SCHEMAS", "Schema", "check_common"]

_modules = {name: importlib.import_module(f"{__name__}.{name}") for _, name, _ in pkgutil.iter_modules(__path__)}
SCHEMAS: dict[str, Schema] = {name: module.SCHEMA for name, module in _modules.items() if hasattr(module, "SCHEMA")}
