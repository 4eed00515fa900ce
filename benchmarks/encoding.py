"""Encoding query and key (batch 16, 8 heads, 64 features) beside a copy, the formula op by op, and other libraries."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.measure import Case, compare
from experiments.engine.patches import import_torchvision
from lrpe import LRPE

SHAPE = {"batch": 16, "heads": 8, "head_dim": 64}
ENCODINGS = {
    "orthogonal, Householder, learned angles": ("orthogonal", "householder"),
    "orthogonal (RoPE)": ("orthogonal", "identity"),
    "unitary, Householder, learned angles": ("unitary", "householder"),
    "permutation": ("permutation", "identity"),
}


def op_by_op(x: Tensor, theta: Tensor, vector: Tensor) -> Tensor:
    """The orthogonal encoding with Householder as it is written down: the matrix P, then each rotation's two rows."""
    unit = vector / vector.norm()
    x = x @ (torch.eye(len(unit)) - 2 * torch.outer(unit, unit)).T
    angle = torch.arange(x.shape[-2])[:, None] * theta
    cosine, sine = angle.cos().repeat_interleave(2, -1), angle.sin().repeat_interleave(2, -1)
    turned = torch.stack((-x[..., 1::2], x[..., 0::2]), dim=-1).flatten(-2)
    return x * cosine + turned * sine


def peers(query: Tensor, key: Tensor) -> tuple[dict[str, Case], list[str]]:
    """Rotary embeddings of other libraries on the same tensors, and which are not installed."""
    found: dict[str, Case] = {}
    absent = []
    try:
        from rotary_embedding_torch import RotaryEmbedding

        rotary = RotaryEmbedding(dim=query.shape[-1])
        found["rotary-embedding-torch"] = lambda: (
            rotary.rotate_queries_or_keys(query),
            rotary.rotate_queries_or_keys(key),
        )
    except ImportError:
        absent.append("rotary-embedding-torch")
    try:
        import transformers.utils

        # It imports what is installed beside it: PyPI's CUDA builds, which fairseq and timm ask for.
        import_torchvision()
        with patch.object(transformers.utils, "is_torchaudio_available", return_value=False):
            from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

        angle = torch.arange(query.shape[-2])[:, None] * 10000 ** (-torch.arange(32) / 32)
        angle = torch.cat((angle, angle), -1)[None]
        cosine, sine = angle.cos(), angle.sin()
        found["transformers (Llama), table given"] = lambda: apply_rotary_pos_emb(query, key, cosine, sine)
    except ImportError:
        absent.append("transformers")
    return found, absent


def measure() -> list[dict[str, Any]]:
    torch.manual_seed(0)
    results = []
    for length in (512, 4096):
        shape = (SHAPE["batch"], SHAPE["heads"], length, SHAPE["head_dim"])
        query, key = torch.randn(shape), torch.randn(shape)
        encodings = {
            name: LRPE(64, 8, core=core, projection=projection, learn_angles="learned" in name, seed=0)
            for name, (core, projection) in ENCODINGS.items()
        }
        theta = (10000 ** (-torch.arange(32) / 32)).requires_grad_()
        vector = torch.randn(64)
        others, absent = peers(query, key)
        note = f"not installed: {', '.join(absent)}" if absent else ""

        def formula(theta: Tensor = theta, vector: Tensor = vector, q: Tensor = query, k: Tensor = key) -> Any:
            return op_by_op(q, theta, vector), op_by_op(k, theta, vector)

        compiled = torch.compile(formula, dynamic=False)

        def forward(case: Case) -> Case:
            return torch.no_grad()(case)

        cases: dict[str, Case] = {"copy": lambda q=query, k=key: (q.clone(), k.clone())}
        cases |= {name: forward(lambda e=e, q=query, k=key: e(q, k)) for name, e in encodings.items()}
        cases |= {name: forward(case) for name, case in others.items()}
        cases["op by op, orthogonal, Householder"] = forward(formula)
        cases["the same, torch.compile"] = forward(compiled)
        title = f"Encoding q and k, length {length}, forward"
        results.append(compare(title, cases, reference="copy", rounds=9 if length == 512 else 5, note=note))
        query.requires_grad_()
        key.requires_grad_()

        def both_ways(case: Any, q: Tensor = query, k: Tensor = key) -> Case:
            def run() -> None:
                torch.autograd.backward(outputs := case(), [x.detach() for x in outputs])
                q.grad = k.grad = None

            return run

        cases = {
            "op by op, orthogonal, Householder": both_ways(formula),
            "the same, torch.compile": both_ways(compiled),
        }
        cases |= {name: both_ways(lambda e=e, q=query, k=key: e(q, k)) for name, e in encodings.items()}
        title = f"Encoding q and k, length {length}, forward and backward"
        results.append(compare(title, cases, reference="op by op, orthogonal, Householder", rounds=5))
    return results
