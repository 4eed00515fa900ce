"""``lrpe_lm``: the library's decoder as a fairseq language model."""

from __future__ import annotations

from typing import Any

import torch
from fairseq.models import FairseqIncrementalDecoder, FairseqLanguageModel, register_model
from torch import Tensor

from experiments.engine.model_config import LRPEModelConfig, library_config
from experiments.engine.weight_decay import spare_from_decay
from lrpe.models import DecoderConfig, DecoderLM

UNLIMITED = 1_000_000_000  # fairseq wants a number: positions have no limit unless they are learned


class LRPEDecoder(FairseqIncrementalDecoder):
    """fairseq's decoder interface over :class:`lrpe.models.DecoderLM`, generation with O(1) state included."""

    def __init__(self, dictionary: Any, cfg: LRPEModelConfig) -> None:
        super().__init__(dictionary)
        config = library_config(DecoderConfig, cfg, vocab_size=len(dictionary), padding_index=dictionary.pad())
        self.model = DecoderLM(config)
        self.adaptive_softmax = self.model.adaptive_softmax
        self._limit = config.max_positions if config.absolute == "learned" else UNLIMITED
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


@register_model("lrpe_lm", dataclass=LRPEModelConfig)
class LRPELanguageModel(FairseqLanguageModel):
    """The model that ``experiment=alm`` trains; usable with fairseq's own commands through the plugin."""

    def library_model(self) -> DecoderLM:
        """The library's model in this one."""
        return self.decoder.model

    @classmethod
    def build_model(cls, cfg: LRPEModelConfig, task: Any) -> LRPELanguageModel:
        model = cls(LRPEDecoder(task.target_dictionary, cfg))
        if not cfg.decay_angles:
            spare_from_decay(model)
        return model
