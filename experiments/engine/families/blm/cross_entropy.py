"""fairseq's ``masked_lm`` without the logits of all masked tokens."""

from __future__ import annotations

from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.masked_lm import MaskedLmConfig, MaskedLmLoss
from torch import Tensor

from experiments.engine.families.blm.masked import MASKED


@register_criterion("lrpe_masked_cross_entropy", dataclass=MaskedLmConfig)
class LRPEMaskedCrossEntropy(MaskedLmLoss):
    """-sum over masked tokens of log p(token), in nats, by :meth:`lrpe.models.MaskedLMHead.loss`; metrics are
    fairseq's. A batch without masked tokens has loss 0 and no gradient."""

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        target = sample["target"].flatten()
        # Where there is a GPU, counting them there would be waited for: our task's collater has done it.
        masked = sample.get(MASKED)
        if masked is None:  # a batch of fairseq's own task
            masked = target.ne(self.padding_idx).nonzero().squeeze(1)
        loss, _ = model(**sample["net_input"], masked_tokens=masked, loss_targets=target[masked])
        size = len(masked)
        logged = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": size,
        }
        return loss, size, logged
