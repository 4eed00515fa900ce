"""Whole runs through the real entry point: finish, skip, break and resume bit for bit, several processes."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.launch.exit_codes import REQUEUE
from tests.experiments.conftest import ROOT, TINY, environment, only_run, run_train
from tests.experiments.engine.support import (
    close_weights,
    curve_of,
    kill_at,
    record_of,
    same_weights,
    wait_for_update,
    weights_of,
)


@pytest.fixture(scope="module")
def unbroken(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the broken ones must equal."""
    results = tmp_path_factory.mktemp("unbroken")
    run_train(tiny_data, results, "encoding=lrpe_unitary_learned")
    return only_run(results)


def test_a_run_leaves_a_whole_record(unbroken: Path) -> None:
    record = record_of(unbroken)
    assert record["status"] == "finished"
    assert record["updates"] == 12
    assert record["tokens"] == 12 * 4 * 32
    assert record["metrics"]["valid_perplexity"] > 1
    assert record["metrics"]["test_perplexity"] > 1
    assert record["metrics"]["unigram_perplexity"] > 1
    assert record["parameters"]["total"] > record["parameters"]["encoding"]
    assert record["parameters"]["encoding"] > 0
    assert record["tokens_per_second"] > 0
    assert record["peak_memory_bytes"] > 1e6
    assert record["manifest"]["data"]["identity"]
    rows = curve_of(unbroken)
    best = min(row["loss"] for row in rows if row["split"] == "valid")
    assert record["metrics"]["valid_loss"] == pytest.approx(best, abs=1e-3), "validation skips no token"
    assert [row["update"] for row in rows if row["split"] == "train"] == list(range(1, 13))
    assert [row["update"] for row in rows if row["split"] == "valid"] == [4, 8, 12]


def test_a_run_validates_at_the_end_of_every_epoch(tiny_data: Path, tmp_path: Path) -> None:
    interval = ["recipe.validate_interval_updates=null", "recipe.validate_interval_epochs=1"]
    run_train(tiny_data, tmp_path, *interval, "recipe.batch_size=16", "engine.samples_per_device=16")
    rows = [json.loads(line) for line in (only_run(tmp_path) / "history.jsonl").read_text().splitlines()]
    epochs = [row["epoch"] for row in rows if row["split"] == "train"]
    ends = [update for update, (now, then) in enumerate(itertools.pairwise(epochs), 1) if then != now]
    assert len(ends) > 1
    assert [row["update"] for row in rows if row["split"] == "valid"] == sorted({*ends, 12})


