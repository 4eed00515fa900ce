"""Our config to a FairseqConfig: the one place that knows both vocabularies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from fairseq.dataclass.utils import omegaconf_no_object_check
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.engine.device import Place
from experiments.errors import UserError, nearest

NEVER = 1_000_000_000


def accumulation(config: DictConfig, world_size: int) -> tuple[int, int]:
    """(sequences a forward pass and device, passes an update) with passes x sequences x devices = batch_sequences.

    Raises:
        UserError: the batch does not divide among the devices.
    """
    batch, wanted = config.recipe.batch_sequences, config.engine.sequences_per_device
    if batch % world_size:
        raise UserError(f"recipe.batch_sequences={batch} does not divide among {world_size} devices")
    share = batch // world_size
    sequences = min(wanted, share)
    if share % sequences:
        fits = max(size for size in range(1, sequences + 1) if share % size == 0)
        raise UserError(
            f"engine.sequences_per_device={wanted} does not divide the {share} sequences of each device "
            f"(recipe.batch_sequences={batch}, {world_size} devices): use engine.sequences_per_device={fits}"
        )
    return sequences, share // sequences


def model_section(config: DictConfig) -> dict[str, Any]:
    """The ``model`` section for :class:`experiments.engine.language_model.LRPELanguageModelConfig`."""
    model, protocol = config.model, config.protocol
    names = (
        "num_layers embed_dim ffn_dim num_heads dropout attention_dropout activation_dropout normalize_before "
        "final_norm scale_embedding share_input_output adaptive_dropout max_positions"
    )
    return {
        "_name": "lrpe_lm",
        **{name: model[name] for name in names.split()},
        "adaptive_cutoffs": json.dumps(list(model.adaptive_cutoffs)),
        "absolute": protocol.absolute,
        "attention": config.attention.name,
        "feature_map": config.attention.feature_map,
        "feature_map_options": json.dumps(OmegaConf.to_container(config.attention.feature_map_options)),
        "normaliser": protocol.normaliser,
        "mask_padding": protocol.mask_padding,
        "encoding": config.encoding.name,
        "encoding_options": json.dumps(OmegaConf.to_container(config.encoding.options)),
        "decay_angles": protocol.decay_angles,
        "compile": config.engine.compile,
    }


def fairseq_config(config: DictConfig, folder: Path, place: Place, restore: Path | None = None) -> DictConfig:
    """The FairseqConfig of one run.

    Args:
        config: validated config.
        folder: the run's folder; checkpoints go to ``folder/checkpoints``.
        place: this process and its device.
        restore: checkpoint to continue from.

    Raises:
        UserError: a batch that does not divide, or a key of ``engine.fairseq`` that fairseq does not know.
    """
    recipe, engine = config.recipe, config.engine
    sequences, passes = accumulation(config, place.world_size)
    adaptive = len(config.model.adaptive_cutoffs) > 0
    sections: dict[str, Any] = {
        "common": {
            "seed": config.seed,
            "cpu": not place.cuda,
            "fp16": recipe.precision == "fp16",
            "bf16": recipe.precision == "bf16",
            "amp": recipe.precision == "amp",
            "fp16_no_flatten_grads": True,  # keeps parameters apart, so that some can be spared weight decay
            "log_interval": engine.log_interval,
        },
        "task": {
            "_name": config.experiment.task,
            "data": str(Path(config.data.folder).resolve()),
            "tokens_per_sample": recipe.tokens_per_sample,
            "sample_break_mode": "none",
            "batch_sequences": recipe.batch_sequences,
        },
        "model": model_section(config),
        "criterion": {"_name": "lrpe_adaptive_loss" if adaptive else "cross_entropy"},
        "dataset": {
            "batch_size": sequences,
            "batch_size_valid": sequences,
            # with fairseq's default of 8 a last batch that is no multiple of 8 is silently lost, in validation too
            "required_batch_size_multiple": 1,
            "num_workers": engine.num_workers,
            "validate_interval": NEVER,
            "validate_interval_updates": recipe.validate_interval_updates,
        },
        "optimization": {
            "max_update": recipe.max_update,
            "update_freq": [passes],
            "lr": [recipe.learning_rate],
            "clip_norm": recipe.clip_norm,
        },
        "optimizer": {
            "_name": "lrpe_adam",
            "adam_betas": list(recipe.adam_betas),
            "adam_eps": recipe.adam_eps,
            "weight_decay": recipe.weight_decay,
        },
        "lr_scheduler": _schedule(config),
        "checkpoint": {
            "save_dir": str(folder / "checkpoints"),
            "save_interval": NEVER,
            "save_interval_updates": recipe.validate_interval_updates,
            "keep_interval_updates": engine.keep_checkpoints,
            "no_epoch_checkpoints": True,
            **({"restore_file": str(restore)} if restore else {}),
        },
        "distributed_training": _distributed(place, adaptive),
    }
    base = OmegaConf.structured(FairseqConfig)
    OmegaConf.set_struct(base, False)
    with omegaconf_no_object_check():
        merged = OmegaConf.merge(base, sections)
        add_defaults(merged)
        OmegaConf.set_struct(merged, True)
        _merge_extra(merged, OmegaConf.to_container(engine.fairseq))
    return merged


def _schedule(config: DictConfig) -> dict[str, Any]:
    recipe = config.recipe
    schedule: dict[str, Any] = {"_name": recipe.schedule, "warmup_updates": recipe.warmup_updates}
    if recipe.schedule == "polynomial_decay":
        return {**schedule, "total_num_update": recipe.max_update}
    if recipe.schedule == "cosine":
        schedule["lr_period_updates"] = recipe.max_update - recipe.warmup_updates
    return {**schedule, "warmup_init_lr": recipe.warmup_init_learning_rate}


def _distributed(place: Place, adaptive: bool) -> dict[str, Any]:
    section: dict[str, Any] = {"distributed_world_size": place.world_size, "distributed_no_spawn": True}
    if place.world_size > 1:
        section |= {
            "distributed_init_method": "env://",
            "distributed_rank": place.rank,
            "device_id": place.local_rank,
            "distributed_backend": "nccl" if place.cuda else "gloo",
            # fairseq hands torch's DDP a GPU's number even on a CPU, and adaptive losses refuse torch's DDP
            "ddp_backend": "legacy_ddp" if adaptive or not place.cuda else "pytorch_ddp",
        }
    elif adaptive:
        section["ddp_backend"] = "legacy_ddp"
    return section


def _merge_extra(merged: DictConfig, extra: dict[str, Any]) -> None:
    for section, values in extra.items():
        if section not in merged:
            raise UserError(f"engine.fairseq.{section}: fairseq has no such section{nearest(section, merged.keys())}")
        for key, value in (values or {}).items():
            if key not in merged[section]:
                raise UserError(
                    f"engine.fairseq.{section}.{key}: fairseq has no such key{nearest(key, merged[section].keys())}"
                )
            try:
                merged[section][key] = value
            except OmegaConfBaseException as error:
                raise UserError(f"engine.fairseq.{section}.{key}={value}: {str(error).splitlines()[0]}") from None
