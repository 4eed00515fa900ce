"""Tasks as jobs: one array, dependencies, nothing submitted twice, the dead are named, and nobody waits for ever."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import pytest

from experiments.launch.processes import Stopped
from experiments.runs.records import RunFolder
from experiments.tables.runner import run_tasks
from experiments.util.errors import UserError
from tests.experiments.launch.slurm.login import Login, write
from tests.experiments.launch.slurm.stand_in import StandIn


def test_tasks_are_one_array_and_their_ends_are_seen(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    outcomes = login.begin(*(login.task(name) for name in "abc"))
    assert slurm.arrays == [12]
    assert slurm.option(12, "array") == "0-2%4"
    assert slurm.option(12, "partition") == "gpu"
    slurm.run(12, write)
    text = login.end()
    assert [outcomes[name].problem for name in "abc"] == ["", "", ""]
    logs = tmp_path / "results" / "slurm" / "logs"
    assert f"submitted 12_[0-2]: 3 jobs; logs: {logs}/12_*.log" in text
    assert slurm.option(12, "output") == f"{logs}/%A_%a.log"
    assert outcomes["b"].log == logs / "12_1.log"


def test_a_task_waits_for_the_job_of_the_run_that_it_starts_from(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    tasks = [login.task("p"), login.task("q"), login.task("p1", "p"), login.task("q1", "q"), login.task("p2", "p")]
    login.begin(login.task("alone"), *tasks)
    assert slurm.arrays == [12, 13, 14], "what starts from the same run shares an array"
    names = [[Path(command[1]).name for command in slurm.commands(array)] for array in slurm.arrays]
    assert names == [["alone", "p", "q"], ["p1", "p2"], ["q1"]]
    assert [slurm.option(array, "dependency") for array in slurm.arrays] == [None, "afterok:12_1", "afterok:12_2"]
    assert "--kill-on-invalid-dep=yes" in slurm.script(13)
    for array in slurm.arrays:
        slurm.run(array, write)
    assert "submitted 13_[0-1]: 2 jobs, after 12_1;" in login.end()


def test_nothing_waits_for_a_run_that_is_finished(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    write(login.task("p").command)
    login.begin(login.task("p"), login.task("p1", "p"))
    assert [slurm.option(array, "dependency") for array in slurm.arrays] == [None]
    assert len(slurm.commands(12)) == 1
    slurm.run(12, write)
    login.end()


def test_the_same_command_again_waits_for_the_same_jobs(slurm: StandIn, tmp_path: Path) -> None:
    first, second = Login(tmp_path / "results"), Login(tmp_path / "results")
    first.begin(first.task("a"), first.task("b"))
    slurm.set("12_0", "RUNNING")
    outcomes = second.begin(second.task("b"), second.task("a"), second.task("c"), second.task("b1", "b"))
    assert slurm.arrays == [12, 13, 14]
    assert [command[1].rpartition("/")[2] for array in (13, 14) for command in slurm.commands(array)] == ["c", "b1"]
    assert slurm.option(14, "dependency") == "afterok:12_1", "on another command's job too"
    for array in slurm.arrays:
        slurm.run(array, write)
    assert "2 jobs are queued or running already: 12_[0-1]" in second.end()
    assert {name: outcome.problem for name, outcome in outcomes.items()} == dict.fromkeys(("a", "b", "c", "b1"), "")
    first.end()


def test_a_job_that_died_is_submitted_again_by_the_same_command(slurm: StandIn, tmp_path: Path) -> None:
    first = Login(tmp_path / "results")
    first.begin(first.task("a"))
    slurm.set("12_0", "CANCELLED")
    first.end()
    second = Login(tmp_path / "results")
    second.begin(second.task("a"))
    assert slurm.arrays == [12, 13]
    slurm.run(13, write)
    second.end()


@pytest.mark.parametrize("accounting", [True, False])
@pytest.mark.parametrize("word", ["CANCELLED", "OUT_OF_MEMORY", "NODE_FAIL", "FAILED"])
def test_the_dead_are_named_with_their_logs_and_the_others_are_awaited(
    slurm: StandIn, tmp_path: Path, word: str, accounting: bool
) -> None:
    login = Login(tmp_path / "results")
    outcomes = login.begin(login.task("a"), login.task("b"), login.task("c"))
    slurm.set("12_0", word)
    if accounting:
        (slurm.folder / "accounts").write_text(f"12_1|{word} by 0|65\n")
    slurm.set("12_1", None)
    slurm.set("12_2", "RUNNING")
    write(login.task("c").command)
    slurm.set("12_2", None)
    login.end()
    logs = tmp_path / "results" / "slurm" / "logs"
    assert outcomes["a"].problem == f"job 12_0 ended as {word}; its log: {logs}/12_0.log"
    how = word if accounting else "UNKNOWN (neither squeue nor sacct knows it)"
    assert outcomes["b"].problem == f"job 12_1 ended as {how}; its log: {logs}/12_1.log"
    assert outcomes["c"].problem == ""


def test_a_requeued_job_is_waited_for(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    outcomes = login.begin(login.task("a"))
    for state in ("RUNNING", "COMPLETING", "PENDING", "RUNNING"):
        slurm.set("12_0", state, "BeginTime")
        threading.Event().wait(0.1)
    assert not outcomes
    slurm.run(12, write)
    login.end()
    assert outcomes["a"].problem == ""


def test_a_controller_that_is_away_is_said_once_and_asked_again(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    login.begin(login.task("a"))
    (slurm.folder / "down").write_text("slurm_load_jobs error: Unable to contact slurm controller\n")
    threading.Event().wait(0.3)
    slurm.run(12, write)
    (slurm.folder / "down").unlink()
    said = login.end()
    assert said.count("SLURM does not answer (slurm_load_jobs error: Unable to contact slurm controller)") == 1


def test_a_line_of_progress(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    login.begin(*(login.task(name) for name in "abcde"))
    write(login.task("a").command)
    for job, state in (("12_0", "COMPLETED"), ("12_1", "CANCELLED"), ("12_2", "RUNNING")):
        slurm.set(job, state)
    expected = re.compile(
        r"\d\d:\d\d  2 queued \(Priority 2\), 1 running, 1 finished, 1 failed; about .* left|.*unknown yet"
    )
    deadline = threading.Event()
    for _ in range(200):
        if any(expected.fullmatch(line) and "1 failed" in line for line in login.said):
            break
        deadline.wait(0.05)
    else:
        pytest.fail("\n".join(login.said))
    slurm.run(12, write)
    login.end()


def test_a_run_that_a_process_outside_of_slurm_trains_gets_no_job_until_it_is_given_up(
    slurm: StandIn, tmp_path: Path
) -> None:
    login = Login(tmp_path / "results")
    with RunFolder(login.task("a").folder).lock():
        login.begin(login.task("a"), login.task("b"))
        assert [command[1][-1] for command in slurm.commands(12)] == ["b"]
    for _ in range(200):
        if slurm.arrays == [12, 13]:
            break
        threading.Event().wait(0.05)
    for array in slurm.arrays:
        slurm.run(array, write)
    assert re.search(rf"a: in use by process {os.getpid()} on .*; waiting for it", login.end())


def test_an_interrupt_leaves_the_jobs_and_says_how_to_end_them(slurm: StandIn, tmp_path: Path) -> None:
    login = Login(tmp_path / "results")
    tasks = [login.task(name) for name in "abc"]

    def interrupt() -> None:
        while not any("submitted" in line for line in login.said):
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped):
        run_tasks(tasks, login.executor, (), login.said.append)
    assert "3 jobs go on" in login.executor.farewell
    assert login.executor.farewell.endswith("scancel 12_[0-2]")


def test_a_refusal_is_one_line_in_sbatchs_words(slurm: StandIn, tmp_path: Path) -> None:
    (slurm.folder / "refusal").write_text(
        "sbatch: error: invalid partition specified: nosuch\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    )
    login = Login(tmp_path / "results")
    with pytest.raises(UserError, match="^sbatch: error: invalid partition specified: nosuch; sbatch: error: Batch"):
        login.begin(login.task("a"))


def test_without_slurm_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    login = Login(tmp_path / "results")
    with pytest.raises(UserError, match="no sbatch on this machine"):
        login.begin(login.task("a"))


def test_an_interrupt_while_sbatch_runs_leaves_no_job_without_its_note(slurm: StandIn, tmp_path: Path) -> None:
    program = slurm.bin / "sbatch"
    program.write_text(program.read_text().replace("echo $number", "sleep 1; echo $number"))
    login = Login(tmp_path / "results")
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Stopped):
        run_tasks([login.task("a")], login.executor, (), login.said.append)
    assert slurm.arrays == [12]
    assert login.executor.farewell.endswith("scancel 12_0")
    second = Login(tmp_path / "results")
    second.begin(second.task("a"))
    slurm.run(12, write)
    assert "1 jobs are queued or running already: 12_0" in second.end()
    assert slurm.arrays == [12]


@pytest.mark.parametrize("word", ["CANCELLED", None])
def test_what_starts_from_a_run_that_failed_says_so(slurm: StandIn, tmp_path: Path, word: str | None) -> None:
    """A job that SLURM cancels because of its dependency is forgotten at once, unless there is accounting."""
    login = Login(tmp_path / "results")
    outcomes = login.begin(login.task("p"), login.task("p1", "p"))
    slurm.set("12_0", "FAILED")
    slurm.set("13_0", word, "DependencyNeverSatisfied")
    login.end()
    assert outcomes["p"].problem.startswith("job 12_0 ended as FAILED;")
    how = "(it starts from the run of job 12_0, which did not finish)"
    assert f"job 13_0 ended as {word or 'UNKNOWN'} {how}; its log:" in outcomes["p1"].problem
