"""Adam with decoupled weight decay that spares the parameters marked so (``protocol.decay_angles=false``), and adds
its epsilon where ``protocol.adam_epsilon`` says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II

from lrpe.validation import check_choice


@dataclass
class LRPEAdamConfig(FairseqDataclass):
    adam_betas: Any = field(default=(0.9, 0.999), metadata={"help": "betas for Adam"})
    adam_eps: float = field(default=1e-8, metadata={"help": "epsilon for Adam"})
    epsilon: str = field(default="after_correction", metadata={"help": "before_correction (fairseq) or after it"})
    weight_decay: float = field(default=0.0, metadata={"help": "decoupled weight decay"})
    lr: list[float] = II("optimization.lr")  # noqa: RUF009 - an interpolation is a string


class EarlyEpsilonAdamW(torch.optim.AdamW):
    """AdamW that adds epsilon to sqrt(v) before the bias correction, as fairseq's ``adam``.

    m_hat / (sqrt(v) + eps) * sqrt(1 - beta_2^t) is m_hat / (sqrt(v_hat) + eps_t) with eps_t = eps / sqrt(1 - beta_2^t):
    7.1 eps at the first update with beta_2 = 0.98, and eps in the end. Only eps changes, so the kernel is torch's.
    Every group counts its updates, and the count is saved with it.
    """

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["updates"] = group.get("updates", 0) + 1
            group.setdefault("constant_eps", group["eps"])
            group["eps"] = group["constant_eps"] / math.sqrt(1 - group["betas"][1] ** group["updates"])
        return super().step(closure)


ADAM = {"before_correction": EarlyEpsilonAdamW, "after_correction": torch.optim.AdamW}


@register_optimizer("lrpe_adam", dataclass=LRPEAdamConfig)
class LRPEAdam(FairseqOptimizer):
    """theta <- theta - lr * (m_hat / (sqrt(v_hat) + eps) + weight_decay * theta), by torch's fused AdamW.

    A parameter with ``optim_overrides["optimizer"]["weight_decay"]`` (fairseq's own convention, kept by its
    mixed-precision copies) goes to a group with that decay. ``epsilon``: ``after_correction`` of the bias (Kingma & Ba
    2015, algorithm 1), or ``before_correction`` as fairseq's ``adam``: see :class:`EarlyEpsilonAdamW`.
    """

    def __init__(self, cfg: LRPEAdamConfig, params: Iterable[torch.nn.Parameter]) -> None:
        super().__init__(cfg)
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for parameter in params:
            overrides = getattr(parameter, "optim_overrides", {}).get("optimizer", {})
            groups.setdefault(overrides.get("weight_decay", cfg.weight_decay), []).append(parameter)
        self._optimizer = ADAM[check_choice("epsilon", cfg.epsilon, ADAM)](
            [{"params": members, "weight_decay": decay} for decay, members in groups.items()],
            lr=cfg.lr[0] if isinstance(cfg.lr, Iterable) else cfg.lr,
            betas=tuple(cfg.adam_betas),
            eps=cfg.adam_eps,
            fused=True,
        )

    @property
    def optimizer_config(self) -> dict[str, Any]:
        return {"lr": self.get_lr(), "betas": tuple(self.cfg.adam_betas), "eps": self.cfg.adam_eps}

    @property
    def supports_flat_params(self) -> bool:
        return False  # one flat parameter could not have two decays
