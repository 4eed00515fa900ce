"""Blocks of text with tokens before them that are read and not scored."""

from __future__ import annotations

from typing import Any

import torch
from fairseq.data import BaseWrapperDataset, FairseqDataset
from torch import Tensor


class ContextBlocks(BaseWrapperDataset):
    """Each block after the ``window`` tokens that precede it, as many as there are.

    fairseq's ``LMContextWindowDataset`` carries the tokens from one batch to the next, so it works in one process and
    in the data's order only; here an item knows its own context, whichever batch and device it comes to.

    Args:
        dataset: blocks that follow each other, with ``source`` and ``target``.
        window: tokens of context.
        padding: index that no loss counts.
    """

    def __init__(self, dataset: FairseqDataset, window: int, padding: int) -> None:
        super().__init__(dataset)
        self.window, self.padding = window, padding

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.dataset[index]
        context = self._before(int(index))
        unscored = torch.full_like(context, self.padding)
        return {
            "id": item["id"],
            "source": torch.cat([context, item["source"]]),
            "target": torch.cat([unscored, item["target"]]),
            "start": len(context),
        }

    def _before(self, index: int) -> Tensor:
        parts: list[Tensor] = []
        missing = self.window
        while missing > 0 and index > 0:
            index -= 1
            part = self.dataset[index]["source"][-missing:]
            parts.insert(0, part)
            missing -= len(part)
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.dataset.collater(samples)
        if batch:
            batch["ntokens"] = int((batch["target"] != self.padding).sum())  # by which a mean loss is divided
            batch["start_indices"] = [sample["start"] for sample in samples]  # fairseq's scorer begins there
        return batch
