"""Runs are listed in the state they are in, found by the names people use, and shown whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runs import find_run, scan
from experiments.runs.__main__ import main
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT
from tests.experiments.run_store import config_of, edit_record, write_run
from tests.experiments.runs.conftest import Command


def line_of(text: str, word: str) -> str:
    (line,) = [line for line in text.splitlines() if f" {word} " in line]
    return line


def test_every_state_is_shown_as_such(store: Path, command: Command) -> None:
    code, text = command("list")
    assert code == 0
    expected = {
        "none": "failed",
        "spe": "interrupted",
        "lrpe_d": "dead",
        "permuteformer": "broken",
        "lrpe_unitary": "running",
    }
    for encoding, state in expected.items():
        assert f" {state} " in line_of(text, encoding)
    assert "RuntimeError: boom" in line_of(text, "none")
    assert "30/30" in line_of(text, "lrpe_d"), "how far a killed run came is in its history"
    assert "not a readable record" in line_of(text, "permuteformer")
    assert "7 runs: 1 running, 2 finished, 1 failed, 1 interrupted, 1 dead, 1 broken" in text


def test_a_number_without_a_record_is_a_dash(store: Path, command: Command) -> None:
    _, text = command("list", "metrics=test_perplexity")
    for encoding in ("none", "spe", "lrpe_d", "permuteformer", "lrpe_unitary"):
        assert "–" in line_of(text, encoding)
    assert "22.20" in text


def test_the_result_is_what_the_experiment_measures(tmp_path: Path, command: Command) -> None:
    write_run(tmp_path, experiment="glue", quantity="accuracy", metrics={"valid_accuracy": 0.8125})
    write_run(tmp_path, experiment="imagenet", quantity="top1", metrics={"valid_top1": 71.5, "test_top1": 70.25})
    write_run(tmp_path, metrics={"test_perplexity_at_512": 1.0})
    text = command("list")[1]
    for shown in ("valid accuracy 0.8125", "test top1 70.25", "test perplexity 22.20"):
        assert shown in text


@pytest.mark.parametrize(
    ("words", "encodings"),
    [
        (["encoding=lrpe_*"], {"lrpe_d", "lrpe_unitary"}),
        (["encoding=rope,none"], {"rope", "none"}),
        (["status=dead,broken"], {"lrpe_d", "permuteformer"}),
        (["seed=2"], {"rope"}),
        (["experiment=alm", "profile=demo", "protocol=controlled", "data=pydoc", "status=failed"], {"none"}),
        (["profile=paper"], set()),
    ],
)
def test_filters(store: Path, command: Command, words: list[str], encodings: set[str]) -> None:
    text = command("list", *words)[1]
    every = {"rope", "none", "spe", "lrpe_d", "permuteformer", "lrpe_unitary"}
    assert {name for name in every if f" {name} " in text} == encodings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lst"], "did you mean 'list'"),
        (["list", "encoding=rop"], "did you mean 'rope'"),
        (["list", "status=finish"], "did you mean 'finished'"),
        (["list", "seed=one"], "expected a number"),
        (["list", "encodng=rope"], "did you mean 'encoding'"),
        (["list", "metrics=test_perplexty"], "did you mean 'test_perplexity'"),
        (["list", "rope"], "expected key=value"),
        (["show"], "takes 1 run, got 0"),
        (["compare", "rope/1"], "takes 2 runs, got 1"),
        (["export", "out=runs.xlsx"], r"ends in \.csv"),
    ],
)
def test_mistakes_are_one_message(store: Path, command: Command, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command(*words)


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        main(["list", f"results={tmp_path / 'nowhere'}"])


def test_runs_are_found_by_folder_encoding_and_identity(store: Path) -> None:
    (rope,) = [run for run in scan(store) if (run.keys["encoding"], run.keys["seed"]) == ("rope", "2")]
    identity = rope.keys["identity"]
    for name in (
        str(rope.folder), "rope/2", "rope/seed2", "alm/rope/2", f"{identity}/2", f"{identity[:5]}/seed2",
        f"rope-{identity}/seed2", f"alm/rope-{identity}/2",
    ):  # fmt: skip
        assert find_run(name, store).folder == rope.folder, name
    assert find_run("spe", store).keys["encoding"] == "spe", "the seed may be left out where there is one"


def test_names_that_mean_several_or_none_are_answered_with_names(store: Path) -> None:
    with pytest.raises(UserError, match=r"'rope' is 2 runs: rope-\w{8}/seed1, rope-\w{8}/seed2; name one"):
        find_run("rope", store)
    with pytest.raises(UserError, match=r"no run 'rope/3'; the nearest: rope-"):
        find_run("rope/3", store)
    with pytest.raises(UserError, match="no run 'permutformer'; the nearest: permuteformer-"):
        find_run("permutformer", store)
    with pytest.raises(UserError, match="there are no runs"):
        find_run("rope", store / "runs")


def test_show_has_record_metrics_config_provenance_and_history(store: Path, command: Command) -> None:
    code, text = command("show", "rope/1", "rows=2")
    assert code == 0
    for said in ("finished", "valid_loss ", "recipe.learning_rate", "git.commit", "the last 2 of 6 rows", "AMD EPYC"):
        assert said in text
    assert len(re.findall(r"^ +30 +7,680 ", text, re.MULTILINE)) == 2
    for name, said in (("permuteformer", "not a readable record"), ("lrpe_d", "dead"), ("none", "boom")):
        assert said in command("show", name)[1]


def test_what_records_hold_is_printed_as_it_is(tmp_path: Path, command: Command) -> None:
    folder = write_run(tmp_path, status="failed")
    edit_record(folder, error="[bold]KeyError[/bold]: [/oops]")
    assert "[bold]KeyError[/bold]: [/oops]" in command("list")[1]
    assert "[bold]KeyError[/bold]: [/oops]" in command("show", "rope")[1]


def test_compare_shows_what_differs_and_nothing_else(tmp_path: Path, command: Command) -> None:
    write_run(tmp_path, loss=3.0)
    other = config_of(recipe__learning_rate=0.001, engine__device="cpu", recipe__warmup_updates=5)
    folder = write_run(tmp_path, loss=2.5, config=other)
    edit_record(folder, manifest__python="3.12.1")
    code, text = command(
        "compare", *(str(run.folder) for run in sorted(scan(tmp_path), key=lambda r: -r.metrics["valid_loss"]))
    )
    assert code == 0
    for key, left, right in (
        ("recipe.learning_rate", "0.004", "0.001"),
        ("recipe.warmup_updates", "–", "5"),
        ("engine.device", "auto", "cpu"),
        ("python", "3.11.7", "3.12.1"),
        ("valid_loss", "3", "2.5"),
    ):
        assert line_of(text, key).split()[:3] == [key, left, right]
    assert line_of(text, "valid_loss").split()[3] == "-0.5"
    assert "model.num_layers" not in text
    assert text.index("recipe.learning_rate") < text.index("where and how") < text.index("engine.device")


def test_a_thousand_runs_are_one_list(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    for seed in range(250):
        for encoding, status in (("rope", "finished"), ("none", "failed"), ("spe", "interrupted"), ("lrpe_d", "dead")):
            write_run(tmp_path, encoding=encoding, status=status, seed=seed)
    assert "1000 runs: 250 finished, 250 failed, 250 interrupted, 250 dead" in command("list")[1]
    assert command("verify") == (0, "1000 runs verified: all is well\n")


def test_the_entry_point_prints_its_usage_and_its_errors(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "experiments.runs", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "compare RUN RUN" in run("--help").stdout
    refused = run("show", "rope", f"results={tmp_path}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: 'rope': there are no runs")
