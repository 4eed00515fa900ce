"""The run that a fine-tuning starts from, as its config says."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.groups import CONF
from experiments.config.validation import validate

SHARED = ("seed", "profile", "encoding", "attention", "protocol", "model", "engine", "tracker", "paths")


def pretraining_config(config: DictConfig) -> DictConfig:
    """The validated config of ``experiment=blm`` with everything that the fine-tuning shares with it: the same config,
    and so the same run, as that of a pretraining started by itself."""
    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    chosen = {key: plain[key] for key in SHARED}
    chosen["experiment"] = OmegaConf.load(CONF / "experiment" / "blm.yaml")
    chosen |= {key: plain["pretraining"][key] for key in ("data", "recipe")}
    return validate(OmegaConf.create(chosen))
