"""``lrpe_encoder``: the library's encoder with a masked-LM head, and with classification heads, as a fairseq model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor, nn

from experiments.engine.model_config import LRPEModelConfig, library_config
from experiments.engine.weight_decay import spare_from_decay
from lrpe.models import (
    BidirectionalEncoder,
    ClassificationHead,
    EncoderConfig,
    MaskedLM,
    MaskedLMHead,
    TextClassifier,
)


@dataclass
class LRPEEncoderConfig(LRPEModelConfig):
    masked_lm_head: bool = field(default=True, metadata={"help": "without it the model only classifies"})


@register_model("lrpe_encoder", dataclass=LRPEEncoderConfig)
class LRPEEncoder(BaseFairseqModel):
    """What ``experiment=blm`` pretrains and ``experiment=glue`` fine-tunes; usable with fairseq's own commands through
    the plugin, with its tasks ``masked_lm`` and ``sentence_prediction``."""

    def __init__(self, config: EncoderConfig, masked_lm_head: bool = True) -> None:
        super().__init__()
        self.encoder = BidirectionalEncoder(config)
        self.masked_lm_head: Any = MaskedLMHead(self.encoder.embedding) if masked_lm_head else None
        self.classification_heads = nn.ModuleDict()

    @classmethod
    def build_model(cls, cfg: LRPEEncoderConfig, task: Any) -> LRPEEncoder:
        dictionary = task.source_dictionary
        own = {"vocab_size": len(dictionary), "padding_index": dictionary.pad()}
        model = cls(library_config(EncoderConfig, cfg, **own), cfg.masked_lm_head)
        if cfg.compile:  # in place: a wrapper would enter the checkpoint's names
            model.encoder.compile()
        model._decay_angles = cfg.decay_angles  # pyright: ignore[reportArgumentType] - torch annotates submodules alone
        model.spare()
        return model

    def spare(self) -> None:
        """Mark what weight decay leaves alone, of parts that came later too."""
        if not self._decay_angles:
            spare_from_decay(self)

    def register_classification_head(
        self, name: str, num_classes: int | None = None, dropout: float = 0.0, **_: Any
    ) -> None:
        """Add a head under ``name``, as fairseq's ``sentence_prediction`` does after the model is built."""
        width = self.encoder.config.embed_dim
        self.classification_heads[name] = ClassificationHead(width, num_classes or 2, dropout)

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        masked_tokens: Tensor | None = None,
        features_only: bool = False,
        classification_head_name: str | None = None,
        loss_targets: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Logits of the masked tokens alone ``(masked, vocabulary)``, or of every token; features
        ``(batch, length, width)``; or a head's logits ``(batch, classes)``.

        ``masked_tokens`` are bool ``(batch, length)``, or Int64 ``(masked,)``, positions in the flattened batch.

        With ``loss_targets`` ``(masked,)``, the sum of their -log p, formed inside the model's forward pass so that DDP
        sees every weight that it uses.
        """
        features = self.encoder(src_tokens)
        if classification_head_name is not None:
            return self.classification_heads[classification_head_name](features), {}
        if features_only:
            return features, {}
        if masked_tokens is not None:
            boolean = masked_tokens.dtype == torch.bool
            features = features[masked_tokens] if boolean else features.flatten(0, 1)[masked_tokens]
        if loss_targets is not None:
            return self.masked_lm_head.loss(features, loss_targets), {}
        return self.masked_lm_head(features), {}

    def library_model(self) -> MaskedLM | TextClassifier:
        """The library's model of the same parts: with the masked-LM head, or else with the one classification head."""
        if self.masked_lm_head is not None:
            return MaskedLM.of(self.encoder, self.masked_lm_head)
        (head,) = cast(Iterable[ClassificationHead], self.classification_heads.values())
        return TextClassifier.of(self.encoder, head)

    def get_normalized_probs(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
        function = torch.log_softmax if log_probs else torch.softmax
        return function(net_output[0].float(), dim=-1)

    def upgrade_state_dict_named(self, state_dict: dict[str, Any], name: str) -> None:
        """Make the heads that a checkpoint has, so that it loads whole."""
        prefix = f"{name}." if name else ""
        for key in list(state_dict):
            if key.startswith(f"{prefix}classification_heads.") and key.endswith(".output.weight"):
                head = key[len(prefix) :].split(".")[1]
                if head not in self.classification_heads:
                    self.register_classification_head(head, num_classes=state_dict[key].shape[0])
        super().upgrade_state_dict_named(state_dict, name)

    def max_positions(self) -> int:
        config = self.encoder.config
        return config.max_positions if config.absolute == "learned" else 1_000_000_000
