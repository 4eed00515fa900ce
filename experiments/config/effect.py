"""Which settings of a config cannot change its result, because nothing that was chosen reads them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.schema import SCHEMAS
from experiments.config.schema.common import permutes
from experiments.util.errors import UserError
from lrpe.encodings import ENCODINGS

# Keys that only hand their values on to others, by interpolation: those others are what a run reads.
HANDED_ON = (
    "experiment.absolute",
    "experiment.adam_epsilon",
    "encoding.published",
    "encoding.controlled",
    "model.published",
    "model.controlled",
    "protocol.spe_axis",
    "protocol.spe_resample",
    "protocol.permuteformer_permutation",
    "protocol.permuteformer_decay",
    "protocol.image_schedule",
    "task.learning_rate",
    "task.batch_size",
    "task.max_update",
    "task.warmup_updates",
    "task.validate_interval_updates",
)
# Recorded, or only a limit that is checked: no result depends on them.
WITHOUT_EFFECT = (
    "model.attention_dropout",
    "protocol.permutation_limit",
)
# Left out of identities, and not refused: another setting that is given replaces them, or another protocol reads them.
REPLACED = (
    "recipe.epochs",
    "recipe.warmup_epochs",
    "recipe.validate_interval_epochs",
    "recipe.samples_per_pass",
    "pretraining.recipe",
)
_REFERENCE = re.compile(r"\$\{([^${}:]+)\}")


def unread(plain: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a resolved config that nothing reads, each with what would read it.

    Args:
        plain: a config as plain data, as ``config.yaml`` of a run has it.
    """
    found = dict(_unread_of_attention(plain))
    found |= _unread_of_recipe(plain)
    encoding = ENCODINGS.get(plain["encoding"]["name"])
    if encoding is not None:
        given = {**encoding.options(), **plain["encoding"]["options"]}
        if SCHEMAS[plain["experiment"]["name"]].images:
            for option in plain["encoding"]["options"]:
                probe = object()
                if encoding.image_options({**given, option: probe}, axes="own")[option] is not probe:
                    found[f"encoding.options.{option}"] = "sequences, which images are not"
            given = encoding.image_options(given, axes="own")
        found |= {f"encoding.options.{option}": reader for option, reader in encoding.unread_options(given).items()}
    return found


