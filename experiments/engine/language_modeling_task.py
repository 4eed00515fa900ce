"""fairseq's language modelling with a data order that does not depend on how an update is divided.

fairseq shuffles batches of the size that fits a device, so another device count, or more accumulation, trains on other
batches in another order. Here the order is drawn over sequences, an update's sequences are the next
``batch_sequences`` of it, and only then are they divided among devices and passes. So a run's result is the same, up
to the order of sums, wherever it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fairseq.data import FairseqDataset, data_utils, iterators
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask


@dataclass
class LRPELanguageModelingConfig(LanguageModelingConfig):
    batch_sequences: int = field(default=0, metadata={"help": "sequences an update; 0: fairseq's own order"})


@register_task("lrpe_language_modeling", dataclass=LRPELanguageModelingConfig)
class LRPELanguageModelingTask(LanguageModelingTask):
    """``language_modeling`` whose training batches are parts of updates."""

    def get_batch_iterator(
        self,
        dataset: FairseqDataset,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        *args: Any,
        **options: Any,
    ) -> iterators.EpochBatchIterating:
        batch_sequences = self.args.batch_sequences
        if not batch_sequences or not max_sentences or dataset is not self.datasets.get("train"):
            return super().get_batch_iterator(dataset, max_tokens, max_sentences, *args, **options)
        cached = self.dataset_to_epoch_iter.get(dataset)
        if cached is not None and not options.get("disable_iterator_cache", False):
            return cached
        seed = options.get("seed", 1)

        def batches(data: FairseqDataset, epoch: int) -> list[np.ndarray]:
            return update_batches(len(data), batch_sequences, max_sentences, seed, epoch)

        iterator = iterators.EpochBatchIterator(
            dataset=dataset,
            collate_fn=dataset.collater,
            batch_sampler=batches,
            seed=seed,
            num_shards=options.get("num_shards", 1),
            shard_id=options.get("shard_id", 0),
            num_workers=options.get("num_workers", 0),
            epoch=options.get("epoch", 1),
            buffer_size=options.get("data_buffer_size", 0),
            disable_shuffling=True,  # the sampler has shuffled
        )
        self.dataset_to_epoch_iter[dataset] = iterator
        return iterator


def update_batches(
    sequences: int, batch_sequences: int, sequences_a_pass: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """The batches of an epoch: a random order of all sequences, cut into updates, each cut into passes.

    fairseq deals the batches out to the devices in turn and groups each device's by ``update_freq``, so that, with
    devices x passes x sequences_a_pass = batch_sequences, an update gets its own batches back. The last update of an
    epoch may be smaller.
    """
    with data_utils.numpy_seed(seed, epoch):
        order = np.random.permutation(sequences)
    updates = np.split(order, range(batch_sequences, sequences, batch_sequences))
    return [
        part for update in updates for part in np.split(update, range(sequences_a_pass, len(update), sequences_a_pass))
    ]
