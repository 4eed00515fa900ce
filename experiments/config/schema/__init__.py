"""The schema of every family by the name of its experiment; one file a family."""

from __future__ import annotations

from experiments.config.schema import alm, blm
from experiments.config.schema.common import MINIMUM, RATES, Schema, check_common

__all__ = ["MINIMUM", "RATES", "SCHEMAS", "Schema", "check_common"]

SCHEMAS: dict[str, Schema] = {"alm": alm.SCHEMA, "blm": blm.SCHEMA}
