"""How far a table's runs are, read from their folders: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from experiments.launch import at_once
from experiments.launch.at_once import runs_at_once
from experiments.runs.records import RunFolder
from experiments.tables import progress
from experiments.tables.plan import Job
from experiments.tables.progress import Glance, glance, is_animated, shown_progress
from experiments.tables.spec import Row
from tests.experiments.tables.workshop import Workshop


def job(folder: Path, key: str = "rope", **recipe: int) -> Job:
    return Job(Row(key, key, ()), "controlled", 1, (), folder / key / "seed1", "0", config={"recipe": recipe})


def begin(task: Job) -> RunFolder:
    folder = RunFolder(task.folder)
    folder.begin({"identity": "0", "seed": 1}, manifest={})
    return folder


def valid(update: int, **figures: float) -> dict[str, object]:
    return {"update": update, "split": "valid", "epoch": 3, "loss": 4.0, **figures}


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    assert glance(job(tmp_path)) == Glance(0.0, "", going_on=False)


def test_a_run_that_goes_on_shows_its_part_and_its_last_validation(tmp_path: Path) -> None:
    task = job(tmp_path, max_update=40)
    folder = begin(task)
    with folder.lock():
        assert glance(task) == Glance(0.0, "", going_on=True)
        folder.append(valid(10, perplexity=99.0))
        folder.append({"update": 20, "split": "train", "loss": 5.0, "perplexity": 9.0})
        assert glance(task) == Glance(0.5, "valid ppl 99.00", going_on=True)
    assert not glance(task).going_on, "who is killed leaves a record that says running"


def test_a_recipe_in_epochs_counts_those_that_are_over(tmp_path: Path) -> None:
    task = job(tmp_path, epochs=8)
    folder = begin(task)
    with folder.lock():
        folder.append(valid(10, top1=81.5))
        assert glance(task) == Glance(0.25, "valid top-1 81.50", going_on=True)


def test_a_finished_run_and_a_long_history(tmp_path: Path) -> None:
    task = job(tmp_path, max_update=1000)
    folder = begin(task)
    for update in range(1, 301):
        folder.append({"update": update, "split": "train", "loss": 5.0})
    folder.append(valid(300))
    with folder.lock():
        assert glance(task) == Glance(0.3, "valid loss 4.00", going_on=True)
    folder.close("finished", to_update=300)
    assert glance(task) == Glance(1.0, "valid loss 4.00")


def test_a_damaged_folder_does_not_end_the_table(tmp_path: Path) -> None:
    task = job(tmp_path)
    task.folder.mkdir(parents=True)
    (task.folder / "record.json").write_text("{")
    with shown_progress([task], Console(file=io.StringIO())) as say:
        say("said")


def test_plain_lines_where_no_terminal_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    tasks = [job(tmp_path, "none", max_update=40), job(tmp_path, "rope", max_update=40)]
    folder = begin(tasks[1])
    console = Console(file=out, width=200)
    assert not is_animated(console)
    with folder.lock(), shown_progress(tasks, console) as say:
        folder.append(valid(20, perplexity=99.0))
        say("[a line]")
    lines = out.getvalue().splitlines()
    assert lines[0] == "[a line]"
    assert lines[1].startswith("25% | rope (controlled) seed 1 50%, valid ppl 99.00 | ")


def test_a_bar_per_run_and_one_for_the_table_on_a_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    tasks = [job(tmp_path, "none", max_update=40), job(tmp_path, "rope", max_update=40)]
    folder = begin(tasks[1])
    console = Console(file=out, width=120, force_terminal=True, _environ={"TERM": "xterm"})
    assert is_animated(console)
    with folder.lock(), shown_progress(tasks, console) as say:
        folder.append(valid(20, perplexity=99.0))
        say("a line")
    text = out.getvalue()
    for part in ("none (controlled) seed 1", "rope (controlled) seed 1", "50%", "valid ppl 99.00", "0 of 2 runs"):
        assert part in text
    assert text.index("a line") < text.rindex("the table"), "what is said stands above the bars"


def test_a_terminal_has_bars_so_one_worker_writes_to_a_log_too(workshop: Workshop) -> None:
    console = Console(file=workshop.output, width=120, force_terminal=True, _environ={"TERM": "xterm"})
    assert workshop.table("rows=none", console=console) == 0
    assert (workshop.root / "tables" / "logs" / "alm-demo-controlled" / "none-controlled-seed1.log").is_file()


CORES = [
    # threads of the runs, cores, GPUs, runs at once
    ([1, 1, 1, 1, 1], 2, 0, 2),
    ([1, 1, 1, 1, 1], 1, 0, 1),
    ([1, 1, 1], 64, 0, 3),
    ([2, 2, 2], 4, 0, 2),
    ([4], 2, 0, 1),
    ([None, None], 2, 0, 1),
    ([1, 1], 2, 1, 1),
    ([], 2, 0, 1),
]


@pytest.mark.parametrize(("threads", "cores", "gpus", "expected"), CORES)
def test_runs_at_once_where_nobody_said(
    threads: list[int | None], cores: int, gpus: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "available_cores", lambda: cores)
    monkeypatch.setattr(at_once, "gpu_names", lambda: ["a GPU"] * gpus)
    assert runs_at_once([{"engine": {"threads": count}} for count in threads]) == expected
