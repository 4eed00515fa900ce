"""``lrpe_lm``: the library's decoder as a fairseq language model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.models import FairseqIncrementalDecoder, FairseqLanguageModel, register_model
from torch import Tensor

from experiments.engine.model_fields import AttentionFields, library_config
from experiments.engine.weight_decay import spare_from_decay
from lrpe.models import DecoderConfig, DecoderLM

UNLIMITED = 1_000_000_000  # fairseq wants a number: positions have no limit unless they are learned


@dataclass
class LRPELanguageModelConfig(AttentionFields):
    """The fields of :class:`lrpe.models.DecoderConfig` as fairseq can carry them; dictionaries travel as JSON."""

    num_layers: int = field(default=6, metadata={"help": "decoder layers"})
    embed_dim: int = field(default=512, metadata={"help": "width of the model"})
    ffn_dim: int = field(default=2048, metadata={"help": "width of the feed-forward layer"})
    num_heads: int = field(default=8, metadata={"help": "attention heads"})
    dropout: float = field(default=0.1, metadata={"help": "dropout of embeddings and residual branches"})
    attention_dropout: float = field(default=0.0, metadata={"help": "recorded, never applied (as published)"})
    activation_dropout: float = field(default=0.0, metadata={"help": "dropout inside the feed-forward layer"})
    normalize_before: bool = field(default=True, metadata={"help": "pre-norm"})
    final_norm: bool = field(default=True, metadata={"help": "layer norm after the last layer"})
    scale_embedding: bool = field(default=True, metadata={"help": "embeddings times sqrt(embed_dim)"})
    share_input_output: bool = field(default=True, metadata={"help": "tie input and output embeddings"})
    adaptive_cutoffs: str = field(default="[]", metadata={"help": "JSON list: adaptive input and softmax"})
    adaptive_dropout: float = field(default=0.2, metadata={"help": "dropout in the adaptive softmax's tails"})
    max_positions: int = field(default=512, metadata={"help": "of learned absolute positions"})


def decoder_config(cfg: Any, vocab_size: int, padding_index: int) -> DecoderConfig:
    """The library's config from fairseq's (a :class:`LRPELanguageModelConfig` or an equal DictConfig)."""
    cutoffs = tuple(json.loads(cfg.adaptive_cutoffs))
    own = {"vocab_size": vocab_size, "padding_index": padding_index, "adaptive_cutoffs": cutoffs}
    return library_config(DecoderConfig, cfg, **own)


class LRPEDecoder(FairseqIncrementalDecoder):
    """fairseq's decoder interface over :class:`lrpe.models.DecoderLM`, generation with O(1) state included."""

    def __init__(self, dictionary: Any, cfg: LRPELanguageModelConfig) -> None:
        super().__init__(dictionary)
        self.model = DecoderLM(decoder_config(cfg, len(dictionary), dictionary.pad()))
        self.adaptive_softmax = self.model.adaptive_softmax
        self._limit = cfg.max_positions if cfg.absolute == "learned" else UNLIMITED
        if cfg.compile:  # in place: a wrapper would enter the checkpoint's names
            self.model.compile()
            self.model.features = torch.compile(self.model.features)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: None = None,
        incremental_state: dict[str, Any] | None = None,
        src_lengths: Tensor | None = None,
        loss_targets: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Logits, or with an adaptive softmax the features that it takes: ``(batch, length, vocabulary or width)``.

        With targets ``(batch, length)``, the sum of their -log p, formed inside the model's forward pass so that DDP
        sees every weight that it uses.
        """
        if loss_targets is not None:
            return self.model.loss(self.model.features(prev_output_tokens), loss_targets), None
        if incremental_state is not None:
            return self._extend(prev_output_tokens, incremental_state), None
        if self.adaptive_softmax is not None:
            return self.model.features(prev_output_tokens), None
        return self.model(prev_output_tokens), None

    def _extend(self, tokens: Tensor, incremental_state: dict[str, Any]) -> Tensor:
        state = incremental_state.get("lrpe")
        seen = 0 if state is None else state.position
        output, incremental_state["lrpe"] = self.model.extend(tokens[:, seen:], state)
        return output

    def reorder_incremental_state(self, incremental_state: dict[str, Any], new_order: Tensor) -> None:
        if "lrpe" in incremental_state:
            incremental_state["lrpe"] = incremental_state["lrpe"].reorder(new_order)

    def max_positions(self) -> int:
        return self._limit


@register_model("lrpe_lm", dataclass=LRPELanguageModelConfig)
class LRPELanguageModel(FairseqLanguageModel):
    """The model that ``experiment=alm`` trains; usable with fairseq's own commands through the plugin."""

    @classmethod
    def build_model(cls, cfg: LRPELanguageModelConfig, task: Any) -> LRPELanguageModel:
        model = cls(LRPEDecoder(task.target_dictionary, cfg))
        if not cfg.decay_angles:
            spare_from_decay(model)
        return model
