"""A launcher that would have no effect is refused, not passed over."""

from __future__ import annotations

import pytest

from experiments.config import check_overrides, compose
from experiments.util.errors import UserError


@pytest.mark.parametrize("word", ["hydra/launcher=parallel", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=/tmp/x"])
def test_one_run_takes_no_launcher(word: str) -> None:
    """``compose`` is what tables and studies check their words with."""
    for refusing in (compose, lambda words: check_overrides(words, sweeping=False)):
        with pytest.raises(UserError, match="has no effect here"):
            refusing(["encoding=rope", word])


def test_a_sweep_takes_one() -> None:
    check_overrides(["encoding=rope,none", "hydra/launcher=parallel"], sweeping=True)
