"""What a language model's evaluation comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """loss in nats per token, over the ``tokens`` that were scored."""

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(self.loss)

    def metrics(self) -> dict[str, float]:
        """All of it by name."""
        return {"loss": self.loss, "perplexity": self.perplexity, "tokens": self.tokens}
