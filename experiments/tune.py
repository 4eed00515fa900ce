"""Tune a run's numbers with Optuna: each trial is a normal run, found again by its identity.

    python -m experiments.tune study=lr 'recipe.learning_rate=log(1e-4,1e-2)' trials=20 encoding=rope
    python -m experiments.tune study=lr-dropout 'recipe.learning_rate=log(1e-4,1e-2)' 'model.dropout=uniform(0,0.3)'

Keys:
    study         the study's name; it lies in <results>/tuning/<study>/
    trials        how many in all, failed ones included                          [20]
    metric        of the record                                                  [valid_loss]
    direction     minimize or maximize                                           [by the metric's name]
    sampler_seed  of Optuna's draws                                              [1]
    jobs          processes that work on the study at once                       [1]
    launcher      slurm: these processes are jobs of SLURM (docs/clusters-tables.md), four unless jobs= says otherwise;
                  hydra.launcher.KEY=VALUE sets their options, wait=false submits and leaves
    key=log(low,high), uniform(low,high), integer(low,high), log_integer(low,high), choice(a,b,...): what is varied
    any other key=value goes to every run, as for python -m experiments.train

The same command resumes a study: trials that are done stay, the one that was stopped is resumed, more are drawn up to
`trials`. The same command in several terminals, or on several machines that share the folder, works on one study.
Exit code: 0 all trials are done, 1 some failed (they are named), 2 bad input, 130 interrupted.
"""

from __future__ import annotations

from experiments.launch.early_signals import exit_on_signals

if __name__ == "__main__":
    exit_on_signals()  # before the imports that take seconds

import math
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text

from experiments.config import compose, ensure_data, run_directory
from experiments.launch.exit_codes import REQUEUE, SIGNALLED, code_after, was_stopped
from experiments.launch.processes import Children, Stopped, stopping_on_signals
from experiments.runs.records import RunFolder
from experiments.tuning.request import Request, parse_request
from experiments.tuning.space import as_overrides
from experiments.tuning.study import Claim, Study
from experiments.tuning.workers import run_workers, workers_of
from experiments.util import console as terminal
from experiments.util.errors import UserError, exit_on_user_error

SHOWN_TRIALS = 5

Launch = Callable[[Sequence[str]], int]
Resolve = Callable[[list[str]], Path]
Train = Callable[[int, Path, Sequence[str]], int]


def resolve_folder(words: list[str]) -> Path:
    """The folder of the run that these overrides make."""
    config = compose(words)
    ensure_data(config)
    return run_directory(config)


def main(
    words: Sequence[str],
    *,
    resolve: Resolve = resolve_folder,
    launch: Launch | None = None,
    console: Console | None = None,
) -> int:
    """The whole command; ``resolve`` (overrides to folder) and ``launch`` (command to exit code) can be replaced.

    Raises:
        UserError: bad input, before anything is trained.
    """
    if not words or any(word in ("-h", "--help", "help") for word in words):
        print((__doc__ or "").strip())
        return 0 if words else 2
    console = console or terminal.make_console()
    request = parse_request(words)
    study = Study(request)
    distributed = request.launching.on_slurm or (request.launching.jobs or 1) > 1
    try:
        if distributed:
            run_workers(workers_of(study, request, words), request, lambda text: terminal.say(console, text))
        else:
            _train(study, request, resolve, launch, console)
    except Stopped as stopped:
        if not distributed:
            terminal.say(console, "stopped; the same command goes on, the trial that was running included")
        return code_after(stopped.number)
    if not request.launching.wait:
        return 0
    return _report(study, request, console)


def _train(study: Study, request: Request, resolve: Resolve, launch: Launch | None, console: Console) -> None:
    """Work in a thread, so that this one can pass a signal on to the run and wait for its orderly end."""
    children = Children()
    start = launch or (lambda command: children.launch(command, None, {}))

    def train(number: int, folder: Path, command: Sequence[str]) -> int:
        """The command's exit code; a run that another worker drew too is waited for, and not trained again."""
        while children.wait_for(folder, f"trial {number}", lambda text: terminal.say(console, text)):
            if RunFolder(folder).finished():
                return 0
            code = start(command)
            if not RunFolder(folder).held():  # else another worker took the run in between
                return code
        return REQUEUE

    with ThreadPoolExecutor(1) as pool, stopping_on_signals():
        working = pool.submit(_work, study, request, resolve, train, console)
        try:
            working.result()
        except Stopped as stopped:
            children.stop(stopped.number)
            raise


def _work(study: Study, request: Request, resolve: Resolve, train: Train, console: Console) -> None:
    while True:
        with study.claim() as claim:
            if claim is None:
                return
            drawn = as_overrides(claim.parameters)
            words = [*request.overrides, *drawn]
            how = " (resumed)" if claim.adopted else ""
            terminal.say(console, f"\ntrial {claim.number}, of {request.trials}{how}: {shlex.join(drawn)}")
            folder = resolve(words)
            code = train(claim.number, folder, [sys.executable, "-m", "experiments.train", *words])
            value, problem = _outcome(folder, request.metric, code)
            study.tell(claim, value)
            terminal.say(console, _said(claim, request.metric, value, problem))


def _outcome(folder: Path, metric: str, code: int) -> tuple[float | None, str]:
    """The trial's value, or None and why there is none.

    Raises:
        Stopped: a signal ended the run; its trial stays open.
        UserError: finished records do not have the metric.
    """
    if (record := RunFolder(folder).finished()) is None:
        if was_stopped(code):
            raise Stopped(signal.SIGTERM if code == REQUEUE else code - SIGNALLED)
        reason = (RunFolder(folder).load() or {}).get("error") or f"exit code {code}; its message is above"
        return None, f"failed ({reason})"
    if metric not in record["metrics"]:
        raise UserError(f"metric={metric}: {folder} has none such (it has: {', '.join(record['metrics'])})")
    value = record["metrics"][metric]
    if value is None or not math.isfinite(value):
        return None, f"diverged: {metric} is not finite"
    return float(value), ""


def _said(claim: Claim, metric: str, value: float | None, problem: str) -> str:
    return f"trial {claim.number}: {problem}" if value is None else f"trial {claim.number}: {metric} {value:.6g}"


def _report(study: Study, request: Request, console: Console) -> int:
    best = study.finished()
    failed, running = study.count(TrialState.FAIL), study.count(TrialState.RUNNING)
    if best:
        table = terminal.make_table(f"{request.study}: the best of {len(best)} trials")
        for header in ("trial", request.metric, *request.space):
            table.add_column(Text(header), justify="right", no_wrap=True)
        for trial in best[:SHOWN_TRIALS]:
            values = [str(trial.params[key]) for key in request.space]
            table.add_row(str(trial.number), f"{trial.value:.6g}", *(Text(value) for value in values))
        terminal.print_table(table, console)
        command = ["python", "-m", "experiments.train", *request.overrides, *as_overrides(best[0].params)]
        terminal.say(console, f"the best: {shlex.join(command)}")
    if running:
        terminal.say(console, f"{running} trials run in other processes")
    if failed:
        terminal.say(console, f"{failed} of {request.trials} trials failed; what they said is above, or where they ran")
    return 1 if failed else 0


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
