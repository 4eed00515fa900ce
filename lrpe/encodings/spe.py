"""Stochastic positional encoding (Liutkus et al., ICML 2021, arXiv 2105.08399)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lrpe.encodings.base import Encoding, Plan
from lrpe.encodings.parts.angles import AXES
from lrpe.encodings.parts.precision import compute_dtype
from lrpe.encodings.parts.seeding import derive_seed, seeded_generator
from lrpe.encodings.parts.spe_codes import Codes, ConvolutionCodes, SineCodes
from lrpe.encodings.parts.spe_noise import shared_gaussian
from lrpe.encodings.registry import register_encoding
from lrpe.validation import check_choice, check_positive


@register_encoding("spe")
class SPE(Encoding):
    """q'_r(s) = sum_d q_d Q_dr(s), k'_r(t) = sum_d k_d K_dr(t) with random codes Q, K, r = 1..R.

    In expectation over the noise <q', k'> = sum_d q_d k_d kernel_d(s - t), so the score is relative on average and
    exact only for R to infinity. All codes are divided by (R head_dim)^(1/4), as published. The gate of head and
    feature, g = sigmoid(gate), mixes the codes with noise that all positions share: sqrt(g) code + sqrt(1-g) noise.

    One realization of the noise is shared by query and key, by the sequences of a batch, and by all positions of a
    sequence in that a part encoded alone equals the part of the whole. Which one is used:

    - training: ``forward`` draws a new one from torch's global generator (one integer; see
      :mod:`~lrpe.encodings.parts.spe_noise`), and so a run resumes exactly if that generator's state does.
    - evaluation: one that the seed determines and the checkpoint keeps. With ``resample="always"`` a new one each
      ``forward``, as published; this rules out decoding token by token, where all steps must share one.

    ``encode_query`` and ``encode_key`` use the realization of the last forward, so that they stay partners.

    With several axes there is one pass an axis, each with noise of its own: the second encodes what the first returns,
    as in the published image models. Over the noise of both the score is relative in each axis. Codes and gate are
    each axis's own, or with ``axes="shared"`` the same for all, as published.

    Args:
        head_dim: features per head.
        num_heads: heads.
        kind: sine (see :class:`~lrpe.encodings.parts.spe_codes.SineCodes`) or conv
            (:class:`~lrpe.encodings.parts.spe_codes.ConvolutionCodes`).
        num_realizations: R = output_dim; None: head_dim.
        num_sines: sines a feature (kind sine).
        kernel_size: positions that a code spans (kind conv).
        gated: with the gate above.
        axis: sequence; or batch, the fault of the published language models, which passed (length, batch) for (batch,
            length): codes run along the batch, all tokens of a sequence share one, and no position is seen.
        resample: train or always.
        ndim: dimensions of a position; with several, axis has to be sequence.
        axes: own or split (the same thing here): frequencies, offsets, gains and gate for each axis; shared: one set of
            them, which needs num_realizations = head_dim.
        seed: of the initial parameters and the evaluation noise; None takes one from torch's global generator.

    Raises:
        ValueError: an unknown choice, or sizes that are not positive.
    """

    evaluation_key: Tensor
    gate: nn.Parameter | None

    def __init__(
        self,
        head_dim: int,
        num_heads: int,
        *,
        kind: str = "sine",
        num_realizations: int | None = None,
        num_sines: int = 1,
        kernel_size: int = 128,
        gated: bool = True,
        axis: str = "sequence",
        resample: str = "train",
        ndim: int = 1,
        axes: str = "own",
        seed: int | None = None,
    ) -> None:
        super().__init__(head_dim, num_heads, ndim=ndim)
        self.shared_axes = check_choice("axes", axes, AXES) == "shared"
        check_choice("kind", kind, ("sine", "conv"))
        self.axis = check_choice("axis", axis, ("sequence", "batch"))
        if ndim > 1 and axis == "batch":
            raise ValueError(f"axis='batch' is the fault of the published language models and needs ndim=1, got {ndim}")
        self.resample = check_choice("resample", resample, ("train", "always"))
        check_positive("num_sines", num_sines)
        check_positive("kernel_size", kernel_size)
        self.output_dim = check_positive("num_realizations", head_dim if num_realizations is None else num_realizations)
        if ndim > 1 and self.shared_axes and self.output_dim != head_dim:
            raise ValueError(
                f"axes='shared' encodes what it returned, so it needs num_realizations = head_dim = {head_dim}, got "
                f"{self.output_dim}"
            )
        generator = seeded_generator(seed, "spe")
        if kind == "sine":
            self.codes: Codes = SineCodes(
                head_dim, num_heads, num_realizations=self.output_dim, num_sines=num_sines, generator=generator
            )
        else:
            self.codes = ConvolutionCodes(
                head_dim, num_heads, num_realizations=self.output_dim, kernel_size=kernel_size, generator=generator
            )
        gate = (
            nn.Parameter(torch.randn(num_heads, head_dim, generator=generator, dtype=torch.float32)) if gated else None
        )
        self.register_parameter("gate", gate)
        self.register_buffer("evaluation_key", torch.tensor(derive_seed(seed, "spe evaluation")))
        self._drawn_key: Tensor | None = None
        self.next_axis: SPE | None = None
        if ndim > 1 and not self.shared_axes:
            self.next_axis = SPE(
                self.output_dim,
                num_heads,
                kind=kind,
                num_realizations=self.output_dim,
                num_sines=num_sines,
                kernel_size=kernel_size,
                gated=gated,
                resample=resample,
                ndim=ndim - 1,
                seed=derive_seed(seed, "spe next axis"),
            )

    @classmethod
    def unread_options(cls, options: Mapping[str, Any]) -> dict[str, str]:
        return {"kernel_size": "kind=conv"} if options["kind"] == "sine" else {"num_sines": "kind=sine"}

    @classmethod
    def image_options(cls, options: Mapping[str, Any], *, axes: str) -> dict[str, Any]:
        """Codes along the axes: codes along the batch are a fault of the published language models alone."""
        return {**super().image_options(options, axes=axes), "axis": "sequence"}

    def redraw(self) -> None:
        """Take a new realization of the noise, from torch's global generator."""
        self._drawn_key = torch.randint(2**63 - 1, ())
        if self.next_axis is not None:
            self.next_axis.redraw()

    @torch.no_grad()
    def kernel(self, difference: Tensor) -> Tensor:
        """The closed form of E<q', k'> for unit features, at differences s - t, Int[n]: Float64[heads head_dim n].

        kernel_d = sqrt(R / head_dim) (g_d covariance_d + 1 - g_d)

        Raises:
            ValueError: several axes.
        """
        if self.ndim > 1:
            raise ValueError("the closed form is of one axis: ask an encoding with ndim=1")
        return self._kernel_of_first_axis(difference)

    def _kernel_of_first_axis(self, difference: Tensor) -> Tensor:
        covariance = self.codes.covariance(difference)
        if self.gate is not None:
            gate = torch.sigmoid(self.gate.double())[..., None]
            covariance = gate * covariance + (1 - gate)
        return (self.output_dim / self.head_dim) ** 0.5 * covariance

    @torch.no_grad()
    def positional_kernel(self, distances: int) -> Tensor:
        """The expectations of several axes multiply: each axis encodes what the one before it returned."""
        difference = torch.arange(distances) if self.axis == "sequence" else torch.zeros(distances, dtype=torch.int64)
        if self.ndim == 1:
            return self._kernel_of_first_axis(difference).mean(1)
        start = self._kernel_of_first_axis(torch.zeros(1, dtype=torch.int64)).mean(1)
        if self.next_axis is not None:
            return start * self.next_axis.positional_kernel(distances)
        return start ** (self.ndim - 1) * self._kernel_of_first_axis(difference).mean(1)

    def _begin(self) -> None:
        if self.training or self.resample == "always":
            self.redraw()

    def _key(self) -> Tensor:
        if not self.training and self.resample == "train":
            return self.evaluation_key
        if self._drawn_key is None:
            self.redraw()
            assert self._drawn_key is not None
        return self._drawn_key

    def _plan_for(self, x: Tensor, positions: Tensor | None, offset: int) -> Plan:
        resolved = self._resolve(x, positions, offset)
        known = {
            "consecutive": self.ndim == 1 and (positions is None or self.axis == "batch"),
            # A grid's coordinates lie closer together than it has cells.
            "dense": self.ndim > 1 and resolved.shape[0] == 1 and torch.compiler.is_compiling(),
        }
        return self._plan(resolved, compute_dtype(x.dtype), **known)

    def _plan(self, positions: Tensor, dtype: torch.dtype, **known: bool) -> Plan:
        plan = self._plan_one_axis(positions[..., 0], self._key(), dtype, **known)
        if self.next_axis is not None:
            return (*plan, *self.next_axis._plan(positions[..., 1:], dtype, **known))
        for axis in range(1, self.ndim):
            plan = (*plan, *self._plan_one_axis(positions[..., axis], self._key() + axis, dtype, **known))
        return plan

    def _plan_one_axis(self, positions: Tensor, key: Tensor, dtype: torch.dtype, **known: bool) -> Plan:
        shape = (self.num_heads, self.head_dim, self.output_dim)
        shared = shared_gaussian(key, 1, shape, positions.device).to(dtype)
        return (shared, *self.codes.plan(positions, key, dtype, **known))

    def _resolve(self, x: Tensor, positions: Tensor | None, offset: int) -> Tensor:
        resolved = super()._resolve(x, positions, offset)
        return resolved if self.axis == "sequence" else torch.arange(x.shape[0], device=x.device).view(1, -1, 1)

    def _encode(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        own = len(plan) // self.ndim
        x = self._encode_one_axis(x, plan[:own], is_query=is_query)
        if self.next_axis is not None:
            return self.next_axis._encode(x, plan[own:], is_query=is_query)
        for axis in range(1, self.ndim):
            x = self._encode_one_axis(x, plan[axis * own : (axis + 1) * own], is_query=is_query)
        return x

    def _encode_one_axis(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        if self.axis == "batch":
            x = x.transpose(0, 2)
        shared, *own = plan
        if self.gate is None:
            output = self.codes(x, own, is_query=is_query)
        else:
            gate = torch.sigmoid(self.gate.to(x.dtype))[:, None]
            output = self.codes(x * gate.sqrt(), own, is_query=is_query) + (x * (1 - gate).sqrt()) @ shared
        output = output / (self.output_dim * self.head_dim) ** 0.25
        return output.transpose(0, 2) if self.axis == "batch" else output
