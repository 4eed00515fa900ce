"""An update of the base language model in the engine: tokens per second, what it is made of, and what is around it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile

from experiments.config import compose
from experiments.engine.nonfinite import CheckedTrainer
from experiments.train import run

LENGTH, BATCH = 512, 8
WARM, TIMED, PROFILED = 2, 8, 2  # updates
WORDS = (
    "experiment=alm", "profile=demo", "model=decoder_base", "encoding=lrpe_orthogonal", "protocol=controlled", "seed=1",
    f"recipe.tokens_per_sample={LENGTH}", f"recipe.batch_size={BATCH}", f"recipe.max_update={WARM + TIMED + PROFILED}",
    "recipe.warmup_updates=2", f"recipe.validate_interval_updates={WARM + TIMED + PROFILED}",
    "engine.log_interval=1", "tracker=disabled",
)  # fmt: skip
PARTS = {
    "products of layers": ("aten::mm", "aten::addmm"),
    "products of attention": ("aten::bmm", "aten::baddbmm_", "aten::baddbmm"),
    "random numbers of dropout": ("aten::bernoulli_",),
    "copies between layouts": ("aten::copy_",),
}


class Clock:
    """When each update began and ended, and the operators of the last ones."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    @contextmanager
    def watching(self) -> Iterator[None]:
        update = CheckedTrainer.train_step

        def timed(*arguments: Any, **options: Any) -> Any:
            number = len(self.spans)
            if number == WARM + TIMED:
                self.profiler.start()
            began = time.perf_counter()
            outcome = update(*arguments, **options)
            self.spans.append((began, time.perf_counter()))
            if number == WARM + TIMED + PROFILED - 1:
                self.profiler.stop()
            return outcome

        with patch.object(CheckedTrainer, "train_step", timed):
            yield

    def inside(self) -> list[float]:
        """Seconds of the timed updates."""
        return [end - began for began, end in self.spans[WARM : WARM + TIMED]]

    def between(self) -> list[float]:
        """Seconds from the end of an update to the start of the next: batches, history rows, the progress line."""
        spans = self.spans[WARM : WARM + TIMED]
        return [following[0] - this[1] for this, following in pairwise(spans)]

    def shares(self) -> dict[str, float]:
        """Of the operators' own time, by part."""
        events = {
            event.key: event.self_cpu_time_total + event.self_device_time_total
            for event in self.profiler.key_averages()
        }
        total = sum(events.values())
        shares = {part: sum(events.get(name, 0) for name in names) / total for part, names in PARTS.items()}
        return shares | {"everything else": 1 - sum(shares.values())}


def measure() -> list[dict[str, Any]]:
    clock = Clock()
    with tempfile.TemporaryDirectory() as results, clock.watching():
        if code := run(compose([*WORDS, f"paths.results={results}"])):
            raise SystemExit(code)
    update = statistics.median(clock.inside())
    rows = [_row("an update", clock.inside(), update), _row("between updates", clock.between(), update)]
    rows += [{"name": part, "median": share * update, "ratio": share} for part, share in clock.shares().items()]
    note = (
        f"{LENGTH * BATCH / update:,.0f} tokens per second; {BATCH} sequences of {LENGTH} tokens, 6 layers, 512 wide, "
        f"pydoc's words, a history row every update. The parts are the operators' own times in {PROFILED} profiled "
        "updates."
    )
    title = "The base language model in the engine, LRPE orthogonal"
    return [{"title": title, "reference": "an update", "rounds": TIMED, "note": note, "rows": rows}]


def _row(name: str, seconds: list[float], update: float) -> dict[str, Any]:
    low, median, high = statistics.quantiles(seconds, n=4)
    return {"name": name, "median": median, "low": low, "high": high, "ratio": median / update}
