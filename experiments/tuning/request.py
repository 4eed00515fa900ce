"""What a person asked for on the command line of ``experiments.tune``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optuna.distributions import BaseDistribution

from experiments.config import compose
from experiments.config.groups import groups
from experiments.config.overrides import key_of
from experiments.launch.launching import KEYS, Launching, is_launcher_word, parse_launching
from experiments.runs.comparison import is_place
from experiments.tuning.space import as_overrides, corners, is_varied, parse_distribution
from experiments.util.errors import UserError, nearest
from experiments.util.values import MAX_INT

OWN_KEYS = ("study", "trials", "metric", "direction", "sampler_seed", *KEYS)
METRIC = "valid_loss"  # every family has it
DIRECTIONS = ("minimize", "maximize")
SMALLER_IS_BETTER = ("loss", "perplexity", "error", "seconds")


@dataclass(frozen=True)
class Request:
    """``space`` varies, ``overrides`` stay; ``results`` is the root that both lead to."""

    study: str
    space: dict[str, BaseDistribution]
    overrides: tuple[str, ...]
    metric: str
    direction: str
    results: Path
    trials: int = 20
    sampler_seed: int = 1
    launching: Launching = field(default_factory=Launching)
    fixed: tuple[str, ...] = field(default=())  # the overrides that enter a run's identity, and its seed

    @property
    def folder(self) -> Path:
        return self.results / "tuning" / self.study


def parse_request(words: Sequence[str]) -> Request:
    """Read and check the words; both ends of every distribution are composed, so that no trial can be refused.

    Raises:
        UserError: a misspelt key or value, nothing to vary, or bounds that a run would refuse.
    """
    given: dict[str, str] = {}
    space: dict[str, BaseDistribution] = {}
    overrides: list[str] = []
    settings: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or word.startswith("-"):
            raise UserError(f"'{word}': expected key=value (python -m experiments.tune --help)")
        if key in given or key in space or word in overrides:
            raise UserError(f"'{word}': {key} is given twice; leave one out")
        if key in OWN_KEYS:
            given[key] = value
        elif is_launcher_word(word):
            settings.append(word)
        elif is_varied(value):
            space[key] = parse_distribution(key, value)
        else:
            overrides.append(word)
            own = key.partition(".")[0]
            if (own in OWN_KEYS or own == key) and own not in ("seed", *groups()) and (hint := nearest(own, OWN_KEYS)):
                raise UserError(f"unknown key '{key}'{hint} (keys: {', '.join(OWN_KEYS)}, and those of a run)")
    if not given.get("study", "").replace("-", "").replace("_", "").isalnum():
        raise UserError("study=NAME is missing, or holds more than letters, digits, - and _; it names the study")
    if not space:
        raise UserError("nothing to tune: give a key a distribution, e.g. 'recipe.learning_rate=log(1e-4,1e-2)'")
    first, _ = [compose([*overrides, *as_overrides(corner)]) for corner in corners(space)]
    metric = given.get("metric", METRIC)
    return Request(
        study=given["study"],
        space=space,
        overrides=tuple(overrides),
        metric=metric,
        direction=_direction(given.get("direction"), metric),
        results=Path(first.paths.results),
        trials=_number("trials", given.get("trials", "20"), smallest=1),
        sampler_seed=_number("sampler_seed", given.get("sampler_seed", "1"), smallest=0),
        launching=_launching(given, settings),
        fixed=tuple(sorted(word for word in overrides if word.startswith("seed=") or not is_place(key_of(word)))),
    )


def _launching(given: dict[str, str], settings: Sequence[str]) -> Launching:
    if (wait := given.get("wait", "true")) not in ("true", "false"):
        raise UserError(f"wait={wait}: expected true or false")
    jobs = _number("jobs", given["jobs"], smallest=1) if "jobs" in given else None
    return parse_launching(given, settings, jobs, wait == "true")


def _direction(given: str | None, metric: str) -> str:
    if given is None:
        return "minimize" if metric.endswith(SMALLER_IS_BETTER) else "maximize"
    if given not in DIRECTIONS:
        raise UserError(f"direction={given}: expected minimize or maximize{nearest(given, DIRECTIONS)}")
    return given


def _number(key: str, value: str, smallest: int) -> int:
    if not value.isdecimal() or not smallest <= int(value) <= MAX_INT:
        raise UserError(f"{key}={value}: expected a whole number of at least {smallest} and at most {MAX_INT}")
    return int(value)
