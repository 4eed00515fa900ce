"""Our config to a FairseqConfig: the one place that knows both vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from fairseq.dataclass.utils import omegaconf_no_object_check
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.effect import pass_matters
from experiments.engine.distributed import DistributedContext
from experiments.engine.families import Family, family_of
from experiments.util.errors import UserError, nearest

AUTO = "auto"  # engine.samples_per_device: as many as fit (experiments/engine/samples.py)
NEVER = 1_000_000_000
# Keys of fairseq's that import code, or start from weights that no identity knows.
FORBIDDEN_FAIRSEQ_KEYS = {
    "common.user_dir": "it imports code",
    "checkpoint.restore_file": "a run resumes from its own checkpoints; pretraining.checkpoint starts from others",
    "checkpoint.finetune_from_model": "use pretraining.checkpoint to start from other weights",
    "checkpoint.save_dir": "checkpoints lie in the run's folder; set paths.results",
}


def accumulation(config: DictConfig, world_size: int) -> tuple[int, int]:
    """(samples a forward pass and device, passes an update) with passes x samples x devices = recipe.batch_size.

    Raises:
        UserError: the batch does not divide among the devices.

    Where what shares a pass changes the result (:func:`experiments.config.effect.pass_matters`), the recipe says how
    many do, and ``engine.samples_per_device`` nothing. ``auto`` is the family's number for a CPU here.
    """
    batch, wanted = config.recipe.batch_size, config.engine.samples_per_device
    if batch % world_size:
        raise UserError(
            f"recipe.batch_size={batch} does not divide among {world_size} devices; give a multiple of {world_size}"
        )
    share = batch // world_size
    if pass_matters(config):
        fixed = min(config.recipe.samples_per_pass, batch)
        if share % fixed:
            raise UserError(
                f"recipe.samples_per_pass={fixed} does not divide the {share} samples of each of {world_size} devices "
                f"(recipe.batch_size={batch}). Under protocol={config.protocol.name} it is a part of the result, "
                "because padded keys or SPE's codes depend on what shares a pass: use fewer devices"
            )
        return fixed, share // fixed
    samples = min(family_of(config).samples_on_cpu if wanted == AUTO else wanted, share)
    if share % samples:
        fits = max(size for size in range(1, samples + 1) if share % size == 0)
        if wanted == AUTO:
            return fits, share // fits
        raise UserError(
            f"engine.samples_per_device={wanted} does not divide the {share} samples of each device "
            f"(recipe.batch_size={batch}, {world_size} devices): use engine.samples_per_device={fits}"
        )
    return samples, share // samples


def fairseq_config(config: DictConfig, folder: Path, place: DistributedContext) -> DictConfig:
    """The FairseqConfig of one run.

    Args:
        config: validated config.
        folder: the run's folder; checkpoints go to ``folder/checkpoints``.
        place: this process and its device.

    Raises:
        UserError: a batch that does not divide, or a key of ``engine.fairseq`` that fairseq does not know.
    """
    recipe, engine, family = config.recipe, config.engine, family_of(config)
    samples, passes = accumulation(config, place.world_size)
    interval, (best, maximize) = family.validation_interval(config), family.selection(config)
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
        "task": family.task(config),
        "model": family.model(config),
        "criterion": family.criterion(config),
        "dataset": {
            "batch_size": samples,
            "batch_size_valid": samples,
            # with fairseq's default of 8 a last batch that is no multiple of 8 is silently lost, in validation too
            "required_batch_size_multiple": 1,
            "num_workers": engine.num_workers,
            "validate_interval": NEVER,
            "validate_interval_updates": interval,
        },
        "optimization": {
            "max_update": family.updates(config),
            "update_freq": [passes],
            "lr": [recipe.learning_rate],
            "clip_norm": recipe.clip_norm,
        },
        "optimizer": {
            "_name": "lrpe_adam",
            "adam_betas": list(recipe.adam_betas),
            "adam_eps": recipe.adam_eps,
            "epsilon": config.protocol.adam_epsilon,
            "weight_decay": recipe.weight_decay,
        },
        "lr_scheduler": _schedule(config, family),
        "checkpoint": {
            "save_dir": str(folder / "checkpoints"),
            "save_interval": NEVER,
            "save_interval_updates": interval,
            "keep_interval_updates": engine.keep_checkpoints,
            "no_epoch_checkpoints": True,
            # The first rank would hand it to the others pickled, in classes that safe loading refuses.
            "load_checkpoint_on_all_dp_ranks": True,
            "best_checkpoint_metric": best,
            "maximize_best_checkpoint_metric": maximize,
        },
        "distributed_training": _distributed(place),
    }
    for section, values in family.sections(config).items():
        sections[section] = {**sections[section], **values}
    base = OmegaConf.structured(FairseqConfig)
    OmegaConf.set_struct(base, False)
    with omegaconf_no_object_check():
        merged = cast(DictConfig, OmegaConf.merge(base, sections))
        add_defaults(merged)
        OmegaConf.set_struct(merged, True)
        _merge_extra(merged, cast(dict[str, Any], OmegaConf.to_container(engine.fairseq)))
    return merged


def _schedule(config: DictConfig, family: Family) -> dict[str, Any]:
    recipe = config.recipe
    schedule: dict[str, Any] = {"_name": recipe.schedule, "warmup_updates": family.warmup_updates(config)}
    if recipe.schedule == "polynomial_decay":
        return {**schedule, "total_num_update": family.updates(config)}
    if recipe.schedule == "cosine":
        schedule["lr_period_updates"] = family.updates(config) - family.warmup_updates(config)
    return {**schedule, "warmup_init_lr": recipe.warmup_init_learning_rate}


def _distributed(place: DistributedContext) -> dict[str, Any]:
    section: dict[str, Any] = {"distributed_world_size": place.world_size, "distributed_no_spawn": True}
    if place.world_size > 1:
        section |= {
            "distributed_init_method": "env://",
            "distributed_rank": place.rank,
            "device_id": place.device,
            "distributed_backend": "nccl" if place.cuda else "gloo",
            # fairseq hands torch's DDP a GPU's number even on a CPU
            "ddp_backend": "pytorch_ddp" if place.cuda else "legacy_ddp",
        }
    return section


def _merge_extra(merged: DictConfig, extra: dict[str, Any]) -> None:
    for section, values in extra.items():
        if section not in merged:
            raise UserError(
                f"engine.fairseq.{section}: fairseq has no such section{nearest(section, map(str, merged))}"
            )
        if values is not None and not isinstance(values, dict):
            raise UserError(f"engine.fairseq.{section}={values}: expected keys of fairseq's section {section}")
        for key, value in (values or {}).items():
            if key == "_name" or (reason := FORBIDDEN_FAIRSEQ_KEYS.get(f"{section}.{key}")):
                why = "the family chooses it" if key == "_name" else reason
                raise UserError(f"engine.fairseq.{section}.{key}: this key is closed: {why}; leave it out")
            if key not in merged[section]:
                raise UserError(
                    f"engine.fairseq.{section}.{key}: fairseq has no such key{nearest(key, merged[section].keys())}"
                )
            try:
                merged[section][key] = value
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"engine.fairseq.{section}.{key}={value}: {reason}; give another value") from None
