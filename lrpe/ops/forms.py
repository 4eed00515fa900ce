"""The weighted sum in three forms of one function: the definition, in chunks, one token at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from lrpe.ops import chunked, definition, recurrent
from lrpe.ops.fraction import WeightedSum

FORMS = ("auto", "definition", "chunked", "recurrent")


def weighted_sum_of(form: str, causal: bool, chunk_size: int) -> WeightedSum:
    """The weighted sum in a form of :data:`FORMS`; ``auto`` is recurrent for one token, else chunked."""

    def both_ways(
        query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        return _bidirectional(query, key, value, log_decay, form, chunk_size), None

    def past(
        query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if form == "chunked" or (form == "auto" and query.shape[-2] > 1):
            return chunked.weighted_sum(query, key, value, log_decay, state, chunk_size)
        if form != "definition" or state is not None:
            if state is None:
                state = query.new_zeros(*query.shape[:2], query.shape[-1], value.shape[-1])
            return recurrent.weighted_sum(query, key, value, log_decay, state)
        out = definition.weighted_sum(query, key, value, log_decay, causal=True)
        return out, _end_state(key, value, log_decay)

    return past if causal else both_ways


def _end_state(key: Tensor, value: Tensor, log_decay: Tensor | None) -> Tensor:
    if log_decay is not None:
        ahead = torch.arange(key.shape[-2] - 1, -1, -1, device=key.device)
        key = key * torch.exp(log_decay[:, None] * ahead)[..., None]
    return key.mT @ value


def _bidirectional(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, form: str, chunk_size: int
) -> Tensor:
    if form in ("definition", "recurrent"):
        return definition.weighted_sum(query, key, value, log_decay, causal=False)
    if log_decay is None:
        return query @ (key.mT @ value)
    past, _ = chunked.weighted_sum(query, key, value, log_decay, None, chunk_size)
    mirrored = query.flip(-2), key.flip(-2), value.flip(-2)
    future, _ = chunked.weighted_sum(*mirrored, log_decay, None, chunk_size)
    present = (query * key).sum(-1, keepdim=True) * value
    return past + future.flip(-2) - present
