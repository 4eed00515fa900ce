"""All runs in one page that needs no network: filter and sort them, compare their curves, metrics and configs.

    python -m experiments.dashboard                        # writes results/dashboard.html
    python -m experiments.dashboard --serve                # http://127.0.0.1:8265/, refreshed while runs go on
    python -m experiments.dashboard --serve 9000

Keys:
    results   the folder that holds runs/                          [LRPE_RESULTS, else results]
    out       the file to write                                    [<results>/dashboard.html]
    serve     a port: serve the page on this machine instead; 0 takes any free one
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.dashboard.page import make_page
from experiments.dashboard.references import published_figures
from experiments.dashboard.server import make_server
from experiments.dashboard.snapshot import link_to, make_snapshot
from experiments.dashboard.store import RunStore
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error
from experiments.util.files import write_atomically

PORT = 8265
TITLE = "lrpe runs"

LOGGER = logging.getLogger("experiments.dashboard")


@dataclass
class Arguments:
    results: str = field(default_factory=lambda: os.environ.get("LRPE_RESULTS", "results"))
    out: str | None = None
    serve: int | None = None


def read_arguments(words: Sequence[str]) -> Arguments:
    """``key=value`` words, and ``--serve [port]`` for ``serve=port``.

    Raises:
        UserError: a word that is neither, or ``out`` and ``serve`` together.
    """
    given = list(words)
    if "--serve" in given:
        place = given.index("--serve")
        port = given[place + 1] if given[place + 1 : place + 2] and given[place + 1].isdecimal() else None
        given[place : place + (1 if port is None else 2)] = [f"serve={port or PORT}"]
    arguments = parse(Arguments, given, __doc__ or "")
    if arguments.serve is not None and arguments.out is not None:
        raise UserError("give either out=<file>, to write the page, or --serve, to serve it")
    return arguments


def write_dashboard(results: Path, out: Path) -> RunStore:
    """Write the page of all runs below ``<results>/runs``, and say what was read.

    Raises:
        UserError: there is no run, or the file cannot be written.
    """
    store = RunStore(results)
    if not store.refresh():
        raise UserError(f"no run below {results / 'runs'}; train one (make demo), or give results=<folder>")
    root = link_to(results, out)
    snapshot = make_snapshot(list(store.runs.values()), root=root, references=published_figures())
    try:
        write_atomically(out, make_page(snapshot, title=TITLE))
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}") from None
    return store


def main() -> int:
    arguments = read_arguments(sys.argv[1:])
    results = Path(arguments.results)
    if arguments.serve is not None:
        return _serve(results, arguments.serve)
    out = Path(arguments.out) if arguments.out else results / "dashboard.html"
    store = write_dashboard(results, out)
    counts = Counter(run.status for run in store.runs.values())
    said = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    print(f"{len(store.runs):,} runs ({said}) -> {out} ({out.stat().st_size / 2**20:.1f} MiB)")
    for run in store.runs.values():
        for problem in run.problems:
            LOGGER.warning(problem)
    return 0


def _serve(results: Path, port: int) -> int:
    server = make_server(results, port, TITLE)
    print(f"serving {results / 'runs'} on http://{server.server_address[0]}:{server.server_port}/ (Ctrl-C ends it)")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    exit_on_user_error(main)
