"""Adam with decoupled weight decay that spares the parameters marked so (``protocol.decay_angles=false``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II


@dataclass
class LRPEAdamConfig(FairseqDataclass):
    adam_betas: Any = field(default=(0.9, 0.999), metadata={"help": "betas for Adam"})
    adam_eps: float = field(default=1e-8, metadata={"help": "epsilon for Adam"})
    weight_decay: float = field(default=0.0, metadata={"help": "decoupled weight decay"})
    lr: list[float] = II("optimization.lr")  # noqa: RUF009 - an interpolation is a string


@register_optimizer("lrpe_adam", dataclass=LRPEAdamConfig)
class LRPEAdam(FairseqOptimizer):
    """theta <- theta - lr * (m_hat / (sqrt(v_hat) + eps) + weight_decay * theta), by torch's fused AdamW.

    A parameter with ``optim_overrides["optimizer"]["weight_decay"]`` (fairseq's own convention, kept by its
    mixed-precision copies) goes to a group with that decay. Beside fairseq's ``adam`` the only difference in the
    arithmetic is that eps is added after the bias correction (Kingma & Ba 2015, algorithm 1), 1e-8 against 1e-8.
    """

    def __init__(self, cfg: LRPEAdamConfig, params: Iterable[torch.nn.Parameter]) -> None:
        super().__init__(cfg)
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for parameter in params:
            overrides = getattr(parameter, "optim_overrides", {}).get("optimizer", {})
            groups.setdefault(overrides.get("weight_decay", cfg.weight_decay), []).append(parameter)
        self._optimizer = torch.optim.AdamW(
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
