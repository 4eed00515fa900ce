"""The loss of an adaptive softmax, every word counted.

fairseq's ``adaptive_loss`` ignores the padding index in each band's own numbering, so that the second word of every
tail band is never trained nor counted. Here padding is left out before the bands are told apart.
"""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from fairseq.criterions import register_criterion
from fairseq.criterions.adaptive_loss import AdaptiveLoss, AdaptiveLossConfig
from torch import Tensor


@register_criterion("lrpe_adaptive_loss", dataclass=AdaptiveLossConfig)
class LRPEAdaptiveLoss(AdaptiveLoss):
    """-sum over targets of log p(target), in nats; metrics are fairseq's."""

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        features = model(**sample["net_input"])[0]
        target = model.get_targets(sample, None).reshape(-1)
        kept = target != self.padding_idx
        logits, targets = model.decoder.adaptive_softmax(features.flatten(0, 1)[kept], target[kept])
        pairs = [(x, y) for x, y in zip(logits, targets, strict=True) if y is not None]
        loss = cast(Tensor, sum(F.cross_entropy(x, y, reduction="sum") for x, y in pairs))
        tokens = int(kept.sum())
        size: int = sample["target"].size(0) if self.sentence_avg else tokens
        logged = {"loss": loss.data, "ntokens": tokens, "nsentences": sample["target"].size(0), "sample_size": size}
        return loss, size, logged
