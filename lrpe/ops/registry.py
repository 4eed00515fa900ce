"""The registry of compute back ends, and which of them computes a case.

- ``definition``: the formulas as they are written down: quadratic attention, and encodings operator by operator with
  the gradients that autograd finds.
- ``fla``: causal attention by flash-linear-attention's kernels (:mod:`lrpe.ops.fla`); the default on a CUDA device
  where the package is installed.
- ``native``: on a CPU, C code rotates query and key (:mod:`lrpe.ops.native`); the default there if it can be built.
- ``torch``: PyTorch's operators in their fastest arrangement; the default for all that is left.
- ``triton``: the kernels of :mod:`lrpe.ops.triton`, on a CPU under Triton's interpreter (TRITON_INTERPRET=1).
  Experimental and never chosen unasked, because none has run on a GPU yet; ``python -m benchmarks.gpu`` checks and
  times them there.

Asked for is a back end by the environment variable LRPE_BACKEND, read once when this module is imported, or by ``with
lrpe.backend("definition"):``. What it does not take is computed by ``torch`` with the same result. A choice is made
once for each :class:`Case`, that is for each operation, device, dtype and class of shapes.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from lrpe.validation import check_choice

if TYPE_CHECKING:
    from lrpe.encodings.base import Encoding
    from lrpe.ops.problem import AttentionProblem
    from lrpe.ops.state import LinearAttentionState

VARIABLE = "LRPE_BACKEND"
ENVIRONMENT = os.environ.get(VARIABLE, "")
_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}  # dtype.to_real breaks graphs
MAX_KERNEL_DIM = 256  # features per head that the Triton kernels take, before encoding


def interprets() -> bool:
    """Whether Triton's kernels run in its interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


class Case(NamedTuple):
    """What a choice of back end depends on; hashable, with no tensor in it.

    Attributes:
        operation: ``attend``, ``encode`` (query and key) or ``rotate`` (one of them).
        device: its type.
        dtype: of all tensors; None where they differ in dtype or device.
        key_dim, value_dim: features per head; 0 where there are none.
        layout: ``Encoding.kernel_layout`` of what has to be encoded; None: nothing, or no kernel knows it.
        causal: a sum over the past.
        own_denominator: the denominator has a query and key of its own.
        one_token: the length is 1.
        compiling: under torch.compile.
        in_memory: plain tensors, none of a tracer or a subclass.
    """

    operation: str
    device: str
    dtype: torch.dtype | None
    key_dim: int = 0
    value_dim: int = 0
    layout: str | None = None
    causal: bool = True
    own_denominator: bool = False
    one_token: bool = False
    compiling: bool = False
    in_memory: bool = True


def case_of(operation: str, *tensors: Tensor | None, **more: Any) -> Case:
    """The case of these tensors; ``more`` are further attributes of :class:`Case`."""
    given = [x for x in tensors if x is not None]
    first = given[0]
    alike = all(_REAL.get(x.dtype, x.dtype) == first.dtype and x.device == first.device for x in given)
    compiling = torch.compiler.is_compiling()
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    in_memory = not compiling and not tracing and all(type(x) in (Tensor, Parameter) for x in given)
    dtype = first.dtype if alike else None
    return Case(operation, first.device.type, dtype, compiling=compiling, in_memory=in_memory, **more)


class Backend(ABC):
    """One way to compute the operations, or some of them."""

    name: ClassVar[str]

    def missing(self, case: Case) -> str | None:
        """Why the back end cannot be had on this machine, and what helps; None: it can."""
        return None

    @abstractmethod
    def takes(self, case: Case) -> bool:
        """Whether it computes the case, where it can be had."""

    @abstractmethod
    def is_default(self, case: Case) -> bool:
        """Whether it is chosen unasked for a case that it takes."""

    def fuses(self, case: Case) -> bool:
        """Whether attention encodes query and key itself."""
        return False

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
    ) -> tuple[Tensor, LinearAttentionState | None]:
        """:func:`lrpe.ops.linear_attention` of checked arguments; the state only where asked for."""
        raise NotImplementedError(f"{self.name} has no attention of its own")

    def encode(
        self, encoding: Encoding, query: Tensor, key: Tensor, positions: Tensor | None, offset: int
    ) -> tuple[Tensor, Tensor]:
        """:func:`lrpe.ops.encode`."""
        return encoding.encode_by_operators(query, key, positions=positions, offset=offset)


BACKENDS: dict[str, Backend] = {}  # in the order in which defaults are looked for
_asked: list[str] = []  # by the context manager, the innermost last
_resolved: dict[Case, Backend] = {}


def register_backend(backend: type[Backend]) -> type[Backend]:
    """Class decorator: add a back end to the registry."""
    BACKENDS[backend.name] = backend()
    return backend


def requested_backend() -> str | None:
    """The back end that is asked for, or None.

    Raises:
        ValueError: an unknown one in the environment; the message names the nearest.
    """
    if _asked:
        return _asked[-1]
    return check_choice(VARIABLE, ENVIRONMENT, BACKENDS) if ENVIRONMENT else None


@contextmanager
def backend(name: str) -> Iterator[None]:
    """``with backend("definition"):`` asks for a back end, for the whole process and whatever LRPE_BACKEND says.

    Raises:
        ValueError: an unknown one; the message names the nearest.
    """
    check_choice("backend", name, BACKENDS)
    _asked.append(name)
    _resolved.clear()
    try:
        yield
    finally:
        _asked.pop()
        _resolved.clear()


def resolve(case: Case) -> Backend:
    """The back end of a case.

    Raises:
        ValueError: LRPE_BACKEND is unknown.
        RuntimeError: the one that is asked for cannot be had here.
    """
    if case.compiling:  # traced once for each graph, and a dictionary would be a guard of it
        return _choose(case)
    found = _resolved.get(case)
    if found is None:
        found = _resolved[case] = _choose(case)
    return found


def _choose(case: Case) -> Backend:
    wanted = requested_backend()
    if wanted is None:
        candidates = list(BACKENDS.values())
    else:
        asked = BACKENDS[wanted]
        reason = asked.missing(case)
        if reason is not None:
            where = f"backend({wanted!r})" if _asked else f"{VARIABLE}={wanted}"
            raise RuntimeError(f"{where}: {reason}" + ("" if _asked else f", or unset {VARIABLE}"))
        if asked.takes(case):
            return asked
        candidates = [BACKENDS["definition"], BACKENDS["torch"]]
    for candidate in candidates:
        if candidate.is_default(case) and candidate.takes(case) and candidate.missing(case) is None:
            return candidate
    raise RuntimeError(f"no back end computes {case}")
