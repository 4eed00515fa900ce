"""The back ends, registered in the order in which a default is looked for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lrpe.ops import fla
from lrpe.ops.forms import weighted_sum_of
from lrpe.ops.fraction import attend, sum_dtype
from lrpe.ops.native.build import DEFINITIONS, CannotBuildError, load
from lrpe.ops.problem import AttentionProblem
from lrpe.ops.registry import MAX_KERNEL_DIM, Backend, Case, interprets, register_backend
from lrpe.ops.state import LinearAttentionState

if TYPE_CHECKING:
    from lrpe.encodings.base import Encoding

HAS_TRITON = find_spec("triton") is not None
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@register_backend
class Definition(Backend):
    """Everything as it is written down. Under torch.compile it is the default of rotations, which Inductor fuses."""

    name = "definition"

    def takes(self, case: Case) -> bool:
        return True

    def is_default(self, case: Case) -> bool:
        return case.operation == "rotate" and case.compiling

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
    ) -> tuple[Tensor, LinearAttentionState | None]:
        form = "definition" if problem.form == "auto" else problem.form
        weighted_sum = weighted_sum_of(form, problem.causal, problem.chunk_size)
        return attend(query, key, value, problem, weighted_sum, work=sum_dtype(value.dtype))


@register_backend
class Fla(Backend):
    """flash-linear-attention's kernels."""

    name = "fla"

    def missing(self, case: Case) -> str | None:
        return fla.missing()

    def takes(self, case: Case) -> bool:
        return case.operation == "attend" and fla.takes(case)

    def is_default(self, case: Case) -> bool:
        return True

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
    ) -> tuple[Tensor, LinearAttentionState | None]:
        return fla.attend(query, key, value, problem)


@register_backend
class Native(Backend):
    """Rotations by C code."""

    name = "native"

    def missing(self, case: Case) -> str | None:
        if not self.takes(case) or case.dtype is None:
            return None
        try:
            load(case.dtype)
        except CannotBuildError as error:
            return str(error)
        return None

    def takes(self, case: Case) -> bool:
        return case.operation == "rotate" and case.device == "cpu" and case.in_memory and case.dtype in DEFINITIONS

    def is_default(self, case: Case) -> bool:
        return True


@register_backend
class Torch(Backend):
    """PyTorch's operators."""

    name = "torch"

    def takes(self, case: Case) -> bool:
        return case.operation != "rotate" or not case.compiling

    def is_default(self, case: Case) -> bool:
        return True

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
    ) -> tuple[Tensor, LinearAttentionState | None]:
        weighted_sum = weighted_sum_of(problem.form, problem.causal, problem.chunk_size)
        return attend(query, key, value, problem, weighted_sum, work=sum_dtype(value.dtype))


@register_backend
class Triton(Backend):
    """This library's kernels."""

    name = "triton"

    def missing(self, case: Case) -> str | None:
        return None if HAS_TRITON else "Triton is not installed (pip install triton)"

    def takes(self, case: Case) -> bool:
        on_device = case.device == "cuda" or (case.device == "cpu" and interprets())
        if not on_device or case.dtype not in TRITON_DTYPES:
            return False
        if case.operation == "encode":
            return case.layout is not None and case.key_dim <= MAX_KERNEL_DIM
        if case.operation != "attend" or not case.causal or case.own_denominator:
            return False
        widest = MAX_KERNEL_DIM if case.layout is not None else 2 * MAX_KERNEL_DIM  # the unitary core doubles
        return case.key_dim <= widest and case.value_dim <= MAX_KERNEL_DIM

    def is_default(self, case: Case) -> bool:
        return False

    def fuses(self, case: Case) -> bool:
        return case.layout is not None

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
    ) -> tuple[Tensor, LinearAttentionState | None]:
        from lrpe.ops.triton.attention import attend as attend_in_kernel

        if problem.denominator:
            problem.key_sum()  # refuses a state without one
        return attend_in_kernel(
            query, key, value, phases=None if problem.encoding is None else problem.encoding.phases(),
            offset=problem.offset, log_decay=problem.log_decay, denominator=problem.denominator, eps=problem.eps,
            clamped=problem.clamped, key_padding_mask=problem.key_padding_mask, state=problem.state,
            return_state=problem.return_state,
        )  # fmt: skip

    def encode(
        self, encoding: Encoding, query: Tensor, key: Tensor, positions: Tensor | None, offset: int
    ) -> tuple[Tensor, Tensor]:
        from lrpe.ops.triton.encode import encode

        phases = encoding.phases()
        assert phases is not None
        coordinates = None
        if positions is not None or encoding.ndim > 1 or not isinstance(offset, int):
            coordinates = encoding.coordinates(query, positions, offset)
        return encode(query, key, phases, coordinates, offset)
