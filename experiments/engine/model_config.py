"""The library's model config in fairseq's ``model`` section, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from fairseq.dataclass import FairseqDataclass
from omegaconf import DictConfig, OmegaConf

Config = TypeVar("Config")


@dataclass
class LRPEModelConfig(FairseqDataclass):
    """What every fairseq model of ours is built from: fairseq's configs are flat, so the library's travels as JSON."""

    config: str = field(default="{}", metadata={"help": "fields of the library's config in lrpe.models, as JSON"})
    decay_angles: bool = field(default=False, metadata={"help": "weight decay on all that a controlled run spares"})
    compile: bool = field(default=False, metadata={"help": "torch.compile"})


def model_section(kind: type, config: DictConfig, **own: Any) -> dict[str, Any]:
    """The fields of :class:`LRPEModelConfig` for a run.

    Args:
        kind: the library's config, e.g. :class:`lrpe.models.DecoderConfig`.
        config: the run's.
        own: fields of ``kind`` that this family derives.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    attention, protocol, encoding = plain["attention"], plain["protocol"], plain["encoding"]
    given = {
        "attention": attention["name"],
        "feature_map": attention["feature_map"],
        "feature_map_options": attention["feature_map_options"],
        "encoding": {"name": encoding["name"], **encoding["options"]},
        **{name: protocol[name] for name in ("normalizer", "absolute", "first_position", "mask_padding")},
        **plain["model"],
        **own,
    }
    values = {item.name: given[item.name] for item in fields(kind) if item.name in given}
    return {
        "config": json.dumps(values, sort_keys=True),
        "decay_angles": protocol["decay_angles"],
        "compile": plain["engine"]["compile"] is True,  # auto: experiments/engine/samples.py
    }


def model_values(section: Any) -> dict[str, Any]:
    """The library's fields in a ``model`` section (a :class:`LRPEModelConfig` or an equal mapping)."""
    return json.loads(section["config"] if isinstance(section, dict) else section.config)


def library_config(kind: type[Config], section: Any, **own: Any) -> Config:
    """The library's config from a ``model`` section (a :class:`LRPEModelConfig` or an equal mapping).

    Args:
        kind: of config.
        section: has the JSON.
        own: what the data determines, such as the vocabulary's size.
    """
    values = model_values(section)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}, **own)
