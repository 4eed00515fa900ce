"""The schema of every family by the name of its experiment; one file a family."""

from __future__ import annotations

from experiments.config.schema import alm, blm, glue, imagenet
from experiments.config.schema.common import MAXIMUM, MINIMUM, Schema, check_common

__all__ = ["MAXIMUM", "MINIMUM", "SCHEMAS", "Schema", "check_common"]

SCHEMAS: dict[str, Schema] = {
    "alm": alm.SCHEMA,
    "blm": blm.SCHEMA,
    "glue": glue.SCHEMA,
    "imagenet": imagenet.SCHEMA,
}
