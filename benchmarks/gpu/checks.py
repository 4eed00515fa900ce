"""Every operator against the definition in float64 on fresh random inputs, gradients included."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.problems import DEVICE, encoding, heads_of
from lrpe import LRPE, backend, linear_attention
from lrpe.ops import fla
from lrpe.ops.registry import Case

# Relative to the largest element: some ten roundings to a dtype, because parts of a gradient cancel.
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 4e-2, torch.float16: 5e-3}
CORES = ("orthogonal", "unitary")
SHAPES = ((1000, 64), (513, 128), (130, 24)) if DEVICE == "cuda" else ((40, 16),)

Operator = Callable[[LRPE, list[Tensor]], tuple[Tensor, ...]]


def encode(module: LRPE, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return module(inputs[0], inputs[1], offset=7)


def attend(module: LRPE, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return (linear_attention(*inputs, log_decay=_decay(), denominator=True),)


def attend_encoded(module: LRPE, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Encoding and attention in one kernel; apart in float64, which has none."""
    query, key, value = inputs
    if value.dtype == torch.float64:
        return (linear_attention(*module(query, key, offset=7), value, log_decay=_decay()),)
    from lrpe.ops.triton.attention import attend

    return (attend(query, key, value, phases=module.phases(), offset=7, log_decay=_decay())[0],)


def _decay() -> Tensor:
    return torch.tensor([-0.01, -0.1], device=DEVICE)


OPERATORS: dict[str, Operator] = {
    "encode": encode,
    "attend": attend,
    "attend (fla)": attend,
    "encode and attend": attend_encoded,
}


def backend_of(name: str) -> str:
    """The back end of an operator's name."""
    return "fla" if name.endswith("(fla)") else "triton"


def can_check(name: str, dtype: torch.dtype) -> bool:
    """Whether the operator has a kernel of its own here: fla's run on a GPU, in half precision, where installed."""
    case = Case("attend", DEVICE, dtype, key_dim=SHAPES[0][1], value_dim=SHAPES[0][1])
    return backend_of(name) != "fla" or (fla.missing() is None and fla.takes(case))


def error(name: str, core: str, length: int, dim: int, dtype: torch.dtype) -> float:
    """Largest error of an operator's results and gradients, each relative to its largest element."""
    operator = OPERATORS[name]
    torch.manual_seed(0)
    module, inputs = encoding(core, dim, 2), heads_of(2, 2, length, (dim,) * 3, dtype)
    results = []
    for precise in (False, True):
        candidate = copy.deepcopy(module).double() if precise else module
        given = [(x.double() if precise else x).detach().requires_grad_() for x in inputs]
        with backend("definition" if precise else backend_of(name)):
            outputs = operator(candidate, given)
            # A sum: the gradients of a mean would underflow in float16.
            loss = sum((x.double() * torch.arange(x.shape[-1], device=DEVICE).cos()).sum() for x in outputs)
            gradients = torch.autograd.grad(loss, [*given, *candidate.parameters()], allow_unused=True)
        results.append([*outputs, *[x for x in gradients if x is not None]])
    return max(
        float((found.detach().double() - exact.detach()).abs().max() / exact.detach().abs().max())
        for found, exact in zip(*results, strict=True)
    )


def check() -> Iterator[dict[str, Any]]:
    """A row for every operator, core, shape and dtype: the error beside its bound."""
    for name, operator in OPERATORS.items():
        for core in CORES if operator is not attend else CORES[:1]:
            for length, dim in SHAPES:
                for dtype, bound in BOUNDS.items():
                    if not can_check(name, dtype):
                        continue
                    yield {
                        "operator": name,
                        "core": core,
                        "length": length,
                        "dim": dim,
                        "dtype": str(dtype).removeprefix("torch."),
                        "error": error(name, core, length, dim, dtype),
                        "bound": bound,
                    }
