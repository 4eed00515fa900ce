"""fairseq's ``cross_entropy`` without the logits of all tokens."""

from __future__ import annotations

from typing import Any

from fairseq.criterions import register_criterion
from fairseq.criterions.cross_entropy import CrossEntropyCriterion, CrossEntropyCriterionConfig
from torch import Tensor


@register_criterion("lrpe_cross_entropy", dataclass=CrossEntropyCriterionConfig)
class LRPECrossEntropy(CrossEntropyCriterion):
    """-sum over targets of log p(target), in nats, by :meth:`lrpe.models.DecoderLM.loss`; metrics are fairseq's."""

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        if not reduce:  # one loss per token
            return super().forward(model, sample, reduce)
        target = sample["target"]
        loss, _ = model(**sample["net_input"], loss_targets=target)
        size = target.size(0) if self.sentence_avg else sample["ntokens"]
        logged = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": target.size(0),
            "sample_size": size,
        }
        return loss, size, logged
