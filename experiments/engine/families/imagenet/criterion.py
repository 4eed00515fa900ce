"""Cross entropy with hard or soft targets, and how many of the most likely classes are right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from experiments.engine import logged


@register_criterion("lrpe_image_classification", dataclass=FairseqDataclass)
class ImageCriterion(FairseqCriterion):
    """-sum over images and classes of target * log softmax(logits), in nats; logged in bits as fairseq does.

    ``top1`` and ``top5`` count the images whose class (of soft targets: the largest part) is the most likely one, or
    among the five most likely, in per cent.
    """

    def forward(self, model: Any, sample: Mapping[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        logits, target = model(**sample["net_input"]).float(), sample["target"]
        if target.is_floating_point():
            loss, label = -(target.float() * F.log_softmax(logits, -1)).sum(), target.argmax(-1)
        else:
            loss, label = F.cross_entropy(logits, target, reduction="sum"), target
        images = len(label)
        top1, top5 = count_correct(logits.detach(), label)
        output = {
            "loss": loss.data,
            "top1": top1,
            "top5": top5,
            "ntokens": images,
            "nsentences": images,
            "sample_size": images,
        }
        return loss, images, output

    @classmethod
    def reduce_metrics(cls, logging_outputs: Sequence[Mapping[str, Any]]) -> None:
        def total(key: str) -> Any:
            return logged.number(sum(output.get(key, 0) for output in logging_outputs))

        images = total("sample_size")
        metrics.log_scalar("loss", total("loss") / max(images, 1) / math.log(2), images, round=4)
        for name in ("top1", "top5"):
            metrics.log_scalar(name, 100 * total(name) / max(images, 1), images, round=4)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True


def count_correct(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Images whose label is the largest logit, or among the five largest: Int[], Int[]."""
    best = logits.topk(min(5, logits.shape[-1]), dim=-1).indices
    hits = best == label[:, None]
    return hits[:, 0].sum(), hits.any(-1).sum() if best.numel() else torch.zeros((), dtype=torch.int64)
