"""How many runs go on at a time where nobody said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.util.hardware import available_cores, gpu_names


def runs_at_once(configs: Sequence[Mapping[str, Any]]) -> int:
    """As many as the cores hold where every run's config fixes its threads (``engine.threads``), so that the numbers do
    not depend on it; else one, which has all cores. One on a machine with GPUs.

    Args:
        configs: of the runs.
    """
    threads = [(config.get("engine") or {}).get("threads") or 0 for config in configs]
    if not all(threads) or not threads or gpu_names():
        return 1
    return max(1, min(len(configs), available_cores() // max(threads)))
