"""What a person asked for on the command line of ``experiments.table``."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from experiments.config.overrides import MAX_SWEEP_RUNS, key_of
from experiments.launch.launching import KEYS, Launching, is_launcher_word, parse_launching
from experiments.tables.spec import CONF, table_names
from experiments.util.errors import UserError, nearest

REFERENCES = "references"  # the one word that is no key=value
OWN_KEYS = ("table", "profile", "protocol", "seeds", "rows", "columns", *KEYS, "dry_run", "render_only")
# Overrides of these say where and how to run, not what: the table keeps its name.
_NOT_SCIENTIFIC = ("tracker", "paths", "engine", "data.folder", "hydra", "local")

USAGE = """\
Train what is missing of a table, then render it as Markdown, LaTeX, CSV and HTML.

usage: python -m experiments.table table=NAME [profile=demo] [protocol=controlled] [key=value ...]
       python -m experiments.table references    check results/paper, and say how many figures are entered

  table=NAME           one of: {tables}
  profile=NAME         demo (CPU, minutes), laptop (CPU, a night), small (one GPU, hours), paper; default demo
  protocol=NAME        controlled (default), published, or both: side by side, with the change in rank
  seeds=5              seeds 1 to 5; a list names them: seeds=1,2,3 (one seed alone: seeds=7,)
  rows=a,b             these rows only
  columns=a,b          these columns only, and their runs (e.g. tasks: columns=cola,rte)
  jobs=N               train N runs at a time; each writes to a log file. Without it: as many as there are cores
                       where the profile fixes the threads of a run (demo and laptop of alm, say), else one
  launcher=slurm       train each run as a job of SLURM, with hydra.launcher.KEY=VALUE (docs/clusters-tables.md)
  wait=false           with launcher=slurm: submit and leave; the same command waits, render_only=true renders
  dry_run=true         (or --dry-run) only say what would be trained, and how long similar runs took
  render_only=true     train nothing, render what is finished
  any other key=value  goes to every run, as for python -m experiments.train

examples:
  python -m experiments.table table=alm profile=demo
  python -m experiments.table table=alm profile=demo rows=none,rope seeds=3 tracker=disabled
  python -m experiments.table table=alm profile=paper protocol=published seeds=1,2,3 jobs=4
  python -m experiments.table table=alm profile=paper dry_run=true
  python -m experiments.table table=alm profile=paper launcher=slurm hydra.launcher.partition=gpu

A finished run is not trained again and a broken one is resumed, so the same command completes an unfinished table.
Exit code: 0 all runs are there, 1 some failed (they are named at the end), 2 bad input, 130 interrupted.
"""


@dataclass(frozen=True)
class Request:
    table: str
    profile: str = "demo"
    protocols: tuple[str, ...] = ("controlled",)
    seeds: tuple[int, ...] | None = None
    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    launching: Launching = field(default_factory=Launching)
    dry_run: bool = False
    render_only: bool = False
    overrides: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The name of the table's files; overrides that change results give a name of their own."""
        name = f"{self.table}-{self.profile}-{'-'.join(self.protocols)}"
        if changed := [word for word in self.overrides if _is_scientific(word)]:
            name += "-" + hashlib.sha256("\n".join(sorted(changed)).encode()).hexdigest()[:6]
        return name


