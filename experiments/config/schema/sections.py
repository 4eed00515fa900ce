"""The sections that every family's config has: the types of the keys in ``conf/``.

What is not in them is refused, and so is a value of another type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING


class Precision(StrEnum):
    fp32 = "fp32"
    tf32 = "tf32"  # float32 that is multiplied as matrices in TF32
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


class Normalizer(StrEnum):
    denominator = "denominator"
    layernorm = "layernorm"
    rmsnorm = "rmsnorm"


class Absolute(StrEnum):
    none = "none"
    sinusoidal = "sinusoidal"
    learned = "learned"


class DecayDirection(StrEnum):
    distance = "distance"
    one_sided = "one_sided"


class AdamEpsilon(StrEnum):
    before_correction = "before_correction"
    after_correction = "after_correction"


class Schedule(StrEnum):
    inverse_sqrt = "inverse_sqrt"
    cosine = "cosine"
    cosine_per_epoch = "cosine_per_epoch"  # of images
    polynomial_decay = "polynomial_decay"


@dataclass
class Experiment:
    name: str = MISSING
    absolute: Absolute = MISSING
    adam_epsilon: AdamEpsilon = MISSING


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
    normalizer: Normalizer = MISSING
    absolute: Absolute = MISSING
    first_position: int = MISSING
    adam_epsilon: AdamEpsilon = MISSING
    spe_axis: str = MISSING
    spe_resample: str = MISSING
    permuteformer_permutation: str = MISSING
    permuteformer_decay: DecayDirection = MISSING
    decay_angles: bool = MISSING
    mask_padding: bool = MISSING
    image_axes: str = MISSING
    image_schedule: Schedule = MISSING
    permutation_limit: int | None = None


@dataclass
class Data:
    name: str = MISSING
    folder: str = MISSING


@dataclass
class Training:
    """What every recipe has."""

    name: str = MISSING
    batch_size: int = MISSING
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
    validate_interval_updates: int | None = MISSING


@dataclass
class Engine:
    device: Device = MISSING
    samples_per_device: int | str = MISSING
    num_workers: int = MISSING
    threads: int | None = None
    log_interval: int = MISSING
    keep_checkpoints: int = MISSING
    max_skipped_updates: int = MISSING
    compile: bool | str = MISSING
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
    """One training run; a family's config has a ``model`` and a ``recipe`` of its own types."""

    seed: int = MISSING
    experiment: Experiment = field(default_factory=Experiment)
    profile: Profile = field(default_factory=Profile)
    encoding: Encoding = field(default_factory=Encoding)
    attention: Attention = field(default_factory=Attention)
    protocol: Protocol = field(default_factory=Protocol)
    data: Data = field(default_factory=Data)
    engine: Engine = field(default_factory=Engine)
    tracker: Tracker = field(default_factory=Tracker)
    paths: Paths = field(default_factory=Paths)
