"""Adaptive input and adaptive softmax with tied weights: rare words have narrow embeddings (Baevski & Auli 2019)."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REDUCTION = 4  # a band's embeddings are this many times narrower than those of the band before


def bands(vocab_size: int, cutoffs: tuple[int, ...]) -> list[tuple[int, int]]:
    """[first, last) word of each band; words are sorted by falling frequency.

    Raises:
        ValueError: cutoffs that do not rise strictly within the vocabulary.
    """
    edges = [0, *cutoffs, vocab_size]
    if len(cutoffs) == 0 or any(left >= right for left, right in pairwise(edges)):
        raise ValueError(f"adaptive cutoffs {list(cutoffs)} do not rise strictly below the vocabulary of {vocab_size}")
    return list(pairwise(edges))


class AdaptiveInput(nn.Module):
    """Embedding of word w of band i: P_i E_i[w], E_i of width embed_dim / 4^i, P_i to embed_dim, without bias.

    Args:
        vocab_size, padding_index, embed_dim: sizes.
        cutoffs: first words of the second, third, ... band.
    """

    def __init__(self, vocab_size: int, padding_index: int | None, embed_dim: int, cutoffs: tuple[int, ...]) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.bands = bands(vocab_size, cutoffs)
        self.embeddings = nn.ModuleList()
        self.projections = nn.ModuleList()
        for index, (first, last) in enumerate(self.bands):
            width = embed_dim // REDUCTION**index
            if width < 1:
                raise ValueError(f"embed_dim={embed_dim} is too narrow for {len(self.bands)} bands")
            padding = padding_index if padding_index is not None and first <= padding_index < last else None
            table = nn.Embedding(last - first, width, padding_idx=None if padding is None else padding - first)
            nn.init.normal_(table.weight, std=width**-0.5)
            if padding is not None:
                nn.init.zeros_(table.weight[padding - first])
            projection = nn.Linear(width, embed_dim, bias=False)
            nn.init.xavier_uniform_(projection.weight)
            self.embeddings.append(table)
            self.projections.append(projection)

    def forward(self, tokens: Tensor) -> Tensor:
        """Int ``(batch, length)`` -> ``(batch, length, embed_dim)``."""
        weight = cast(nn.Linear, self.projections[0]).weight
        out = weight.new_zeros(*tokens.shape, self.embed_dim)
        for (first, last), table, projection in zip(self.bands, self.embeddings, self.projections, strict=True):
            chosen = (tokens >= first) & (tokens < last)
            out[chosen] = projection(table(tokens[chosen] - first)).to(out.dtype)
        return out


class AdaptiveSoftmax(nn.Module):
    """log p(w) = log p_head(w), or log p_head(band i) + log p_i(w | band i); tables and projections are the input's.

    The head's logits are E_0 x: its table is as wide as the model, and fairseq's adaptive softmax projects only where
    widths differ, so the input's first projection P_0 serves the input alone. Band i > 0 has logits E_i P_i^T x. The
    members are those that fairseq's ``adaptive_loss`` and scorer call.

    Args:
        input_embedding: whose tables and projections are shared.
        dropout: of the tails' projected features.
    """

    def __init__(self, input_embedding: AdaptiveInput, dropout: float) -> None:
        super().__init__()
        self.bands = input_embedding.bands
        self.vocab_size = self.bands[-1][1]
        self.tables = input_embedding.embeddings
        self.projections = input_embedding.projections
        self.tails = len(self.bands) - 1
        self.class_projection = nn.Linear(input_embedding.embed_dim, self.tails, bias=False)
        nn.init.xavier_uniform_(self.class_projection.weight)
        self.dropout = nn.Dropout(dropout)

    def adapt_target(self, target: Tensor) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Targets ``(tokens,)`` split up: for each band those that belong to it (their word in the band; in the head,
        tail bands count as its last words), and for tails the rows that they are."""
        head = target.clone()
        targets: list[Tensor | None] = [head]
        rows: list[Tensor | None] = [None]
        size = self.bands[0][1]
        for index, (first, last) in enumerate(self.bands[1:]):
            inside = (target >= first) & (target < last)
            head[inside] = size + index
            chosen = inside.nonzero().squeeze(1)
            rows.append(chosen if len(chosen) else None)
            targets.append(target[chosen] - first if len(chosen) else None)
        return targets, rows

    def forward(self, x: Tensor, target: Tensor) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Logits and targets a band, for a loss: x ``(batch, length, embed_dim)``, target ``(batch x length,)``."""
        x = x.reshape(-1, x.shape[-1])
        targets, rows = self.adapt_target(target.reshape(-1))
        outputs: list[Tensor | None] = [self._head(x)]
        for index, chosen in enumerate(rows[1:], start=1):
            outputs.append(None if chosen is None else self._tail(x.index_select(0, chosen), index))
        return outputs, targets

    def get_log_prob(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """log p of every word, ``(batch, length, vocabulary)``; ``target``, with which fairseq lets a caller skip
        tails, is not needed."""
        shape = x.shape[:-1]
        x = x.reshape(-1, x.shape[-1])
        work = torch.promote_types(x.dtype, torch.float32)
        head = F.log_softmax(self._head(x).to(work), dim=-1)
        size = self.bands[0][1]
        parts = [head[:, :size]]
        for index in range(1, len(self.bands)):
            tail = F.log_softmax(self._tail(x, index).to(work), dim=-1)
            parts.append(tail + head[:, size + index - 1, None])
        return torch.cat(parts, dim=-1).view(*shape, self.vocab_size)

    def _head(self, x: Tensor) -> Tensor:
        words = F.linear(x, self._table(0))
        return torch.cat([words, self.class_projection(x)], dim=-1)

    def _tail(self, x: Tensor, index: int) -> Tensor:
        narrow = self.dropout(F.linear(x, cast(nn.Linear, self.projections[index]).weight.T))
        return F.linear(narrow, self._table(index))

    def _table(self, index: int) -> Tensor:
        return cast(nn.Embedding, self.tables[index]).weight
