"""Eight processes that start the same thing in the same moment: every run is trained once, and each ends sensibly."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from experiments import table, train
from experiments.runs.records import Record, RunFolder
from experiments.runs.store import scan
from experiments.util.errors import exit_on_user_error
from experiments.util.files import FIELD, file_checksum, record_checksum
from tests.experiments.conftest import TINY, environment
from tests.faults.counts import Tally
from tests.faults.moments import SECONDS, SERVER

PROCESSES = 8
UPDATES = 6
WORDS = [*TINY, f"recipe.max_update={UPDATES}", "recipe.validate_interval_updates=3"]


def _train(words: Sequence[str]) -> None:
    sys.argv = ["experiments.train", *words]
    train.main()


def _table(words: Sequence[str]) -> None:
    exit_on_user_error(lambda: table.main(words, launch=_launch))


def _launch(command: Sequence[str], log: Path | None, settings: Mapping[str, str]) -> int:
    """A table's run: ``python -m experiments.train words...`` in a fork of the table."""
    return _ended(_fork(_train, command[3:]))


def _fork(main: Callable[[Sequence[str]], None], words: Sequence[str], printed: Path | None = None) -> int:
    """Start a command in a fork of this process, which has imported everything; the child's number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if printed is not None:
            with printed.open("w") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
        main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _start_eight(
    main: Callable[[Sequence[str]], None], words: Sequence[str], settings: Mapping[str, str], results: Path
) -> None:
    os.environ.update(settings)
    logging.getLogger().handlers.clear()  # fairseq's import has set up logging, which a table's process does without
    children = [_fork(main, words, results / f"printed{number}.txt") for number in range(PROCESSES)]
    (results / "codes.json").write_text(json.dumps([_ended(child) for child in children]))


def eight(
    main: Callable[[Sequence[str]], None], words: Sequence[str], data: Path, results: Path
) -> tuple[list[int], list[str]]:
    """Exit codes, and what each process printed."""
    mother = SERVER.Process(target=_start_eight, args=(main, words, environment(data, results), results))
    mother.start()
    mother.join(SECONDS)
    if mother.exitcode is None:
        mother.kill()
    printed = [path.read_text() for path in sorted(results.glob("printed*.txt"))]
    assert mother.exitcode == 0, printed
    return json.loads((results / "codes.json").read_text()), printed


def assert_trained_once(results: Path, runs: int) -> list[Record]:
    records = [run.record for run in scan(results) if run.record is not None]
    assert len(records) == runs
    for record in records:
        assert record["status"] == "finished"
        assert [segment["from_update"] for segment in record["segments"]] == [0], "begun once"
        assert record[FIELD] == record_checksum(record)
        assert record["history_sha256"] == file_checksum(record.folder / "history.jsonl")
        updates = [row["update"] for row in RunFolder(record.folder).history() if row["split"] == "train"]
        assert updates == list(range(1, UPDATES + 1))
    assert not [path for path in results.rglob("*") if ".partial-" in path.name or ".holder" in path.name]
    return records


@pytest.mark.faults
def test_eight_sweeps_share_their_runs(tiny_data: Path, tmp_path: Path, tally: Tally) -> None:
    with tally("the same sweep started at once", PROCESSES):
        codes, printed = eight(_train, ["-m", *WORDS, "encoding=rope", "seed=1,2,3"], tiny_data, tmp_path)
        assert codes == [0] * PROCESSES, printed
        assert_trained_once(tmp_path, runs=3)
        assert len(list(tmp_path.glob("sweeps/*"))) == PROCESSES, "each has a folder of its own"
        assert not any("error" in text or "Traceback" in text for text in printed)


@pytest.mark.faults
def test_eight_tables_share_their_runs(tiny_data: Path, tmp_path: Path, tally: Tally) -> None:
    with tally("the same table started at once", PROCESSES):
        words = ["table=alm", "rows=none,rope", "seeds=1", *WORDS]
        codes, printed = eight(_table, words, tiny_data, tmp_path)
        assert codes == [0] * PROCESSES, printed
        records = assert_trained_once(tmp_path, runs=2)
        (written,) = tmp_path.glob("tables/*.md")
        for record in records:
            assert f"{record['metrics']['valid_perplexity']:,.2f}" in written.read_text()
        curves = written.with_name(f"{written.stem}-curves.pdf").read_bytes()
        assert (curves[:5], curves.rstrip()[-5:]) == (b"%PDF-", b"%%EOF")


@pytest.mark.faults
def test_eight_starts_of_one_run_train_it_once(tiny_data: Path, tmp_path: Path, tally: Tally) -> None:
    with tally("the same run started at once", PROCESSES):
        codes, printed = eight(_train, [*WORDS, "encoding=rope"], tiny_data, tmp_path)
        assert_trained_once(tmp_path, runs=1)
        refused = [text for code, text in zip(codes, printed, strict=True) if code]
        assert {code for code in codes if code} <= {2}
        assert len(refused) < PROCESSES
        for text in refused:
            assert text.count("error: ") == 1
            assert "is in use by process" in text
