"""Which tokens of a batch are masked, found where the batch is made."""

from __future__ import annotations

from typing import Any

from fairseq.data import BaseWrapperDataset, FairseqDataset

MASKED = "masked"  # of a batch: Int64[masked], positions in its flattened tokens


class MaskedPositions(BaseWrapperDataset):
    """The same batches with :data:`MASKED`, whose length a GPU would have to be waited for.

    Args:
        dataset: makes batches with ``target``, padding wherever nothing is masked.
        padding: the padding's index.
    """

    def __init__(self, dataset: FairseqDataset, padding: int) -> None:
        super().__init__(dataset)
        self.padding = padding

    def collater(self, samples: list[Any]) -> dict[str, Any]:
        batch = super().collater(samples)
        if batch:  # fairseq evens out the devices' shards with empty ones
            batch[MASKED] = batch["target"].flatten().ne(self.padding).nonzero().squeeze(1)
        return batch
