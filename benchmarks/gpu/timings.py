"""Times in milliseconds: encoding, attention beside its peers, a layer at the paper's length, a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.peers import flash_softmax, linear_attentions
from benchmarks.gpu.problems import encoding, heads_of
from lrpe import DecoderConfig, DecoderLM, LinearAttention, backend, linear_attention
from lrpe.ops import fla

LENGTHS = (512, 2048, 4096, 16_384, 65_536)
SOFTMAX_LIMIT = 16_384  # tokens: beyond, its square would take most of the ten minutes
BATCH, HEADS = 8, 8
Row = dict[str, Any]


def measured(run: Callable[[], Any]) -> dict[str, float]:
    """Median, 20 and 80 % quantile."""
    import triton

    median, low, high = triton.testing.do_bench(run, quantiles=[0.5, 0.2, 0.8])
    return {"median_ms": median, "low_ms": low, "high_ms": high}


def both_ways(function: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], Any]:
    """Forward and backward."""
    gradient = torch.randn_like(function(*inputs))
    return lambda: torch.autograd.grad(function(*inputs), inputs, gradient)


def launches(run: Callable[[], Any]) -> int:
    """Kernels that the GPU was given, PyTorch's own included."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    return sum(event.count for event in seen.key_averages() if not event.key.startswith(("Memcpy", "Memset", "cuda")))


def timings() -> Iterator[Row]:
    """One row a measurement: what, shape, milliseconds."""
    yield from encoding_timings()
    for length in LENGTHS:
        for dim in (64, 128):
            yield from attention_timings(length, dim)
    yield from layer_timings()
    yield from step_timings()


def encoding_timings() -> Iterator[Row]:
    """Query and key encoded, beside a copy: bytes are read and written ones."""
    source = torch.empty(2**28, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    yield {"what": "copy", "bytes": 2 * source.nbytes, **measured(lambda: target.copy_(source))}
    batch, heads, dim = 16, 8, 64
    for length in (512, 4096):
        for core in ("orthogonal", "unitary"):
            module, (query, key) = (
                encoding(core, dim, heads),
                heads_of(batch, heads, length, (dim,) * 2, torch.bfloat16),
            )
            with torch.no_grad():
                row = measured(lambda module=module, query=query, key=key: module(query, key))
            moved = (query.nbytes + key.nbytes) * (2 if core == "orthogonal" else 3)
            shape = {"batch": batch, "heads": heads, "length": length, "dim": dim, "bytes": moved}
            yield {"what": f"encode, {core}", **shape, **row}


def attention_timings(length: int, dim: int) -> Iterator[Row]:
    """Forward and backward of ours, fused and apart, and of every peer, one shape."""
    from lrpe.ops.triton.attention import attend

    inputs = heads_of(BATCH, HEADS, length, (dim,) * 3, torch.bfloat16)
    log_decay = -torch.linspace(0.01, 0.1, HEADS, device="cuda")
    peers = linear_attentions(log_decay)
    cases: dict[str, Callable[..., Tensor]] = {
        "attention": linear_attention,
        "attention, decay": lambda q, k, v: linear_attention(q, k, v, log_decay=log_decay),
        **peers,
    }
    if length <= SOFTMAX_LIMIT:
        cases["flash softmax"] = flash_softmax
    for core in ("orthogonal", "unitary"):
        module = encoding(core, dim, HEADS)
        cases[f"{core} fused"] = lambda q, k, v, m=module: attend(q, k, v, phases=m.phases())[0]
        cases[f"{core}, encode then attend"] = lambda q, k, v, m=module: linear_attention(*m(q, k), v)
        if peers:
            plain = peers["fla chunk_linear_attn"]
            cases[f"{core}, encode then fla"] = lambda q, k, v, m=module, p=plain: p(*m(q, k), v)
    shape = {"batch": BATCH, "heads": HEADS, "length": length, "dim": dim}
    for name, case in cases.items():
        run = both_ways(case, *inputs)
        row = {"what": name, **shape, **measured(run)}
        yield {**row, "launches": launches(run)} if length == LENGTHS[0] else row


def layer_timings() -> Iterator[Row]:
    """A layer forward and backward at length 512, in each backend."""
    layer = LinearAttention(512, 8, encoding=encoding("orthogonal", 64, 8), normalizer="layernorm")
    layer = layer.to("cuda", torch.bfloat16)
    x = torch.randn(16, 512, 512, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    run = both_ways(layer, x)
    for name in ("triton", *(["fla"] if fla.missing() is None else []), "torch", "definition"):
        with backend(name):
            shape = {"batch": 16, "heads": 8, "length": 512, "dim": 64}
            yield {"what": f"layer ({name})", **shape, **measured(run), "launches": launches(run)}


def step_timings() -> Iterator[Row]:
    """A training step of the base language model without its optimizer, in each backend."""
    options = {"name": "lrpe", "core": "orthogonal", "projection": "householder", "learn_angles": True, "seed": 0}
    model = DecoderLM(DecoderConfig.base(50_264, encoding=options)).cuda()
    tokens = torch.randint(4, 50_264, (16, 512), device="cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())
        loss.backward()
        model.zero_grad(set_to_none=True)

    for name in ("triton", *(["fla"] if fla.missing() is None else []), "torch", "definition"):
        with backend(name):
            yield {"what": f"training step ({name})", "batch": 16, "length": 511, **measured(step)}
