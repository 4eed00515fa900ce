"""Which runs a table needs, and which of them are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.effect import refuse_without_effect
from experiments.config.overrides import key_of
from experiments.launch.tasks import label_of
from experiments.runs.records import Record, load_record
from experiments.tables.request import Request
from experiments.tables.spec import Column, Row, TableSpec
from experiments.util.errors import UserError


@dataclass(frozen=True)
class Needed:
    """A run by its folder and its resolved config, whether it exists or not."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def with_seed(self, seed: int) -> Needed:
        return replace(self, folder=self.folder.with_name(f"seed{seed}"))


@dataclass(frozen=True)
class Resolved:
    """Where a config's run lives: its folder, its identity, the root of all results, the runs that it starts from (and
    trains first where they are missing), the config itself, where the identity is open because the data is not there
    what to do about that, and the keys of overrides that this config does not read, each with the reason."""

    folder: Path
    identity: str
    results: Path
    requires: tuple[Needed, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)
    unprepared: str = ""
    idle: Mapping[str, str] = field(default_factory=dict, compare=False)


OPEN = "open"  # the identity of a run whose data is not prepared
Resolve = Callable[[list[str]], Resolved]


@dataclass(frozen=True)
class Job:
    """One run that a table needs. ``variant`` holds the overrides of its columns."""

    row: Row
    protocol: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path
    identity: str
    variant: tuple[str, ...] = ()
    requires: tuple[Needed, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return f"{self.row.key}{self._shown_variant(' ')} ({self.protocol}) seed {self.seed}"

    @property
    def stem(self) -> str:
        """The name of its log file."""
        return f"{self.row.key}{self._shown_variant('-')}-{self.protocol}-seed{self.seed}".replace("/", "_")

    @property
    def label(self) -> str:
        return label_of(self.folder, "train")

    @property
    def after(self) -> tuple[Path, ...]:
        return tuple(run.folder for run in self.requires)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "experiments.train", *self.overrides]

    def done(self) -> bool:
        record = self.record()
        return record is not None and record.finished

    def _shown_variant(self, separator: str) -> str:
        return "".join(f"{separator}{word.partition('=')[2]}" for word in self.variant)

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
    columns: tuple[Column, ...]
    seeds: tuple[int, ...]
    jobs: tuple[Job, ...]
    results: Path
    unprepared: str = ""  # why identities are open, and the remedy

    @property
    def stem(self) -> Path:
        """The table's files without their endings."""
        return self.results / "tables" / self.request.stem

    def missing(self) -> list[Job]:
        """The runs that are not finished: first seeds first, then column by column, so that runs which start from the
        same one do not wait for it side by side."""
        # Two protocols may come to the same run: it is trained once.
        jobs = {job.folder: job for job in reversed(self.jobs)}.values()
        missing = [job for job in reversed(jobs) if not job.done()]
        variants = list(dict.fromkeys(job.variant for job in self.jobs))
        return sorted(missing, key=lambda job: (job.seed, variants.index(job.variant)))

    def required(self) -> list[Needed]:
        """Unfinished runs that missing ones start from."""
        needed = {run.folder: run for job in self.missing() for run in job.requires}.values()
        return [run for run in needed if (record := load_record(run.folder)) is None or not record.finished]

    def finished(self) -> dict[tuple[str, str, tuple[str, ...]], list[Record]]:
        """The finished records by (row key, protocol, column overrides), seeds in order."""
        found: dict[tuple[str, str, tuple[str, ...]], list[Record]] = {}
        for job in self.jobs:
            record = job.record()
            if record is not None and record.finished:
                found.setdefault((job.row.key, job.protocol, job.variant), []).append(record)
        return found


