"""The encoder with a head on it: what was pretrained on masked tokens, and what was fine-tuned to classify texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import torch
from torch import Tensor

from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.models.encoder import BidirectionalEncoder, ClassificationHead, EncoderConfig, MaskedLMHead
from lrpe.models.fields import bounded
from lrpe.models.pretrained import Pretrained
from lrpe.weight_decay import DecaySparing


class MaskedLM(DecaySparing, Pretrained):
    """p(token | text in which it is masked): encoder and masked-LM head with one embedding table."""

    config_kind = EncoderConfig

    @drawn_in_float32
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BidirectionalEncoder(config)
        self.head = MaskedLMHead(self.encoder.embedding)

    @classmethod
    def of(cls, encoder: BidirectionalEncoder, head: MaskedLMHead) -> Self:
        """Of parts that exist; they are shared, not copied."""
        with torch.device("meta"):
            model = cls(encoder.config)
        model.encoder, model.head = encoder, head
        return model

    def forward(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)``, padded on the right -> logits ``(batch, length, vocabulary)``."""
        return self.head(self.encoder(tokens))


@dataclass(frozen=True)
class ClassifierConfig(EncoderConfig):
    """An encoder's config, and ``num_outputs`` classes (1: a regression) of a head with ``head_dropout``."""

    num_outputs: int = bounded(2, minimum=1)
    head_dropout: float = bounded(0.0, minimum=0, below=1)


class TextClassifier(DecaySparing, Pretrained):
    """Encoder and classification head; a text begins with ``<s>``, at whose output the head looks."""

    config_kind = ClassifierConfig

    @drawn_in_float32
    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BidirectionalEncoder(config)
        self.head = ClassificationHead(config.embed_dim, config.num_outputs, config.head_dropout)

    @classmethod
    def of(cls, encoder: BidirectionalEncoder, head: ClassificationHead) -> Self:
        """Of parts that exist; they are shared, not copied."""
        own = {"num_outputs": head.output.out_features, "head_dropout": head.dropout.p}
        with torch.device("meta"):
            model = cls(ClassifierConfig(**{**asdict(encoder.config), **own}))
        model.encoder, model.head = encoder, head
        return model

    def forward(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)``, padded on the right -> logits ``(batch, num_outputs)``."""
        return self.head(self.encoder(tokens))
