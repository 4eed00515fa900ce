"""What a run, or a whole table, needs of a GPU: time, memory and GPU-hours, without a GPU and before data is prepared.

    python -m experiments.plan experiment=alm profile=paper gpu=h100 gpus=8
    python -m experiments.plan table=alm profile=paper gpu=a100-80 gpus=4 utilization=0.4

Keys:
    gpu             the card: v100, t4, a100, a100-80, h100-pcie, h100, h200, l4 or l40s     [h100]
    gpus            how many train one run together                                                  [1]
    utilization     the assumed share of the card's peak: no card has measured it yet              [0.3]
    table           a table instead of one run; seeds=, rows=, columns= and protocol= as in experiments.table
    any other key   goes to the run, as for experiments.train

The arithmetic stands in docs/plan.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from experiments.config import compose
from experiments.config.effect import pass_matters
from experiments.tables.plan import make_plan, resolve_config
from experiments.tables.request import parse_request
from experiments.tables.spec import load_table
from experiments.util.cards import USABLE, Card, card
from experiments.util.console import duration
from experiments.util.errors import UserError, exit_on_user_error

if TYPE_CHECKING:
    from experiments.engine.cost import Cost

OWN_KEYS = ("gpu", "gpus", "utilization", "table")


@dataclass(frozen=True)
class Estimate:
    """Of one run: seconds on all GPUs together, and lines for a person."""

    seconds: float
    lines: list[str]


def main(arguments: Sequence[str]) -> None:
    """The whole command.

    Raises:
        UserError: a key or value that cannot be, or data of unknown sizes.
    """
    if any(word in ("-h", "--help", "help") for word in arguments):
        print((__doc__ or "").strip())
        return
    own = {key: value for key, _, value in (word.partition("=") for word in arguments) if key in OWN_KEYS}
    words = [word for word in arguments if word.partition("=")[0] not in OWN_KEYS]
    chosen = card(own.get("gpu", "h100"))
    gpus = _number("gpus", own.get("gpus", "1"), 1, math.inf)
    utilization = _number("utilization", own.get("utilization", "0.3"), 1e-6, 1)
    if gpus != int(gpus):
        raise UserError(f"gpus={own['gpus']}: expected a whole number of at least 1")
    lines = (
        _table([f"table={own['table']}", *words], chosen, int(gpus), utilization)
        if "table" in own
        else _run(words, chosen, int(gpus), utilization)
    )
    for line in lines:
        print(line)


def _run(words: list[str], chosen: Card, gpus: int, utilization: float) -> Iterator[str]:
    config = compose(words)
    found = estimate(config, chosen, gpus, utilization)
    yield f"{config.experiment.name} {config.encoding.label}, profile {config.profile.name}, on {gpus} x {chosen.name}"
    yield from found.lines
    yield _time(found.seconds, gpus, utilization)


def _table(words: list[str], chosen: Card, gpus: int, utilization: float) -> Iterator[str]:
    request = parse_request(words)
    spec = load_table(request.table)
    plan = make_plan(spec, request, partial(resolve_config, open_identity=True))
    seconds: dict[str, float] = {}
    total = 0.0
    yield f"{spec.title}: {len(plan.jobs)} runs on {gpus} x {chosen.name} each, one after another"
    for job in plan.jobs:
        name = job.name.rpartition(" seed ")[0]
        if name not in seconds:
            config = OmegaConf.create(dict(job.config))
            assert isinstance(config, DictConfig)
            seconds[name] = estimate(config, chosen, gpus, utilization).seconds
            runs = sum(other.name.rpartition(" seed ")[0] == name for other in plan.jobs)
            yield f"  {name}: {runs} x {duration(seconds[name])}, {runs * seconds[name] * gpus / 3600:,.1f} GPU-hours"
        total += seconds[name]
    yield _time(total, gpus, utilization)
    if plan.unprepared:
        yield f"the data is not prepared: {plan.unprepared}"


def estimate(config: DictConfig, chosen: Card, gpus: int, utilization: float) -> Estimate:
    """What one run takes on ``gpus`` cards at ``utilization`` of their peak; see docs/plan.md.

    Raises:
        UserError: a batch that does not divide, or data of unknown sizes.
    """
    from experiments.engine.cost import costs
    from experiments.engine.families import family_of
    from experiments.engine.plan import cost_lines
    from experiments.engine.translate import accumulation

    of = costs(config)
    if of is None:
        raise UserError(
            f"experiment={config.experiment.name} data={config.data.name}: its sizes are not known before the data is "
            "prepared (those of wikitext2, wikitext103, their _bpe and imagenet are)"
        )
    samples, passes = accumulation(_sized(config, of, chosen, gpus), gpus)
    found = of(samples)
    seconds = (
        family_of(config).updates(config)
        * found.flops.total
        / (gpus * chosen.peak(config.recipe.precision) * utilization)
    )
    lines = [
        f"  batch          {samples} samples x {passes} passes x {gpus} GPUs, {config.recipe.precision}",
        *cost_lines(found),
        _fit(found.memory.total, chosen),
    ]
    return Estimate(seconds, lines)


def _sized(config: DictConfig, of: Callable[[int], Cost], chosen: Card, gpus: int) -> DictConfig:
    """For ``engine.samples_per_device=auto``, the largest power of two that fits by the model of memory."""
    from experiments.engine.samples import candidates, set_samples
    from experiments.engine.translate import AUTO

    if config.engine.samples_per_device != AUTO or pass_matters(config):
        return config
    sizes = candidates(config.recipe.batch_size // gpus)
    return set_samples(config, max([1, *(n for n in sizes if of(n).memory.total <= USABLE * chosen.memory)]))


def _fit(needed: int, chosen: Card) -> str:
    share = needed / chosen.memory
    if share > USABLE:
        return (
            f"  fit            no: {share:.0%} of the card's {chosen.memory / 2**30:.0f} GiB, of which {USABLE:.0%} "
            "can be counted on; lower engine.samples_per_device"
        )
    return f"  fit            yes: {share:.0%} of the card's {chosen.memory / 2**30:.0f} GiB"


def _time(seconds: float, gpus: int, utilization: float) -> str:
    hours = seconds * gpus / 3600
    return (
        f"  time           about {duration(seconds)}, {hours:,.1f} GPU-hours, if {utilization:.0%} of the peak is "
        "reached (assumed, not measured)"
    )


def _number(key: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high or math.isinf(number):
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        raise UserError(f"{key}={value}: expected a number of at least {low:g}{upper}")
    return number


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
