"""What every fairseq model of ours has of encoding and attention, and the way back to the library's configs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from fairseq.dataclass import FairseqDataclass

Config = TypeVar("Config")


@dataclass
class AttentionFields(FairseqDataclass):
    """:class:`lrpe.models.AttentionConfig` as fairseq can carry it: dictionaries travel as JSON."""

    absolute: str = field(default="none", metadata={"help": "none, sinusoidal or learned"})
    first_position: int = field(default=0, metadata={"help": "what sinusoidal positions count from"})
    attention: str = field(default="linear", metadata={"help": "linear or softmax"})
    feature_map: str = field(default="1+elu", metadata={"help": "of linear attention"})
    feature_map_options: str = field(default="{}", metadata={"help": "JSON"})
    normalizer: str = field(default="layernorm", metadata={"help": "denominator, layernorm or rmsnorm"})
    mask_padding: bool = field(default=True, metadata={"help": "padded keys contribute nothing"})
    encoding: str = field(default="none", metadata={"help": "name in lrpe.encodings"})
    encoding_options: str = field(default="{}", metadata={"help": "JSON"})
    decay_angles: bool = field(default=False, metadata={"help": "weight decay on angles and norms too"})
    compile: bool = field(default=False, metadata={"help": "torch.compile"})


def library_config(kind: type[Config], cfg: Any, **own: Any) -> Config:
    """The library's config from fairseq's (an :class:`AttentionFields` or an equal DictConfig).

    Args:
        kind: of config, e.g. :class:`lrpe.models.DecoderConfig`.
        cfg: has fields of the same names.
        own: what the task knows, such as the vocabulary's size.
    """
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    values = {name: getattr(cfg, name) for name in names if hasattr(cfg, name)}
    values["encoding"] = {"name": cfg.encoding, **json.loads(cfg.encoding_options)}
    values["feature_map_options"] = json.loads(cfg.feature_map_options)
    return kind(**{**values, **own})