def test_a_finished_run_is_not_done_again(unbroken: Path, tiny_data: Path) -> None:
    before = (unbroken / "record.json").stat().st_mtime_ns
    done = run_train(tiny_data, unbroken.parents[3], "encoding=lrpe_unitary_learned", "tracker=disabled")
    assert "finished before" in done.stdout
    assert (unbroken / "record.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("update", [*(pytest.param(early, marks=pytest.mark.slow) for early in (1, 6)), 9])
def test_killed_and_restarted_equals_unbroken(update: int, unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    kill_at(update, tiny_data, tmp_path, [*TINY, "encoding=lrpe_unitary_learned"])
    broken = only_run(tmp_path)
    assert record_of(broken)["status"] == "running"
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    assert record_of(broken)["status"] == "finished"
    assert same_weights(weights_of(broken), weights_of(unbroken))
    assert curve_of(broken) == curve_of(unbroken)
    assert record_of(broken)["metrics"] == record_of(unbroken)["metrics"]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_a_warning_writes_a_checkpoint_at_once_and_asks_for_requeueing(
    number: int, unbroken: Path, tiny_data: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "experiments.train", *TINY, "encoding=lrpe_unitary_learned"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(tiny_data, tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_update(tmp_path, 5, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == REQUEUE
    assert "the same command resumes it" in errors
    assert "Traceback" not in errors
    stopped = record_of(only_run(tmp_path))
    assert stopped["status"] == "interrupted"
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    resumed = record_of(only_run(tmp_path))
    assert resumed["segments"][1]["from_update"] == stopped["updates"] >= 5, "no update is done twice"
    assert same_weights(weights_of(only_run(tmp_path)), weights_of(unbroken))
    assert curve_of(only_run(tmp_path)) == curve_of(unbroken)
    assert resumed["metrics"] == record_of(unbroken)["metrics"]


def test_seeds_differ_and_the_same_seed_repeats(unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path / "a", "encoding=lrpe_unitary_learned", "engine.num_workers=2")
    run_train(tiny_data, tmp_path / "b", "encoding=lrpe_unitary_learned", "seed=2")
    assert same_weights(weights_of(only_run(tmp_path / "a")), weights_of(unbroken))
    assert not same_weights(weights_of(only_run(tmp_path / "b")), weights_of(unbroken))


def test_accumulation_equals_the_whole_batch(tiny_data: Path, tmp_path: Path) -> None:
    plain = ["encoding=rope", "model.dropout=0", "recipe.max_update=4"]
    run_train(tiny_data, tmp_path / "whole", *plain, "engine.samples_per_device=4")
    run_train(tiny_data, tmp_path / "parts", *plain, "engine.samples_per_device=1")
    close_weights(weights_of(only_run(tmp_path / "whole")), weights_of(only_run(tmp_path / "parts")))


def test_two_processes_equal_one(tiny_data: Path, tmp_path: Path) -> None:
    plain = ["encoding=lrpe_orthogonal", "model.dropout=0", "recipe.max_update=4"]
    run_train(tiny_data, tmp_path / "one", *plain)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run_train(tiny_data, tmp_path / "two", *plain, launcher=launcher)
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.parent.name == two.parent.name
    close_weights(weights_of(one), weights_of(two))
    assert record_of(two)["status"] == "finished"
    assert record_of(two)["metrics"]["test_loss"] == pytest.approx(record_of(one)["metrics"]["test_loss"], rel=1e-4)


def test_bf16_trains(tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned", "recipe.precision=bf16", "recipe.max_update=4")
    folder = only_run(tmp_path)
    losses = [row["loss"] for row in curve_of(folder) if row["split"] == "train"]
    assert losses[-1] < losses[0]
    angles = [weight for name, weight in weights_of(folder).items() if "angle" in name]
    assert angles
    assert all(weight.dtype == torch.float32 for weight in angles), "angles keep their precision in a bf16 model"


def test_truncated_last_checkpoint_falls_back(tiny_data: Path, tmp_path: Path, unbroken: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    folder = only_run(tmp_path)
    record = record_of(folder)
    (folder / "record.json").write_text(json.dumps({**record, "status": "interrupted"}))
    last = folder / "checkpoints" / "checkpoint_last.pt"
    numbered = sorted((folder / "checkpoints").glob("checkpoint_*_*.pt"))
    assert numbered
    last.unlink()
    last.write_bytes(b"torn")
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    assert same_weights(weights_of(folder), weights_of(unbroken))


def test_unreadable_checkpoints_are_one_message(tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=none", "recipe.max_update=4")
    folder = only_run(tmp_path)
    (folder / "record.json").write_text(json.dumps({**record_of(folder), "status": "interrupted"}))
    for path in (folder / "checkpoints").glob("*.pt"):
        path.unlink()
        path.write_bytes(b"torn")
    done = run_train(tiny_data, tmp_path, "encoding=none", "recipe.max_update=4", check=False)
    assert done.returncode == 2
    assert "cannot read the checkpoint" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_runs_every_combination_and_only_what_is_missing(tiny_data: Path, tmp_path: Path) -> None:
    sweep = ["-m", "encoding=none,rope", "seed=1,2", "recipe.max_update=2", "recipe.warmup_updates=1"]
    first = run_train(tiny_data, tmp_path, *sweep)
    assert len(list(tmp_path.glob("runs/*/*/seed*/record.json"))) == 4
    assert "finished before" not in first.stdout
    again = run_train(tiny_data, tmp_path, *sweep)
    assert again.stdout.count("finished before") == 4


@pytest.mark.parametrize(
    "overrides",
    [
        ["attention=softmax", "encoding=lrpe_unitary"],
        ["model.adaptive_cutoffs=[20,40]", "model.final_norm=false", "encoding=rope"],
        ["protocol=published", "encoding=spe"],
        ["protocol=published", "encoding=permuteformer"],
        ["encoding=spe_conv", "encoding.options.kernel_size=8"],
        ["encoding=absolute_learned", "recipe.schedule=polynomial_decay"],
        pytest.param(["encoding=lrpe_orthogonal", "engine.compile=true"], marks=pytest.mark.slow),
    ],
)
def test_other_models_train_and_are_scored(overrides: list[str], tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, *overrides, "recipe.max_update=6")
    folder = only_run(tmp_path)
    losses = [row["loss"] for row in curve_of(folder) if row["split"] == "train"]
    assert losses[-1] < losses[0]
    metrics = record_of(folder)["metrics"]
    best = min(row["loss"] for row in curve_of(folder) if row["split"] == "valid")
    if "spe" not in overrides[1]:  # published SPE draws new noise at every evaluation
        assert metrics["valid_loss"] == pytest.approx(best, abs=1e-3)


def test_a_run_killed_after_its_last_update_makes_no_further_one(tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=none", "recipe.max_update=4")
    folder = only_run(tmp_path)
    finished, weights = record_of(folder), weights_of(folder)
    (folder / "record.json").write_text(json.dumps({**finished, "status": "running"}))
    run_train(tiny_data, tmp_path, "encoding=none", "recipe.max_update=4")
    assert same_weights(weights_of(folder), weights)
    assert record_of(folder)["metrics"] == finished["metrics"]
