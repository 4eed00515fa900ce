"""From words on a command line to a checked config, its identity and its folder."""

from experiments.config.compose import check_overrides, compose, compose_row
from experiments.config.data import ensure_data
from experiments.config.identity import identity, recorded_identity, run_directory, scientific
from experiments.config.validation import validate

__all__ = [
    "check_overrides",
    "compose",
    "compose_row",
    "ensure_data",
    "identity",
    "recorded_identity",
    "run_directory",
    "scientific",
    "validate",
]
