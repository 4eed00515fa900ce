"""The types of every key in ``conf/``: what is not here is refused, and so is a value of another type."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING


class Precision(StrEnum):
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    amp = "amp"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class TrackerMode(StrEnum):
    auto = "auto"
    wandb = "wandb"
    offline = "offline"
    disabled = "disabled"


class Normaliser(StrEnum):
    denominator = "denominator"
    layernorm = "layernorm"
    rmsnorm = "rmsnorm"


class Absolute(StrEnum):
    none = "none"
    sinusoidal = "sinusoidal"
    learned = "learned"


class Schedule(StrEnum):
    inverse_sqrt = "inverse_sqrt"
    cosine = "cosine"
    polynomial_decay = "polynomial_decay"


@dataclass
class Experiment:
    name: str = MISSING
    task: str = MISSING
    metric: str = MISSING


@dataclass
class Profile:
    name: str = MISSING


@dataclass
class Encoding:
    label: str = MISSING
    name: str = MISSING
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)
    controlled: dict[str, str] = field(default_factory=dict)


@dataclass
class Attention:
    name: str = MISSING
    feature_map: str = MISSING
    feature_map_options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Protocol:
    name: str = MISSING
    normaliser: Normaliser = MISSING
    absolute: Absolute = MISSING
    spe_axis: str = MISSING
    spe_resample: str = MISSING
    permuteformer_permutation: str = MISSING
    decay_angles: bool = MISSING
    mask_padding: bool = MISSING
    image_axes: str = MISSING
    permutation_limit: int | None = None


@dataclass
class Model:
    name: str = MISSING
    num_layers: int = MISSING
    embed_dim: int = MISSING
    ffn_dim: int = MISSING
    num_heads: int = MISSING
    dropout: float = MISSING
    attention_dropout: float = MISSING
    activation_dropout: float = MISSING
    normalize_before: bool = MISSING
    final_norm: bool = MISSING
    scale_embedding: bool = MISSING
    share_input_output: bool = MISSING
    adaptive_cutoffs: list[int] = field(default_factory=list)
    adaptive_dropout: float = MISSING
    max_positions: int = MISSING


@dataclass
class Data:
    name: str = MISSING
    folder: str = MISSING


@dataclass
class Recipe:
    name: str = MISSING
    tokens_per_sample: int = MISSING
    batch_sequences: int = MISSING
    max_update: int = MISSING
    warmup_updates: int = MISSING
    warmup_init_learning_rate: float = MISSING
    learning_rate: float = MISSING
    schedule: Schedule = MISSING
    adam_betas: list[float] = field(default_factory=list)
    adam_eps: float = MISSING
    weight_decay: float = MISSING
    clip_norm: float = MISSING
    precision: Precision = MISSING
    validate_interval_updates: int = MISSING
    context_window: int = MISSING


@dataclass
class Engine:
    device: Device = MISSING
    sequences_per_device: int = MISSING
    num_workers: int = MISSING
    threads: int | None = None
    log_interval: int = MISSING
    keep_checkpoints: int = MISSING
    compile: bool = MISSING
    fairseq: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tracker:
    mode: TrackerMode = MISSING
    project: str = MISSING
    entity: str | None = None


@dataclass
class Paths:
    results: str = MISSING
    data: str = MISSING


@dataclass
class RunConfig:
    """One training run."""

    seed: int = MISSING
    experiment: Experiment = field(default_factory=Experiment)
    profile: Profile = field(default_factory=Profile)
    encoding: Encoding = field(default_factory=Encoding)
    attention: Attention = field(default_factory=Attention)
    protocol: Protocol = field(default_factory=Protocol)
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    recipe: Recipe = field(default_factory=Recipe)
    engine: Engine = field(default_factory=Engine)
    tracker: Tracker = field(default_factory=Tracker)
    paths: Paths = field(default_factory=Paths)


# Smallest value of each number that has one; a key outside its range is refused before any work.
MINIMUM: dict[str, float] = {
    "seed": 0,
    "model.num_layers": 1,
    "model.embed_dim": 1,
    "model.ffn_dim": 1,
    "model.num_heads": 1,
    "model.dropout": 0,
    "model.activation_dropout": 0,
    "model.adaptive_dropout": 0,
    "model.max_positions": 1,
    "recipe.tokens_per_sample": 2,
    "recipe.batch_sequences": 1,
    "recipe.max_update": 1,
    "recipe.warmup_updates": 1,
    "recipe.warmup_init_learning_rate": 0,
    "recipe.learning_rate": 0,
    "recipe.weight_decay": 0,
    "recipe.clip_norm": 0,
    "recipe.validate_interval_updates": 1,
    "recipe.context_window": 0,
    "engine.sequences_per_device": 1,
    "engine.num_workers": 0,
    "engine.threads": 1,
    "engine.log_interval": 1,
    "engine.keep_checkpoints": 1,
}
BELOW_ONE = ("model.dropout", "model.activation_dropout", "model.attention_dropout", "model.adaptive_dropout")
