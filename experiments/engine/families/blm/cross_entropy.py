"""fairseq's ``masked_lm`` without the logits of all masked tokens."""

from __future__ import annotations

from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.masked_lm import MaskedLmConfig, MaskedLmLoss
from torch import Tensor


@register_criterion("lrpe_masked_cross_entropy", dataclass=MaskedLmConfig)
class LRPEMaskedCrossEntropy(MaskedLmLoss):
    """-sum over masked tokens of log p(token), in nats, by :meth:`lrpe.models.MaskedLMHead.loss`; metrics are
    fairseq's. A batch without masked tokens has loss 0 and no gradient."""

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, Tensor, dict[str, Any]]:
        masked = sample["target"].ne(self.padding_idx)
        loss, _ = model(**sample["net_input"], masked_tokens=masked, loss_targets=sample["target"][masked])
        size = masked.int().sum()
        logged = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": size,
        }
        return loss, size, logged
