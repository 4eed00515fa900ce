"""From words on a command line to a checked config, its identity and its folder."""

from experiments.config.compose import check_overrides, compose, validate
from experiments.config.identity import identity, recorded_identity, run_directory, scientific

__all__ = ["check_overrides", "compose", "identity", "recorded_identity", "run_directory", "scientific", "validate"]