def parse_request(arguments: Sequence[str]) -> Request:
    """Read ``key=value`` words; ``--help`` prints the usage and ends the program.

    Raises:
        UserError: a word that is no key=value, a misspelt key, or a value out of range.
    """
    if any(word in ("-h", "--help", "help") for word in arguments):
        print(USAGE.format(tables=", ".join(table_names())))
        sys.exit(0)
    given: dict[str, str] = {}
    overrides: list[str] = []
    settings: list[str] = []
    for word in ("dry_run=true" if word == "--dry-run" else word for word in arguments):
        key, equals, value = word.partition("=")
        if not equals or not key or word.startswith("-"):
            raise UserError(f"'{word}': expected key=value, e.g. table=alm (python -m experiments.table --help)")
        if key in given:
            raise UserError(f"'{word}': {key} is given twice; leave one out")
        if key in OWN_KEYS:
            given[key] = value
        elif is_launcher_word(word):
            settings.append(word)
        else:
            overrides.append(_checked(word, key))
    if "table" not in given:
        raise UserError(f"table=... is missing (choices: {', '.join(table_names())})")
    return Request(
        table=given["table"],
        profile=given.get("profile", "demo"),
        protocols=_protocols(given.get("protocol", "controlled")),
        seeds=_seeds(given["seeds"]) if "seeds" in given else None,
        rows=_names("rows", given["rows"]) if "rows" in given else None,
        columns=_names("columns", given["columns"]) if "columns" in given else None,
        launching=_launching(given, settings),
        dry_run=_truth("dry_run", given.get("dry_run", "false")),
        render_only=_truth("render_only", given.get("render_only", "false")),
        overrides=tuple(overrides),
    )


def _launching(given: dict[str, str], settings: Sequence[str]) -> Launching:
    jobs = _positive("jobs", given["jobs"]) if "jobs" in given else None
    launching = parse_launching(given, settings, jobs, _truth("wait", given.get("wait", "true")))
    if launching.on_slurm and jobs is not None:
        raise UserError(f"jobs={jobs} has no effect with launcher=slurm; hydra.launcher.array_parallelism={jobs} has")
    if launching.on_slurm and _truth("render_only", given.get("render_only", "false")):
        raise UserError("launcher=slurm has no effect with render_only=true, which trains nothing; leave one out")
    return launching


def _checked(word: str, key: str) -> str:
    if key in ("seed", "experiment"):
        instead = "seeds=1,2,3" if key == "seed" else "table=..., which names its experiment"
        raise UserError(f"'{word}': a table takes {instead}")
    own = key.partition(".")[0]
    if own in OWN_KEYS and own not in ("profile", "protocol"):  # these are groups of a run's keys, too
        raise UserError(f"unknown key '{key}'; did you mean '{own}'? (python -m experiments.table --help)")
    # The keys of a run are checked where its config is composed; here only near misses of the table's own.
    is_group = (CONF.parent / key).is_dir()
    if key.isidentifier() and not is_group and (hint := nearest(key, OWN_KEYS)):
        raise UserError(f"unknown key '{key}'{hint} (python -m experiments.table --help)")
    return word


def _is_scientific(word: str) -> bool:
    key = key_of(word)
    if key.startswith("engine.fairseq"):
        return True
    return not any(key == other or key.startswith(other + ".") for other in _NOT_SCIENTIFIC)


def _protocols(value: str) -> tuple[str, ...]:
    names = ("published", "controlled") if value == "both" else _names("protocol", value)
    return tuple(sorted(names, key=lambda name: name != "published"))  # what changes is read from published on


def _names(key: str, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.strip("[]").split(",") if name.strip()))
    if not names:
        raise UserError(f"{key}={value}: expected a name, or several with commas")
    return names


def _seeds(value: str) -> tuple[int, ...]:
    listed = _names("seeds", value)
    try:
        numbers = [int(word) for word in listed]
    except ValueError:
        raise UserError(f"seeds={value}: expected how many (seeds=5) or which (seeds=1,2,3)") from None
    if "," in value:
        if min(numbers) < 0:
            raise UserError(f"seeds={value}: a seed is 0 or more")
        return tuple(sorted(numbers))
    return tuple(range(1, _positive("seeds", value) + 1))


def _positive(key: str, value: str) -> int:
    number = value.strip("[]")
    if not number.isdecimal() or not 1 <= int(number) <= MAX_SWEEP_RUNS:
        raise UserError(f"{key}={value}: expected a whole number of at least 1 and at most {MAX_SWEEP_RUNS}")
    return int(number)


def _truth(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise UserError(f"{key}={value}: expected true or false")
    return value.lower() == "true"
