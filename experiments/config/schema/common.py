"""What a family adds to the sections of every config, and the values and combinations that no config may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.schema.sections import RunConfig, Schedule
from experiments.tracking.names import check_name
from experiments.util.errors import UserError, nearest
from lrpe.encodings import ENCODINGS


@dataclass(frozen=True)
class Schema:
    """What a family's config may say.

    Attributes:
        config: a :class:`RunConfig` with the family's own sections.
        model: the library's config that ``model`` sets; its fields declare their own ranges.
        minimum: smallest value of the family's own numbers; those of every family are in :data:`MINIMUM`.
        rates: the family's own rates, which are below 1.
        check: refuses combinations that cannot be, by :class:`experiments.util.errors.UserError`.
        also: fields of the model's attention that ``model`` sets too.
        causal: a token attends to those before it only.
        padded: sequences of a batch are padded to one length.
        images: positions have two dimensions.
    """

    config: type[RunConfig]
    model: type
    minimum: Mapping[str, float]
    rates: tuple[str, ...]
    check: Callable[[DictConfig], None]
    also: tuple[str, ...] = ()
    causal: bool = False
    padded: bool = False
    images: bool = False


# Smallest value of each number that has one; a key outside its range is refused before any work.
MINIMUM: dict[str, float] = {
    "seed": 0,
    "protocol.first_position": 0,
    "recipe.batch_size": 1,
    "recipe.max_update": 1,
    "recipe.warmup_updates": 1,
    "recipe.warmup_init_learning_rate": 0,
    "recipe.learning_rate": 0,
    "recipe.adam_eps": 0,
    "recipe.weight_decay": 0,
    "recipe.clip_norm": 0,
    "recipe.validate_interval_updates": 1,
    "engine.samples_per_device": 1,
    "engine.num_workers": 0,
    "engine.threads": 1,
    "engine.log_interval": 1,
    "engine.keep_checkpoints": 1,
    "engine.max_skipped_updates": 0,
}
# Largest of what would be built, or started, one by one before anything else could refuse it.
# A seed leaves room for the epoch, update or rank that generators of 32 bits take it plus.
MAXIMUM: dict[str, float] = {
    "seed": 2**31 - 1,
    "engine.threads": 1024,
    "engine.num_workers": 1024,
}

PATH_KEYS = ("encoding.label", "profile.name", "data.name")  # what becomes part of a path
NON_EMPTY_KEYS = ("data.folder", "paths.data", "paths.results", "tracker.project")
# What the library and the families know by name; their own tables would take seconds to import.
CHOICES: dict[str, tuple[str, ...]] = {
    "attention.name": ("linear", "softmax"),
    "attention.feature_map": ("1+elu", "relu", "elu", "silu", "identity", "exp", "cosformer", "favor"),
    "encoding.name": tuple(sorted(ENCODINGS)),
    "protocol.spe_axis": ("sequence", "batch"),
    "protocol.spe_resample": ("train", "always"),
    "protocol.permuteformer_permutation": ("per_head", "shared", "fixed"),
    "protocol.image_axes": ("own", "split", "shared"),
}
_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)


def check_common(config: DictConfig) -> None:
    """Combinations that no family can have.

    Raises:
        UserError: naming the keys.
    """
    samples = config.engine.samples_per_device
    if samples != "auto" and (not isinstance(samples, int) or isinstance(samples, bool)):
        raise UserError(f"engine.samples_per_device={samples}: expected auto or a whole number of at least 1")
    if config.engine.compile not in (True, False, "auto"):
        raise UserError(f"engine.compile={config.engine.compile}: expected true, false or auto")
    for key in PATH_KEYS:
        if not _NAME.fullmatch(name := OmegaConf.select(config, key)):
            raise UserError(f"{key}={name}: expected a name of letters, digits, - and _; folders are called by it")
    for key in NON_EMPTY_KEYS:
        if not OmegaConf.select(config, key).strip():
            raise UserError(f"{key}= is empty: expected a name, or leave the key out for its default")
    for key, choices in CHOICES.items():
        check_choice(key, OmegaConf.select(config, key), choices)
    for key in ("tracker.project", "tracker.entity"):
        check_name(key, OmegaConf.select(config, key))
    model, recipe = config.model, config.recipe
    if model.embed_dim % model.num_heads:
        step = 4 * model.num_heads  # a head_dim that is a multiple of four fits every encoding
        raise UserError(
            f"model.embed_dim={model.embed_dim} is not a multiple of model.num_heads={model.num_heads}; "
            f"give e.g. model.embed_dim={-(-model.embed_dim // step) * step}"
        )
    if recipe.schedule == Schedule.cosine_per_epoch and "epochs" not in recipe:
        raise UserError(
            f"recipe.schedule=cosine_per_epoch needs recipe.epochs, which experiment={config.experiment.name} does not "
            "have; give recipe.schedule=cosine"
        )
    if recipe.schedule == "cosine":
        _check_cosine(recipe)
    if len(recipe.adam_betas) != 2 or not all(0 <= beta < 1 for beta in recipe.adam_betas):
        raise UserError(f"recipe.adam_betas={list(recipe.adam_betas)}: expected two numbers in [0, 1)")


def check_validation_interval(config: DictConfig) -> None:
    """Refuse a recipe that never validates, and so never writes a checkpoint, and one of whose intervals has no effect.

    Raises:
        UserError: neither interval is given, or both are.
    """
    keys = ("recipe.validate_interval_updates", "recipe.validate_interval_epochs")
    updates, epochs = (OmegaConf.select(config, key) for key in keys)
    if updates is None and epochs is None:
        raise UserError(
            f"{keys[0]} and {keys[1]} are both null: a run that never validates keeps no checkpoint; give one of them"
        )
    if updates is not None and epochs is not None:
        raise UserError(f"{keys[0]}={updates} and {keys[1]}={epochs}: only one can be; add the other as ...=null")


def _check_cosine(recipe: DictConfig) -> None:
    """Refuse a cosine without a period, or whose end lies above its start."""
    updates, warmup = recipe.max_update, recipe.warmup_updates
    if updates is not None and warmup is not None and warmup >= updates:
        raise UserError(
            f"recipe.warmup_updates={warmup} leaves nothing of recipe.max_update={updates} for a cosine; lower it"
        )
    lowest = recipe.get("min_learning_rate", 0.0)
    if lowest >= recipe.learning_rate:
        raise UserError(
            f"recipe.learning_rate={recipe.learning_rate}: a cosine falls from it to "
            f"recipe.min_learning_rate={lowest}, so expected more than that"
        )


def check_recorded_dropout(config: DictConfig) -> None:
    """Refuse an attention dropout that is neither none nor the published scripts' 0.1: no attention here applies it.

    Raises:
        UserError: naming the key.
    """
    if config.model.attention_dropout not in (0, 0.1):
        raise UserError(
            f"model.attention_dropout={config.model.attention_dropout}: it is recorded and never applied, as in the "
            "published layer; leave it out, or use model.dropout or model.activation_dropout"
        )


def check_choice(key: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of ``choices``.

    Raises:
        UserError: naming the key, the choices and the nearest of them.
    """
    if value not in choices:
        raise UserError(f"{key}={value}: expected one of {', '.join(choices)}{nearest(value, choices)}")


def permutes(encoding: Mapping[str, Any] | DictConfig) -> bool:
    """Whether positions are powers of a permutation under the ``encoding`` of a config."""
    known = ENCODINGS.get(encoding["name"])
    return known is not None and known.permutes(encoding["options"])


def check_length(config: DictConfig, key: str, length: int) -> None:
    """Refuse sequences that are longer than the positions there are.

    Args:
        config: the run's.
        key: of the length, for the message.
        length: tokens.

    Raises:
        UserError: learned positions or published permutation tables end before.
    """
    protocol, encoding = config.protocol, config.encoding
    if str(protocol.absolute) == "learned" and length > config.model.max_positions:
        raise UserError(
            f"{key}={length} exceeds the learned positions, model.max_positions={config.model.max_positions}; "
            "lower it, or train with more positions"
        )
    limit = protocol.permutation_limit
    if permutes(encoding) and limit is not None and length > limit:
        raise UserError(
            f"{key}={length}: the published permutation tables end at {limit}; "
            "use protocol=controlled or protocol.permutation_limit=null for longer sequences"
        )
