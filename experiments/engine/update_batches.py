"""A data order that does not depend on how an update is divided.

fairseq shuffles batches of the size that fits a device, so another device count, or more accumulation, trains on other
batches in another order. Here the order is drawn over samples, an update's samples are the next ``samples_per_update``
of it, and only then are they divided among devices and passes. So a run's result is the same, up to the order of sums,
wherever it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fairseq.data import FairseqDataset, data_utils, iterators


class UpdateBatches:
    """Mix-in of a fairseq task: training batches are parts of updates; other splits are left to fairseq."""

    @property
    def samples_per_update(self) -> int:
        """Samples an update; 0 leaves the order to fairseq, as its own commands expect."""
        raise NotImplementedError

    def epoch_batches(self, samples: int, samples_per_pass: int, seed: int, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch of the training data; see :func:`update_batches`."""
        return update_batches(samples, self.samples_per_update, samples_per_pass, seed, epoch)

    def get_batch_iterator(
        self,
        dataset: FairseqDataset,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        *args: Any,
        **options: Any,
    ) -> iterators.EpochBatchIterating:
        whole = self.samples_per_update
        if not whole or not max_sentences or dataset is not self.datasets.get("train"):  # type: ignore[attr-defined]
            return super().get_batch_iterator(dataset, max_tokens, max_sentences, *args, **options)  # type: ignore[misc]
        cached = self.dataset_to_epoch_iter.get(dataset)  # type: ignore[attr-defined]
        if cached is not None and not options.get("disable_iterator_cache", False):
            return cached
        seed = options.get("seed", 1)

        def batches(data: FairseqDataset, epoch: int) -> list[np.ndarray]:
            return self.epoch_batches(len(data), max_sentences, seed, epoch)

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
        self.dataset_to_epoch_iter[dataset] = iterator  # type: ignore[attr-defined]
        return iterator


def update_batches(
    samples: int,
    samples_per_update: int,
    samples_per_pass: int,
    seed: int,
    epoch: int,
    lengths: np.ndarray | None = None,
) -> list[np.ndarray]:
    """The batches of an epoch: a random order of all samples, cut into updates, each cut into passes.

    With ``lengths``, an update's samples are put in order of length, the longest first, before it is cut into passes:
    those of a pass are then padded to nearly their own length. Which samples an update has does not change.

    fairseq deals the batches out to the devices in turn and groups each device's by ``update_freq``, so that, with
    devices x passes x samples_per_pass = samples_per_update, an update gets its own batches back. The last update of an
    epoch may be smaller.
    """
    with data_utils.numpy_seed(seed, epoch):
        order = np.random.permutation(samples)
    return divide(order, samples_per_update, samples_per_pass, lengths)


def divide(
    order: np.ndarray, samples_per_update: int, samples_per_pass: int, lengths: np.ndarray | None = None
) -> list[np.ndarray]:
    """Samples in an order, cut into updates, each, sorted by ``lengths`` where they are given, cut into passes."""
    updates = np.split(order, range(samples_per_update, len(order), samples_per_update))
    if lengths is not None:
        updates = [update[np.argsort(-lengths[update], kind="stable")] for update in updates]
    return [
        part for update in updates for part in np.split(update, range(samples_per_pass, len(update), samples_per_pass))
    ]
