"""The interface of every relative encoding: query and key in, encoded query and key out."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from lrpe.encodings.parts.positions import resolve_positions
from lrpe.encodings.parts.precision import PreciseModule, compute_dtype
from lrpe.ops.encoding import encode
from lrpe.validation import check_positive
from lrpe.weight_decay import DecaySparing

if TYPE_CHECKING:
    from lrpe.ops.phases import Phases

# What an encoding derives from the positions alone, once for query and key.
Plan = tuple[Any, ...]


class Encoding(DecaySparing, PreciseModule, ABC):
    """Maps queries and keys so that their inner product depends on the difference of their positions.

    Attributes:
        head_dim: features per head before encoding.
        num_heads: heads.
        ndim: dimensions of a position (1: sequence, 2: image).
        output_dim: features per head after encoding.
        one_sided_decay: a bidirectional model's weights are g^(s-t), not g^|s-t|.
    """

    name: ClassVar[str]
    one_sided_decay: bool = False

    def __init__(self, head_dim: int, num_heads: int, *, ndim: int = 1) -> None:
        super().__init__()
        self.head_dim = check_positive("head_dim", head_dim)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ndim = check_positive("ndim", ndim)
        self.output_dim = head_dim

    def forward(
        self, query: Tensor, key: Tensor, *, positions: Tensor | None = None, offset: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Encode queries and keys at the same positions.

        Args:
            query: Float[batch heads length head_dim]
            key: Float[batch heads length head_dim]
            positions: Int[length] or Int[batch length]; with ndim > 1 a last axis of ndim follows. None stands for
                ``offset + arange(length)`` (ndim 1 only).
            offset: position of the first token where positions is None.

        Returns:
            query and key, Float[batch heads length output_dim], each in its own dtype. The arithmetic is float32, or
            float64 for float64 inputs.

        Raises:
            TypeError: query, key or positions have the wrong kind of dtype.
            ValueError: query, key or positions have the wrong shape.
        """
        return encode(self, query, key, positions=positions, offset=offset)

    def encode_by_operators(
        self, query: Tensor, key: Tensor, *, positions: Tensor | None = None, offset: int = 0
    ) -> tuple[Tensor, Tensor]:
        """:meth:`forward` of checked tensors, by PyTorch's operators."""
        self._begin()
        plan = self._plan_for(query, positions, offset)
        shared = key.shape == query.shape and key.dtype == query.dtype and key.device == query.device
        key_plan = plan if shared else self._plan_for(key, positions, offset)
        return self._run(query, plan, is_query=True), self._run(key, key_plan, is_query=False)

    def encode_query(self, x: Tensor, *, positions: Tensor | None = None, offset: int = 0) -> Tensor:
        """The first result of :meth:`forward` for queries alone."""
        self.check(x, "x")
        return self._run(x, self._plan_for(x, positions, offset), is_query=True)

    def encode_key(self, x: Tensor, *, positions: Tensor | None = None, offset: int = 0) -> Tensor:
        """The second result of :meth:`forward` for keys alone."""
        self.check(x, "x")
        return self._run(x, self._plan_for(x, positions, offset), is_query=False)

    @property
    def log_decay(self) -> Tensor | None:
        """Float32[heads] <= 0: the attention op multiplies a score by exp(log_decay |s - t|). None: no decay."""
        return None

    @property
    def is_identity(self) -> bool:
        """Whether query and key are returned as they are."""
        return False

    @property
    def kernel_layout(self) -> str | None:
        """Where kernels find complex features among a head's, see :class:`lrpe.ops.phases.Phases`; None: nowhere."""
        return None

    def phases(self) -> Phases | None:
        """Angles and reflection as kernels take them; None without a ``kernel_layout``."""
        return None

    def coordinates(self, query: Tensor, positions: Tensor | None, offset: int) -> Tensor:
        """What :meth:`phases`'s angles are multiplied by: Int[batch|1 length axes]."""
        return self._resolve(query, positions, offset)

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The options of the encoding, which are its constructor's keyword arguments, and their defaults."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {option.name: option.default for option in parameters if option.kind is option.KEYWORD_ONLY}

    @classmethod
    def image_options(cls, options: Mapping[str, Any], *, axes: str) -> dict[str, Any]:
        """The options for positions with two axes and no order, from those for a sequence.

        Args:
            options: as a config has them.
            axes: how angles or permutations relate to the axes, unless ``options`` say so.
        """
        return {"axes": axes, **options} if "axes" in cls.options() else dict(options)

    @classmethod
    def unread_options(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """The options that have no effect beside the others, each with what would read it.

        Args:
            options: all of them.
        """
        return {}

    @classmethod
    def permutes(cls, options: Mapping[str, Any]) -> bool:
        """Whether, with these options, positions are powers of a permutation, of which published code keeps a table."""
        return False

    @torch.no_grad()
    def positional_kernel(self, distances: int) -> Tensor:
        """tr(M_0^H M_d) / head_dim for d = 0..distances-1, without decay: Float64[heads distances].

        What a query and an equal key d positions before it score on average over all directions. On several axes d
        moves along the last. An encoding that is no linear map returns the expectation over its noise.
        """
        start = self.matrix([0] * self.ndim)
        last = [0] * (self.ndim - 1)
        values = [(start * self.matrix([*last, place])).sum((-2, -1)) for place in range(distances)]
        return torch.stack(values, dim=-1) / self.head_dim

    def matrix(self, position: int | Sequence[int] | Tensor) -> Tensor:
        """The definition M_s at one position, in real form: Float64[heads output_dim head_dim].

        Slow and independent of the fast path: for tests and plots.

        Raises:
            NotImplementedError: the encoding is no fixed linear map.
        """
        raise NotImplementedError(f"{type(self).__name__} is no fixed linear map, so it has no matrix")

    @abstractmethod
    def _plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        """What positions Int[batch|1 length ndim] determine, in ``dtype``."""

    @abstractmethod
    def _encode(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        """Encode Float[batch heads length head_dim] of the computing dtype; x itself stays as it is."""

    def _begin(self) -> None:
        """Called once a forward, before query and key: where an encoding draws what the two have to share."""

    def _resolve(self, x: Tensor, positions: Tensor | None, offset: int) -> Tensor:
        """The positions of x: Int[batch|1 length ndim]."""
        batch, _, length, _ = x.shape
        return resolve_positions(positions, offset, batch=batch, length=length, ndim=self.ndim, device=x.device)

    def _plan_for(self, x: Tensor, positions: Tensor | None, offset: int) -> Plan:
        return self._plan(self._resolve(x, positions, offset), compute_dtype(x.dtype))

    def _run(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        # Autocast would run the projections' products in half precision.
        with torch.autocast(x.device.type, enabled=False):
            return self._encode(x.to(compute_dtype(x.dtype)), plan, is_query=is_query).to(x.dtype)

    def check(self, x: Tensor, argument: str) -> None:
        """Refuse a query or key of the wrong dtype or shape.

        Raises:
            TypeError: no floating-point tensor.
            ValueError: not ``(batch, num_heads, length, head_dim)``.
        """
        if not x.is_floating_point():
            raise TypeError(f"{argument} must be a floating-point tensor, got {x.dtype}")
        if x.ndim != 4 or x.shape[1] != self.num_heads or x.shape[3] != self.head_dim:
            raise ValueError(
                f"{argument} must have shape (batch, {self.num_heads}, length, {self.head_dim}) = "
                f"(batch, num_heads, length, head_dim), got {tuple(x.shape)}"
            )

    def _position_tuple(self, position: int | Sequence[int] | Tensor) -> tuple[int, ...]:
        values = torch.as_tensor(position).reshape(-1).tolist()
        if len(values) != self.ndim or not all(isinstance(value, int) for value in values):
            raise ValueError(f"position must be {self.ndim} integer(s), got {position!r}")
        return tuple(values)

    def extra_repr(self) -> str:
        return f"head_dim={self.head_dim}, num_heads={self.num_heads}, ndim={self.ndim}, output_dim={self.output_dim}"
