"""Time of the next token after contexts of 100 to 100,000 tokens: linear attention beside softmax with a cache."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.measure import Case, compare
from lrpe import DecoderConfig, DecoderLM
from lrpe.models.decoder_lm import DecoderState

CONTEXTS = (100, 1_000, 10_000, 100_000)
SMALL = {"num_layers": 2, "embed_dim": 128, "ffn_dim": 512, "num_heads": 4}


def next_token(attention: str, context: int) -> Case:
    """One step of a two-layer decoder in the state that ``context`` tokens leave (drawn, not computed: sizes count)."""
    encoding = {"name": "lrpe", "core": "orthogonal", "projection": "householder", "seed": 0}
    model = DecoderLM(DecoderConfig(1000, attention=attention, encoding=encoding, **SMALL)).eval()
    token = torch.zeros(1, 1, dtype=torch.int64)
    with torch.no_grad():
        _, state = model.extend(token)
    layers = []
    for layer in state.layers:
        if attention == "softmax":
            layer = type(layer)(*(torch.randn(1, 4, context, 32) for _ in range(2)))
        else:
            layer = type(layer)(layer.key_value, layer.key_sum, context)
        layers.append(layer)
    state = DecoderState(tuple(layers), context)

    def run() -> None:
        with torch.no_grad():
            for _ in range(10):
                model.extend(token, state)

    return run


def measure() -> list[dict[str, Any]]:
    torch.manual_seed(0)
    results = []
    for attention in ("linear", "softmax"):
        cases = {f"after {context:,} tokens": next_token(attention, context) for context in CONTEXTS}
        title = f"Ten steps of generation, {attention} attention"
        results.append(compare(title, cases, reference="after 100 tokens", rounds=7))
    return results
