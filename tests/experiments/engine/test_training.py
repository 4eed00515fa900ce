"""Whole runs through the real entry point: finish, skip, break and resume bit for bit, several processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.experiments.conftest import ROOT, TINY, environment, only_run, run_train

COMPARED = ("update", "tokens", "split", "loss", "perplexity", "learning_rate", "gradient_norm", "epoch")


def _record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def _curve(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in COMPARED if key in row} for row in rows]


def _weights(folder: Path, name: str = "checkpoint_last.pt") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=False)["model"]


def _same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def unbroken(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the broken ones must equal."""
    results = tmp_path_factory.mktemp("unbroken")
    run_train(tiny_data, results, "encoding=lrpe_unitary_learned")
    return only_run(results)


def test_a_run_leaves_a_whole_record(unbroken: Path) -> None:
    record = _record(unbroken)
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
    rows = _curve(unbroken)
    best = min(row["loss"] for row in rows if row["split"] == "valid")
    assert record["metrics"]["valid_loss"] == pytest.approx(best, abs=1e-3), "validation skips no token"
    assert [row["update"] for row in rows if row["split"] == "train"] == list(range(1, 13))
    assert [row["update"] for row in rows if row["split"] == "valid"] == [4, 8, 12]


def test_a_finished_run_is_not_done_again(unbroken: Path, tiny_data: Path) -> None:
    before = (unbroken / "record.json").stat().st_mtime_ns
    done = run_train(tiny_data, unbroken.parents[3], "encoding=lrpe_unitary_learned", "tracker=disabled")
    assert "finished before" in done.stdout
    assert (unbroken / "record.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("kill_at", [1, 6, 9])
def test_killed_and_restarted_equals_unbroken(kill_at: int, unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.train", *TINY, "encoding=lrpe_unitary_learned"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(tiny_data, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _wait_for_update(tmp_path, kill_at, process)
        process.send_signal(signal.SIGKILL)
    broken = only_run(tmp_path)
    assert _record(broken)["status"] == "running"
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    assert _record(broken)["status"] == "finished"
    assert _same_weights(_weights(broken), _weights(unbroken))
    assert _curve(broken) == _curve(unbroken)
    assert _record(broken)["metrics"] == _record(unbroken)["metrics"]


def test_sigterm_is_recorded_and_resumed(unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.train", *TINY, "encoding=lrpe_unitary_learned"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(tiny_data, tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _wait_for_update(tmp_path, 5, process)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command resumes it" in errors
    assert "Traceback" not in errors
    assert _record(only_run(tmp_path))["status"] == "interrupted"
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    assert _same_weights(_weights(only_run(tmp_path)), _weights(unbroken))


def _wait_for_update(results: Path, update: int, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for history in results.glob("runs/*/*/seed*/history.jsonl"):
            if len([line for line in history.read_text().splitlines() if '"train"' in line]) >= update:
                return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    pytest.fail("the run never reached the update")


def test_seeds_differ_and_the_same_seed_repeats(unbroken: Path, tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path / "a", "encoding=lrpe_unitary_learned", "engine.num_workers=2")
    run_train(tiny_data, tmp_path / "b", "encoding=lrpe_unitary_learned", "seed=2")
    assert _same_weights(_weights(only_run(tmp_path / "a")), _weights(unbroken))
    assert not _same_weights(_weights(only_run(tmp_path / "b")), _weights(unbroken))


def test_accumulation_equals_the_whole_batch(tiny_data: Path, tmp_path: Path) -> None:
    plain = ["encoding=rope", "model.dropout=0", "recipe.max_update=4"]
    run_train(tiny_data, tmp_path / "whole", *plain, "engine.samples_per_device=4")
    run_train(tiny_data, tmp_path / "parts", *plain, "engine.samples_per_device=1")
    _close_weights(_weights(only_run(tmp_path / "whole")), _weights(only_run(tmp_path / "parts")))


def test_two_processes_equal_one(tiny_data: Path, tmp_path: Path) -> None:
    plain = ["encoding=lrpe_orthogonal", "model.dropout=0", "recipe.max_update=4"]
    run_train(tiny_data, tmp_path / "one", *plain)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run_train(tiny_data, tmp_path / "two", *plain, launcher=launcher)
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert one.parent.name == two.parent.name
    _close_weights(_weights(one), _weights(two))
    assert _record(two)["status"] == "finished"
    assert _record(two)["metrics"]["test_loss"] == pytest.approx(_record(one)["metrics"]["test_loss"], rel=1e-4)


def _close_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    # Adam divides by the root of the second moment, so sums in another order move weights by a small part of the
    # learning rate, not by a small part of themselves.
    for name, weight in left.items():
        torch.testing.assert_close(weight, right[name], rtol=1e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}")


def test_bf16_trains(tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned", "recipe.precision=bf16", "recipe.max_update=4")
    folder = only_run(tmp_path)
    losses = [row["loss"] for row in _curve(folder) if row["split"] == "train"]
    assert losses[-1] < losses[0]
    angles = [weight for name, weight in _weights(folder).items() if "angle" in name]
    assert angles
    assert all(weight.dtype == torch.float32 for weight in angles), "angles keep their precision in a bf16 model"


def test_truncated_last_checkpoint_falls_back(tiny_data: Path, tmp_path: Path, unbroken: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    folder = only_run(tmp_path)
    record = _record(folder)
    (folder / "record.json").write_text(json.dumps({**record, "status": "interrupted"}))
    last = folder / "checkpoints" / "checkpoint_last.pt"
    numbered = sorted((folder / "checkpoints").glob("checkpoint_*_*.pt"))
    assert numbered
    last.unlink()
    last.write_bytes(b"torn")
    run_train(tiny_data, tmp_path, "encoding=lrpe_unitary_learned")
    assert _same_weights(_weights(folder), _weights(unbroken))


def test_unreadable_checkpoints_are_one_message(tiny_data: Path, tmp_path: Path) -> None:
    run_train(tiny_data, tmp_path, "encoding=none", "recipe.max_update=4")
    folder = only_run(tmp_path)
    (folder / "record.json").write_text(json.dumps({**_record(folder), "status": "interrupted"}))
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
    losses = [row["loss"] for row in _curve(folder) if row["split"] == "train"]
    assert losses[-1] < losses[0]
    metrics = _record(folder)["metrics"]
    best = min(row["loss"] for row in _curve(folder) if row["split"] == "valid")
    if "spe" not in overrides[1]:  # published SPE draws new noise at every evaluation
        assert metrics["valid_loss"] == pytest.approx(best, abs=1e-3)