def make_plan(spec: TableSpec, request: Request, resolve: Resolve) -> Plan:
    """Compose every row before any work, so that a mistake in one is found before another is trained.

    Raises:
        UserError: a row, seed count, profile or override that cannot be.
    """
    rows = spec.select(request.profile, list(request.rows) if request.rows else None)
    for what, parts in (("rows", spec.rows), ("columns", spec.columns)):
        fixed = {word.partition("=")[0] for part in parts for word in part.overrides}
        for word in request.overrides:
            if word.partition("=")[0] in fixed:
                remedy = "; choose them with rows=..." if what == "rows" else ""
                raise UserError(f"'{word}': the {what} of table {spec.name} differ in this{remedy}")
    columns = spec.columns_of(request.profile, request.columns)
    variants = tuple(dict.fromkeys(column.overrides for column in columns if column.metric))
    resolved = {
        (row, protocol, variant): (
            overrides := _overrides(spec, request, row, protocol, variant),
            resolve([*overrides, "seed=1"]),
        )
        for protocol in request.protocols
        for row in rows
        for variant in variants
        if any(column.overrides == variant and column.metric and column.has(row.key) for column in columns)
    }
    if not resolved:
        raise UserError(f"table {spec.name}: none of these rows has one of these columns")
    _refuse_idle(request, [where.idle for _, where in resolved.values()])
    seeds = request.seeds or tuple(spec.seeds(request.profile))
    jobs = [
        Job(
            row,
            protocol,
            seed,
            (*(word for word in overrides if key_of(word) not in where.idle), f"seed={seed}"),
            where.folder.with_name(f"seed{seed}"),
            where.identity,
            variant,
            tuple(run.with_seed(seed) for run in where.requires),
            where.config,
        )
        for (row, protocol, variant), (overrides, where) in resolved.items()
        for seed in seeds
    ]
    _refuse_twins(jobs)
    found = [where for _, where in resolved.values()]
    unprepared = next((where.unprepared for where in found if where.unprepared), "")
    return Plan(spec, request, rows, columns, seeds, tuple(jobs), found[0].results, unprepared)


def resolve_config(overrides: list[str], *, open_identity: bool = False) -> Resolved:
    """Compose with the project's own loader, and prepare embedded data, whose checksum the identity needs.

    Args:
        overrides: of one run.
        open_identity: prepare nothing, and where the data is not there leave the identity open instead of refusing.
    """
    from experiments.config import compose_row, ensure_data, identity, run_directory
    from experiments.config.data import Unprepared
    from experiments.config.identity import open_run_directory
    from experiments.config.pretraining import pretraining_config

    def plain(config: DictConfig) -> dict[str, Any]:
        return OmegaConf.to_container(config)  # type: ignore[return-value]

    config, idle = compose_row(overrides)
    requires: tuple[Needed, ...] = ()
    results = Path(config.paths.results)
    try:
        if not open_identity:
            ensure_data(config)
        identity(config)
    except Unprepared as error:
        if not open_identity:
            raise
        return Resolved(open_run_directory(config), OPEN, results, (), plain(config), str(error), idle)
    if "pretraining" in config and config.pretraining.start == "run":
        start = pretraining_config(config)
        requires = (Needed(run_directory(start), plain(start)),)
    return Resolved(run_directory(config), identity(config), results, requires, plain(config), idle=idle)


def _overrides(spec: TableSpec, request: Request, row: Row, protocol: str, variant: tuple[str, ...]) -> list[str]:
    chosen = [f"experiment={spec.experiment}", f"profile={request.profile}", f"protocol={protocol}"]
    given = {word.partition("=")[0] for word in request.overrides}
    own = [word for word in spec.overrides_by_profile.get(request.profile, ()) if word.partition("=")[0] not in given]
    return [*chosen, *row.overrides, *variant, *own, *request.overrides]


def _refuse_idle(request: Request, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse an override that no row reads."""
    for word in request.overrides:
        key = key_of(word)
        if all(key in idle for idle in rows):
            refuse_without_effect({key: rows[0][key]})


def _refuse_twins(jobs: Sequence[Job]) -> None:
    seen: dict[tuple[Path, str], Job] = {}
    for job in jobs:
        twin = seen.setdefault((job.folder, job.protocol), job)
        if twin is not job:
            raise UserError(f"{twin.name} and {job.name} are the same run ({job.identity}); leave one out")
