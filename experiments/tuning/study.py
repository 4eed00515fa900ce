"""A study that outlives its processes: Optuna's trials in SQLite, and locks that say which of them are alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.trial import FrozenTrial, TrialState

from data_prep.core.locks import is_locked
from experiments.runs.locks import hold
from experiments.tuning.request import Request
from experiments.tuning.space import describe
from experiments.util.errors import UserError

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Claim:
    """A trial that this process runs; ``adopted`` from a process that died in the middle of it."""

    number: int
    parameters: dict[str, Any]
    adopted: bool


class Study:
    """The study of a request, made where it is new.

    Raises:
        UserError: a study of that name asks another question; the message names the difference.
    """

    def __init__(self, request: Request) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._request = request
        self._folder = request.folder
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            url = f"sqlite:///{(self._folder / 'study.db').resolve()}"
            self._study = optuna.create_study(
                storage=url, study_name=request.study, direction=cast(Any, request.direction), load_if_exists=True
            )
            self._check_question()

    @contextmanager
    def claim(self) -> Iterator[Claim | None]:
        """The next trial to run, held while the context lasts; None where ``trials`` are done or under way.

        A trial whose process died comes first, with its parameters, so that its run is resumed. A new one is drawn by
        the tree-structured Parzen estimator, seeded with the number of trials before it: a study that was stopped and
        resumed draws what an unbroken one would have drawn.
        """
        with ExitStack() as held:
            with self._alone():
                claim = self._adopt() or self._draw()
                if claim is not None:
                    held.enter_context(hold(self._path(claim.number)))
            yield claim

    def tell(self, claim: Claim, value: float | None) -> None:
        """Close a trial with its value, or as failed where there is none."""
        with self._alone():
            if value is None:
                self._study.tell(claim.number, state=TrialState.FAIL)
            else:
                self._study.tell(claim.number, value)

    def finished(self) -> list[FrozenTrial]:
        """The trials with a value, best first."""
        best_first = 1 if self._request.direction == "minimize" else -1
        done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(done, key=lambda trial: best_first * (trial.value or 0.0))

    def count(self, *states: TrialState) -> int:
        return len(self._whole(states))

    def settled(self) -> bool:
        """Whether every trial that was asked for is done, or a live process is at it."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return len(self._whole()) >= self._request.trials and all(
            is_locked(self._path(trial.number)) for trial in running
        )

    def _adopt(self) -> Claim | None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_locked(self._path(trial.number)):
                continue
            if set(trial.params) == set(self._request.space):
                return Claim(trial.number, dict(trial.params), adopted=True)
            self._study.tell(trial.number, state=TrialState.FAIL)  # killed while it was drawn
        return None

    def _draw(self) -> Claim | None:
        if len(self._whole()) >= self._request.trials:
            return None
        drawn = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = optuna.samplers.TPESampler(seed=10_007 * self._request.sampler_seed + drawn)
        trial = self._study.ask(fixed_distributions=self._request.space)
        return Claim(trial.number, dict(trial.params), adopted=False)

    def _whole(self, states: tuple[TrialState, ...] = ()) -> list[FrozenTrial]:
        """The trials that were drawn to the end."""
        trials = self._study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in trials if set(trial.params) == set(self._request.space)]

    def _check_question(self) -> None:
        request = self._request
        asked = {
            "space": describe(request.space),
            "fixed": list(request.fixed),
            "metric": request.metric,
            "direction": request.direction,
        }
        kept = self._study.user_attrs.get("question")
        if kept is None:
            self._study.set_user_attr("question", asked)
            return
        for key, value in asked.items():
            if kept.get(key) != value:
                raise UserError(
                    f"study={request.study} has another {key} ({_text(kept.get(key))}, not {_text(value)}): give the "
                    f"same words as when it began, or another name; its trials lie in {self._folder}"
                )

    def _path(self, number: int) -> Path:
        return self._folder / f"trial{number}"

    def _alone(self) -> AbstractContextManager[None]:
        return hold(self._folder / "study", patience=PATIENCE_SECONDS)


def _text(asked: Any) -> str:
    """A part of a study's question as it was written."""
    if isinstance(asked, dict):
        return " ".join(f"{key}={value}" for key, value in asked.items())
    return " ".join(asked) or "none" if isinstance(asked, list) else str(asked)
