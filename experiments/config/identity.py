"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.data import data_identity
from experiments.config.schema import SCHEMAS


def scientific(config: DictConfig) -> dict[str, Any]:
    """The part of a config that can change a result: no seed, paths, tracker, device or workers.

    The names of groups are left out where their content stands beside them, so that the same experiment reached by
    another way (``protocol=published``, or its single switches) is the same run; the data enters by the checksum of
    its files where they are prepared.
    """
    return scientific_part(OmegaConf.to_container(config, resolve=True), data_identity(config))  # type: ignore[arg-type]


def scientific_part(plain: Mapping[str, Any], data: str) -> dict[str, Any]:
    """:func:`scientific` of a config that is plain data already, and the checksum of its data."""
    own = SCHEMAS[plain["experiment"]["name"]].identified
    chosen = {key: plain[key] for key in ("encoding", "attention", "protocol", "model", "recipe", *own)}
    chosen["encoding"] = {key: chosen["encoding"][key] for key in ("label", "name", "options")}
    for group in ("protocol", "model", "recipe"):
        chosen[group] = {key: value for key, value in chosen[group].items() if key != "name"}
    chosen["experiment"] = plain["experiment"]["name"]
    chosen["data"] = {"name": plain["data"]["name"], "identity": data}
    if plain["engine"]["fairseq"]:
        chosen["fairseq"] = plain["engine"]["fairseq"]
    return chosen


def identity(config: DictConfig) -> str:
    """Eight hexadecimal digits of the SHA-256 of :func:`scientific`."""
    return digest(scientific(config))


def recorded_identity(plain: Mapping[str, Any], data: str) -> str:
    """:func:`identity` of a run's ``config.yaml`` and the data checksum in its manifest; the data need not be there."""
    return digest(scientific_part(plain, data))


def digest(part: Mapping[str, Any]) -> str:
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_directory(config: DictConfig) -> Path:
    """``<results>/runs/<experiment>/<encoding>-<identity>/seed<k>``."""
    name = f"{config.encoding.label}-{identity(config)}"
    return Path(config.paths.results) / "runs" / config.experiment.name / name / f"seed{config.seed}"
