"""Encoding of query and key by whichever back end is right for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from lrpe.ops.registry import case_of, resolve

if TYPE_CHECKING:
    from lrpe.encodings.base import Encoding


def encode(
    encoding: Encoding, query: Tensor, key: Tensor, *, positions: Tensor | None = None, offset: int = 0
) -> tuple[Tensor, Tensor]:
    """M_s q_s and M_t k_t: what ``encoding(query, key, ...)`` is; see :meth:`lrpe.encodings.Encoding.forward`.

    A back end with kernels asks the encoding for its ``kernel_layout`` and ``phases``; every other one, and this one
    for tensors that its kernels do not take, has it compute by operators.

    Raises:
        TypeError: query, key or positions have the wrong kind of dtype.
        ValueError: query, key or positions have the wrong shape.
        RuntimeError: the back end that is asked for cannot be had here.
    """
    encoding.check(query, "query")
    encoding.check(key, "key")
    layout = encoding.kernel_layout if query.shape == key.shape else None
    case = case_of("encode", query, key, key_dim=query.shape[-1], layout=layout)
    return resolve(case).encode(encoding, query, key, positions, offset)