def _unread_of_attention(plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name, protocol, model, encoding = (plain[key] for key in ("experiment", "protocol", "model", "encoding"))
    family, absolute = SCHEMAS[name["name"]], protocol["absolute"]
    if plain["attention"]["name"] != "linear":
        for key in ("attention.feature_map", "attention.feature_map_options", "protocol.normalizer"):
            yield key, "attention=linear"
    if plain["attention"]["name"] != "linear" or protocol["normalizer"] != "denominator":
        for key in ("model.denominator_from", "model.denominator_eps"):
            yield key, "protocol.normalizer=denominator"
    if absolute != "sinusoidal" or family.images:
        yield "protocol.first_position", "protocol.absolute=sinusoidal of a language model"
    if absolute != "learned":
        yield "model.max_positions", "protocol.absolute=learned"
        yield "model.absolute_std", "protocol.absolute=learned"
    if not family.padded:
        yield "protocol.mask_padding", "experiment=blm and experiment=glue, whose sequences are padded"
    known = ENCODINGS.get(encoding["name"])
    if not family.images:
        yield "protocol.image_axes", "experiment=imagenet"
    elif known is not None and ("axes" not in known.options() or "axes" in encoding["options"]):
        yield "protocol.image_axes", "an encoding of two axes whose options do not name them"
    if plain["recipe"]["weight_decay"] == 0:
        yield "protocol.decay_angles", "a recipe.weight_decay above 0"
    if not model.get("adaptive_cutoffs"):
        yield "model.adaptive_dropout", "model.adaptive_cutoffs"


def _unread_of_recipe(plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    recipe = plain["recipe"]
    if recipe["schedule"] == "polynomial_decay":
        yield "recipe.warmup_init_learning_rate", "another recipe.schedule than polynomial_decay"
    if not pass_matters(plain):
        yield (
            "recipe.samples_per_pass",
            "protocol.mask_padding=false and encoding.options.axis=batch; elsewhere engine.samples_per_device says it",
        )
    if plain.get("pretraining", {}).get("start") not in (None, "run"):
        yield "pretraining.recipe", "pretraining.start=run"
    if not SCHEMAS[plain["experiment"]["name"]].images:
        return
    for own, other in (
        ("epochs", "max_update"),
        ("warmup_epochs", "warmup_updates"),
        ("validate_interval_epochs", "validate_interval_updates"),
    ):
        if recipe[other] is not None:
            yield f"recipe.{own}", f"recipe.{other}=null"
    if not recipe["schedule"].startswith("cosine"):
        yield "recipe.min_learning_rate", "a cosine as recipe.schedule"
    if recipe["crop"] != "resized":
        yield "recipe.crop_scale", "recipe.crop=resized"
    if recipe["crop"] != "padded":
        yield "recipe.crop_padding", "recipe.crop=padded"
    if recipe["auto_augment"] is not None:
        yield "recipe.color_jitter", "recipe.auto_augment=null"
    if not (recipe["mixup"] or recipe["cutmix"]):
        for key in ("mix_probability", "mix_group"):
            yield f"recipe.{key}", "recipe.mixup or recipe.cutmix above 0"
    if not (recipe["mixup"] and recipe["cutmix"]):
        yield "recipe.mix_switch_probability", "both recipe.mixup and recipe.cutmix above 0"


def pass_matters(plain: Mapping[str, Any] | DictConfig) -> bool:
    """Whether a result depends on which samples share a forward pass: where padding, which follows from the longest of
    them, takes part in attention, and where SPE's codes run along the batch."""
    family = SCHEMAS[plain["experiment"]["name"]]
    if family.images:  # images are of one size, and a pass of them is whole
        return False
    padded = family.padded and not plain["protocol"]["mask_padding"]
    return padded or plain["encoding"]["options"].get("axis") == "batch"


def effective(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config without the keys that cannot change its result."""
    kept = copy.deepcopy(dict(plain))
    for key in (*unread(plain), *HANDED_ON, *WITHOUT_EFFECT):
        *path, last = key.split(".")
        node: Any = kept
        for name in path:
            node = node.get(name) or {}
        node.pop(last, None)
    return kept


def without_effect(given: list[str], composed: DictConfig, plain: Mapping[str, Any]) -> dict[str, str]:
    """Of the keys that somebody set, those that have no effect, each with the reason; :data:`REPLACED` aside.

    Args:
        given: keys that were set on a command line.
        composed: the config with its interpolations.
        plain: the same config, resolved.
    """
    found = {key: reader for key, reader in unread(plain).items() if key not in REPLACED}
    if not permutes(plain["encoding"]):
        found["protocol.permutation_limit"] = "an encoding of permutations"
    read = _handed_on_to(composed)
    result: dict[str, str] = {}
    for key in given:
        parents = [key, *(key.rsplit(".", count)[0] for count in range(1, key.count(".") + 1))]
        if reader := next((found[name] for name in parents if name in found), None):
            result[key] = f"it is read by {reader}"
        elif any(name in HANDED_ON for name in parents) and key not in read:
            result[key] = "nothing of this run takes its value from it"
    return result


def refuse_without_effect(keys: Mapping[str, str]) -> None:
    """Refuse keys that :func:`without_effect` found.

    Raises:
        UserError: naming the first of them and why.
    """
    for key, reason in keys.items():
        raise UserError(f"'{key}' has no effect here: {reason}; leave it out")


def _handed_on_to(composed: DictConfig) -> set[str]:
    """The keys of :data:`HANDED_ON` whose values reach a key that a run reads."""
    references = dict(_references(composed))
    reached: set[str] = set()
    waiting = [key for key in references if not _hands_on(key)]
    while waiting:
        for key in references.get(waiting.pop(), ()):
            if key not in reached:
                reached.add(key)
                waiting.append(key)
    return reached


def _hands_on(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in HANDED_ON)


def _references(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each key that interpolates, and the absolute keys that it takes values from."""
    for name in node:
        child: Any = node._get_node(name)
        key = f"{prefix}{name}"
        if isinstance(child, DictConfig) and not child._is_interpolation():
            yield from _references(child, f"{key}.")
        elif child is not None and not OmegaConf.is_list(child):
            text = child._value()
            if isinstance(text, str) and "${" in text:
                yield key, [_absolute(reference, key) for reference in _inner(text, node)]


def _inner(text: str, node: DictConfig) -> list[str]:
    """The references of an interpolation; those inside another (``${model.${protocol.name}.x}``) are resolved first."""
    while nested := re.search(r"\$\{[^${}]*\$\{([^${}:]+)\}", text):
        value = OmegaConf.select(node._get_root(), nested[1])
        text = text.replace("${" + nested[1] + "}", str(value))
    return _REFERENCE.findall(text)


def _absolute(reference: str, key: str) -> str:
    """``.batch_size`` of ``recipe.samples_per_pass`` as ``recipe.batch_size``."""
    dots = len(reference) - len(reference.lstrip("."))
    return ".".join([*key.split(".")[:-dots], reference.lstrip(".")]) if dots else reference
