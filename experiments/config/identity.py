"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_prep.core.manifest import sha256_of
from experiments.config.data import data_identity
from experiments.config.effect import effective
from experiments.config.pretraining import pretraining_config
from experiments.util.errors import UserError

START_KEYS = ("start", "identity", "sha256")  # what a start is known by


def scientific(config: DictConfig) -> dict[str, Any]:
    """The part of a config that can change a result: no seed, paths, tracker, device or workers.

    The names of groups are left out where their content stands beside them, so that the same experiment reached by
    another way (``protocol=published``, or its single switches) is the same run; settings that nothing reads with
    this encoding, attention or recipe are left out too (:mod:`experiments.config.effect`); the data enters by the
    checksum of its files where they are prepared.
    """
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    start = pretraining_identity(config) if "pretraining" in plain else None
    return scientific_part(plain, data_identity(config), start)


def scientific_part(plain: Mapping[str, Any], data: str, start: Mapping[str, str] | None = None) -> dict[str, Any]:
    """:func:`scientific` of a config that is plain data already, the checksum of its data, and what it was pretrained
    from."""
    plain = effective(plain)
    chosen = {key: plain[key] for key in ("encoding", "attention", "protocol", "model", "recipe")}
    chosen["encoding"] = {key: chosen["encoding"][key] for key in ("label", "name", "options")}
    for group in ("protocol", "model", "recipe"):
        chosen[group] = {key: value for key, value in chosen[group].items() if key != "name"}
    chosen["experiment"] = plain["experiment"]["name"]
    chosen["data"] = {"name": plain["data"]["name"], "identity": data}
    if "task" in plain:  # what a task says of a recipe stands in the recipe
        chosen["task"] = {key: plain["task"][key] for key in ("name", "metric")}
        chosen["pretraining"] = dict(start or {})
    if plain["engine"]["fairseq"]:
        chosen["fairseq"] = plain["engine"]["fairseq"]
    return chosen


def identity(config: DictConfig) -> str:
    """Eight hexadecimal digits of the SHA-256 of :func:`scientific`."""
    return digest(scientific(config))


def recorded_identity(plain: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """:func:`identity` of a run's ``config.yaml`` and its manifest; the data and the pretraining need not be there."""
    start = {key: value for key, value in (manifest.get("pretrained") or {}).items() if key in START_KEYS}
    return digest(scientific_part(plain, manifest["data"]["identity"], start))


def digest(part: Mapping[str, Any]) -> str:
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_directory(config: DictConfig) -> Path:
    """Where a run lies: ``<results>/runs/`` and :func:`run_place`."""
    return _directory(config, identity(config))


def open_run_directory(config: DictConfig) -> Path:
    """:func:`run_directory` where the data is not there: the last part of the name is not the run's identity, and only
    tells configs apart."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return _directory(config, f"open-{digest(scientific_part(plain, ''))}")


def run_place(experiment: str, encoding: str, task: str | None, identity: str, seed: int) -> tuple[str, str, str]:
    """``<experiment>/<encoding>-<task>-<identity>/seed<k>`` below ``runs``, without the task where there is none."""
    return experiment, "-".join(filter(None, (encoding, task, identity))), f"seed{seed}"


def _directory(config: DictConfig, identity: str) -> Path:
    task = config.task.name if "task" in config else None
    place = run_place(config.experiment.name, config.encoding.label, task, identity, config.seed)
    return Path(config.paths.results, "runs", *place)


def pretraining_identity(config: DictConfig) -> dict[str, str]:
    """What of the pretraining can change a fine-tuning's result.

    Raises:
        UserError: the checkpoint that was named is not there.
    """
    start, path = config.pretraining.start, pretrained_checkpoint(config)
    if path is None:
        return {"start": start}
    if start == "run":
        return {"start": start, "identity": identity(pretraining_config(config))}
    if not path.is_file():
        raise UserError(f"pretraining.checkpoint={path}: no such file")
    return {"start": start, "sha256": sha256_of(path)}


def pretrained_checkpoint(config: DictConfig) -> Path | None:
    """The file that a fine-tuning starts from, whether it exists yet or not; None for a start from scratch."""
    pretraining = config.pretraining
    if pretraining.start == "scratch":
        return None
    if pretraining.start == "checkpoint":
        return Path(pretraining.checkpoint).resolve()
    return (run_directory(pretraining_config(config)) / "checkpoints" / "checkpoint_best.pt").resolve()
