"""Compile the kernels for a Hopper GPU on a machine without one: `python -m tests.lrpe.ops.triton.aot CASES`.

A process of its own, without TRITON_INTERPRET: the interpreter hides what the compiler refuses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.pop("TRITON_INTERPRET", None)

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lrpe.encodings import LRPE
from lrpe.ops.triton import attention, encode
from lrpe.ops.triton.launch import Kernel

POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.uint8: "*u8"}


def _signature(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return POINTERS.get(value.dtype, "*i64")
    if isinstance(value, tuple):
        return tuple(_signature(item) for item in value)
    return "fp32" if isinstance(value, float) else "i32"


def compile_call(kernel: Kernel, arguments: dict[str, Any], config: triton.Config) -> dict[str, Any]:
    """Registers a thread, its stack (what is spilled) and shared memory, in bytes, for compute capability 9.0."""
    chunk, warps = config.kwargs["CHUNK"], config.num_warps
    names = kernel.function.arg_names
    constants = {name: value for name, value in {**arguments, "CHUNK": chunk}.items() if name.isupper()}
    signature = {name: "constexpr" if name in constants else _signature(arguments[name]) for name in names}
    # tensors and the strides that matter are multiples of 16, as those of head dimensions of 16 and more are
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in names if str(signature[name])[0] == "*"}
    for name in names:
        if isinstance(signature[name], tuple):
            attributes |= {(names.index(name), i): [["tt.divisibility", 16]] for i in range(len(signature[name]))}
    source = ASTSource(fn=kernel.function, signature=signature, constexprs=constants, attrs=attributes)
    built = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "num_stages": config.num_stages}
    )
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(built.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        report = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True).stdout
    usage = {name.lower(): int(number) for name, number in re.findall(r"(REG|STACK):(\d+)", report)}
    return {"kernel": kernel.name, "warps": warps, "chunk": chunk, "shared": built.metadata.shared, **usage}


def specialized(kernel: Kernel) -> list[str]:
    """Arguments that change from call to call, but for each kind of value of which Triton would compile again."""
    changing = {"length", "offset", "segment", "segments", "position_stride"}
    return [x.name for x in kernel.function.params if x.name in changing and not x.do_not_specialize]


def calls(core: str, head_dim: int, dtype: torch.dtype) -> list[tuple[Kernel, dict[str, Any]]]:
    """The arguments with which a layer's forward and backward call each kernel, segments included."""
    recorded: list[tuple[Kernel, dict[str, Any]]] = []
    query, key, value = (torch.randn(1, 2, 256, head_dim, dtype=dtype, requires_grad=True) for _ in range(3))
    phases = None
    with mock.patch.object(Kernel, "__call__", lambda kernel, grid, **given: recorded.append((kernel, given))):
        if core != "plain":
            encoding = LRPE(
                head_dim, 2, core=core, projection="householder", learn_angles=True, learn_projection=True, seed=0
            )
            phases = encoding.phases()
            first, second = encode.encode(query, key, phases, None, 0)
            (first.float().sum() + second.float().sum()).backward()
        out, _ = attention.attend(
            query, key, value, phases=phases, log_decay=torch.zeros(2), denominator=True, segment=128
        )
        out.float().sum().backward()
    return recorded


def main() -> None:
    """Arguments: a JSON list of [core, head_dim, dtype, "largest" or "all" of the configurations to choose from]."""
    for core, head_dim, dtype, which in json.loads(sys.argv[1]):
        for kernel, arguments in calls(core, head_dim, getattr(torch, dtype)):
            row = {"core": core, "head_dim": head_dim, "dtype": dtype, "backward": arguments.get("BACKWARD")}
            row["specialized"] = specialized(kernel)
            for config in kernel.choices(arguments)[-1 if which == "largest" else 0 :]:
                print(json.dumps({**row, **compile_call(kernel, arguments, config)}), flush=True)


if __name__ == "__main__":
    main()
