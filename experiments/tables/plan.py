"""Which runs a table needs, and which of them are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UserError
from experiments.records import Record, load_record
from experiments.tables.request import Request
from experiments.tables.spec import Row, TableSpec


@dataclass(frozen=True)
class Resolved:
    """Where a config's run lives: its folder, its identity, and the root of all results."""

    folder: Path
    identity: str
    results: Path


Resolve = Callable[[list[str]], Resolved]


@dataclass(frozen=True)
class Job:
    """One run that a table needs."""

    row: Row
    protocol: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path
    identity: str

    @property
    def name(self) -> str:
        return f"{self.row.key} ({self.protocol}) seed {self.seed}"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "experiments.train", *self.overrides]

    def record(self) -> Record | None:
        """The run's record, finished or not.

        Raises:
            UserError: the record in the run's folder is another run's.
        """
        record = load_record(self.folder)
        if record is not None:
            run = record["run"]
            if (run["identity"], run["seed"]) != (self.identity, self.seed):
                raise UserError(
                    f"{self.folder}/record.json belongs to run {run['identity']} seed {run['seed']}, not to "
                    f"{self.identity} seed {self.seed}; move the folder away"
                )
        return record


@dataclass(frozen=True)
class Plan:
    spec: TableSpec
    request: Request
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    jobs: tuple[Job, ...]
    results: Path

    @property
    def stem(self) -> Path:
        """The table's files without their endings."""
        return self.results / "tables" / self.request.stem

    def missing(self) -> list[Job]:
        """The runs that are not finished, in the table's order, first seeds first."""
        # Two protocols may come to the same run: it is trained once.
        jobs = {job.folder: job for job in reversed(self.jobs)}.values()
        missing = [job for job in reversed(jobs) if (record := job.record()) is None or not record.finished]
        return sorted(missing, key=lambda job: job.seed)

    def finished(self) -> dict[tuple[str, str], list[Record]]:
        """The finished records by (row key, protocol), seeds in order."""
        found: dict[tuple[str, str], list[Record]] = {}
        for job in self.jobs:
            record = job.record()
            if record is not None and record.finished:
                found.setdefault((job.row.key, job.protocol), []).append(record)
        return found


def make_plan(spec: TableSpec, request: Request, resolve: Resolve) -> Plan:
    """Compose every row before any work, so that a mistake in one is found before another is trained.

    Raises:
        UserError: a row, seed count, profile or override that cannot be.
    """
    rows = spec.select(request.profile, list(request.rows) if request.rows else None)
    fixed = {word.partition("=")[0] for row in spec.rows for word in row.overrides}
    for word in request.overrides:
        if word.partition("=")[0] in fixed:
            raise UserError(f"'{word}': the rows of table {spec.name} differ in this; choose them with rows=...")
    resolved = {
        (row, protocol): (overrides := _overrides(spec, request, row, protocol), resolve([*overrides, "seed=1"]))
        for protocol in request.protocols
        for row in rows
    }
    seeds = request.seeds or tuple(spec.seeds(request.profile))
    jobs = [
        Job(row, protocol, seed, (*overrides, f"seed={seed}"), where.folder.with_name(f"seed{seed}"), where.identity)
        for (row, protocol), (overrides, where) in resolved.items()
        for seed in seeds
    ]
    _refuse_twins(jobs)
    return Plan(spec, request, rows, seeds, tuple(jobs), next(iter(resolved.values()))[1].results)


def resolve_config(overrides: list[str]) -> Resolved:
    """Compose with the project's own loader; the identity prepares embedded text, whose checksum it needs."""
    from experiments.config import compose, identity, run_directory

    config = compose(overrides)
    return Resolved(run_directory(config), identity(config), Path(config.paths.results))


def _overrides(spec: TableSpec, request: Request, row: Row, protocol: str) -> list[str]:
    chosen = [f"experiment={spec.experiment}", f"profile={request.profile}", f"protocol={protocol}"]
    return [*chosen, *row.overrides, *request.overrides]


def _refuse_twins(jobs: Sequence[Job]) -> None:
    seen: dict[tuple[Path, str], Job] = {}
    for job in jobs:
        twin = seen.setdefault((job.folder, job.protocol), job)
        if twin is not job:
            raise UserError(f"rows {twin.row.key} and {job.row.key} are the same run ({job.identity}); leave one out")
