"""Tokens without a position, such as a class token, among tokens that have one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lrpe.encodings.base import Encoding


def encode_with_free_tokens(
    encoding: Encoding, query: Tensor, key: Tensor, *, positions: Tensor | None, count: int
) -> tuple[Tensor, Tensor]:
    """Encode all but the first ``count`` tokens, so that these see the others, and are seen, independently of position.

    The score of two tokens with positions s and t is <M_s q, M_t k>, as always; as soon as one of the two has no
    position it is <q, k> (which is <P q, P k>, P being unitary). Leaving a token unencoded, M_0 = P, would not do: its
    scores <P q, Lambda^(t) P k> would be those of a token at position 0, so that a class token sat on the first patch
    and a model with one was no longer invariant to shifts.

    As inner products these scores take three blocks of features, of which each pair of tokens shares one:

    ============  =======  =====  =====
    query, free         0      0      q
    query, placed   M_s q      q      0
    key, free           0      k      k
    key, placed     M_t k      0      k
    ============  =======  =====  =====

    Args:
        query, key: Float[batch heads count+length head_dim]
        positions: of the last ``length`` tokens, as :meth:`lrpe.encodings.Encoding.forward` takes them.
        count: tokens without a position, at least 1.

    Returns:
        Float[batch heads count+length output_dim+2*head_dim] each; query and key as they are where nothing is encoded.

    Raises:
        ValueError: an encoding whose scores decay with a distance, which such a token does not have.
    """
    if encoding.log_decay is not None:
        raise ValueError("a token without a position has no distance, so no decay: use an encoding with decay off")
    if encoding.is_identity:
        return query, key
    placed_query, placed_key = encoding(query[:, :, count:], key[:, :, count:], positions=positions)
    rows, features = (0, 0, count, 0), query.shape[-1]
    free_query = F.pad(query[:, :, :count], (0, 0, 0, query.shape[2] - count))
    facing_free = F.pad(query[:, :, count:], rows)
    free_key = F.pad(key[:, :, :count], (0, 0, 0, key.shape[2] - count))
    query = torch.cat((F.pad(placed_query, rows), facing_free, free_query), dim=-1)
    key = torch.cat((F.pad(placed_key, rows), free_key, key), dim=-1)
    assert query.shape[-1] == encoding.output_dim + 2 * features
    return query, key
