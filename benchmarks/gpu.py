"""Check the kernels against float64 and time them, in one call: a machine with a CUDA GPU, under ten minutes.

    python -m benchmarks.gpu [--output DIR]    # checks, times, writes gpu.json and gpu.md
    python -m benchmarks.gpu --check           # the checks alone; without a GPU in Triton's interpreter, small

Times are medians of triton.testing.do_bench with their 20 and 80 % quantiles. Peers run where they are installed (fla).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("LRPE_BACKEND", "triton")

import torch.nn.functional as F
from torch import Tensor

from lrpe import LRPE, DecoderConfig, DecoderLM, LinearAttention, linear_attention

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}  # relative to the largest element


def encoding(core: str, head_dim: int, heads: int) -> LRPE:
    """As learned as it can be: Householder and angles."""
    return LRPE(head_dim, heads, core=core, projection="householder", learn_angles=True, learn_projection=True, seed=0)


def check() -> list[dict[str, Any]]:
    """Largest error of outputs and gradients of a fused layer, relative to the largest element, each with its bound."""
    rows = []
    length = 1000 if DEVICE == "cuda" else 40
    for core in ("orthogonal", "unitary"):
        for dtype, bound in BOUNDS.items():
            torch.manual_seed(0)
            inputs = [torch.rand(2, length, 2, 16, device=DEVICE, dtype=dtype).transpose(1, 2) for _ in range(3)]
            results = []
            for precise in (False, True):
                encode = encoding(core, 16, 2).to(DEVICE)
                given = [(x.double() if precise else x).detach().requires_grad_() for x in inputs]
                query, key = (encode.double() if precise else encode)(given[0], given[1])
                out = linear_attention(query, key, given[2], log_decay=torch.tensor([-0.01, -0.1], device=DEVICE))
                results.append([out, *torch.autograd.grad(out.double().mean(), given)])
            error = max(
                float((found.double() - exact).abs().max() / exact.abs().max())
                for found, exact in zip(*[[x.detach() for x in part] for part in results], strict=True)
            )
            rows.append({"core": core, "dtype": str(dtype).removeprefix("torch."), "error": error, "bound": bound})
    return rows


def measured(run: Callable[[], Any]) -> dict[str, float]:
    import triton

    median, low, high = triton.testing.do_bench(run, quantiles=[0.5, 0.2, 0.8])
    return {"median_ms": median, "low_ms": low, "high_ms": high}


def both_ways(function: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], Any]:
    """Forward and backward."""
    gradient = torch.randn_like(function(*inputs))
    return lambda: torch.autograd.grad(function(*inputs), inputs, gradient)


def with_backend(name: str, run: Callable[[], Any]) -> Callable[[], Any]:
    def forced() -> Any:
        os.environ["LRPE_BACKEND"] = name
        try:
            return run()
        finally:
            os.environ["LRPE_BACKEND"] = "triton"

    return forced


def heads_of(batch: int, heads: int, length: int, dim: int, count: int) -> list[Tensor]:
    options = {"device": "cuda", "dtype": torch.bfloat16}
    return [torch.rand(batch, length, heads, dim, **options).transpose(1, 2).requires_grad_() for _ in range(count)]


def timings() -> Iterator[dict[str, Any]]:
    """One row a measurement: what, shape, milliseconds."""
    source = torch.empty(2**28, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    yield {"what": "copy of 512 MiB", **measured(lambda: target.copy_(source))}
    for core in ("orthogonal", "unitary"):
        encode, (query, key) = encoding(core, 64, 8).cuda(), heads_of(16, 8, 4096, 64, 2)
        with torch.no_grad():
            row = measured(lambda encode=encode, query=query, key=key: encode(query, key))
        yield {"what": f"encode {core}, forward", "bytes": 2 * query.nbytes * (2 if core == "orthogonal" else 3), **row}
    for length in (512, 2048, 4096, 16_384, 65_536):
        for dim in (64, 128):
            yield from attention_timings(length, dim)
    yield from step_timings()


def attention_timings(length: int, dim: int) -> Iterator[dict[str, Any]]:
    query, key, value = heads_of(8, 8, length, dim, 3)
    shape = {"batch": 8, "heads": 8, "length": length, "dim": dim, "pass": "forward and backward"}
    yield {"what": "attention", **shape, **measured(both_ways(linear_attention, query, key, value))}
    if length <= 16_384:
        softmax = both_ways(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), query, key, value)
        yield {"what": "softmax attention (torch)", **shape, **measured(softmax)}
    from lrpe.ops.triton.attention import attend

    for core in ("orthogonal", "unitary"):
        encode = encoding(core, dim, 8).cuda()
        fused = both_ways(lambda q, k, v, e=encode: attend(q, k, v, phases=e.phases())[0], query, key, value)
        apart = both_ways(lambda q, k, v, e=encode: linear_attention(*e(q, k), v), query, key, value)
        yield {"what": f"{core} fused", **shape, **measured(fused)}
        yield {"what": f"{core}, encode then attend", **shape, **measured(apart)}
    try:
        from fla.ops.linear_attn import chunk_linear_attn
    except ImportError:
        return
    peer = both_ways(
        lambda q, k, v: chunk_linear_attn(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=1.0, normalize=False
        )[0],
        query, key, value,
    )  # fmt: skip
    yield {"what": "fla chunk_linear_attn", **shape, **measured(peer)}


def step_timings() -> Iterator[dict[str, Any]]:
    """A layer at the paper's length, and a training step of the base language model, in each backend."""
    layer = LinearAttention(512, 8, encoding=encoding("orthogonal", 64, 8), normaliser="layernorm")
    layer = layer.to("cuda", torch.bfloat16)
    x = torch.randn(16, 512, 512, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    options = {"name": "lrpe", "core": "orthogonal", "projection": "householder", "learn_angles": True, "seed": 0}
    model = DecoderLM(DecoderConfig.base(50_264, encoding=options)).cuda()
    tokens = torch.randint(4, 50_264, (16, 512), device="cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())
        loss.backward()
        model.zero_grad(set_to_none=True)

    for backend in ("triton", "torch", "definition"):
        yield {"what": f"layer, length 512 ({backend})", **measured(with_backend(backend, both_ways(layer, x)))}
        yield {"what": f"training step of the base model ({backend})", **measured(with_backend(backend, step))}


def markdown(report: dict[str, Any]) -> str:
    lines = [
        f"# {report['device']}, torch {report['torch']}",
        "",
        "| | shape | median ms | 20 to 80 % |",
        "|---|---|--:|--:|",
    ]
    for row in report["times"]:
        shape = ", ".join(f"{key} {row[key]}" for key in ("batch", "heads", "length", "dim") if key in row)
        lines.append(
            f"| {row['what']} | {shape} | {row['median_ms']:.3f} | {row['low_ms']:.3f} to {row['high_ms']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="correctness alone")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder of gpu.json and gpu.md")
    given = parser.parse_args()
    if DEVICE == "cpu" and not given.check:
        print("error: timing needs a CUDA GPU, and torch finds none; --check runs the checks alone", file=sys.stderr)
        return 2
    checks = check()
    for row in checks:
        print(f"{row['core']:12} {row['dtype']:9} error {row['error']:.1e}, bound {row['bound']:.0e}", flush=True)
    if any(row["error"] > row["bound"] for row in checks):
        print("error: a kernel is off its bound", file=sys.stderr)
        return 1
    if given.check:
        return 0
    times = []
    for row in timings():
        times.append(row)
        print(json.dumps(row), flush=True)
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "checks": checks, "times": times}
    (given.output / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (given.output / "gpu.md").write_text(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
