"""Whole runs on images through the real entry points: finish, resume bit for bit, several processes, score, look."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from data_prep.api import prepare
from experiments import evaluate, inspect, train
from experiments.config import compose
from experiments.util.errors import UserError
from tests.data_prep.images.support import CLASSES, pixels, write_folder
from tests.experiments.conftest import ROOT, environment, only_run
from tests.experiments.engine.imagenet.conftest import AUGMENTED, run_train, train_command

COMPARED = ("update", "images", "split", "loss", "top1", "top5", "learning_rate", "gradient_norm", "epoch")
ENCODING = "encoding=lrpe_unitary_learned"


def _record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def _curve(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in COMPARED if key in row} for row in rows]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "checkpoint_last.pt", weights_only=False)["model"]


def _same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def _close(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    # Adam divides by the root of the second moment, so sums in another order move weights by a part of the rate.
    for name, weight in left.items():
        torch.testing.assert_close(weight, right[name], rtol=1e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}")


@pytest.fixture(scope="module")
def unbroken(image_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, with everything random that there is, that the broken ones must equal."""
    results = tmp_path_factory.mktemp("unbroken")
    run_train(image_data, results, ENCODING, *AUGMENTED)
    return only_run(results)


def test_a_run_leaves_a_whole_record(unbroken: Path) -> None:
    record = _record(unbroken)
    assert record["status"] == "finished"
    assert record["updates"] == 3 * (36 // 8)
    assert record["images"] == record["updates"] * 8
    assert record["images_per_second"] > 0
    metrics = record["metrics"]
    assert metrics["top1"] == metrics["valid_top1"] <= metrics["top5"] == 100.0
    rows = _curve(unbroken)
    assert [row["update"] for row in rows if row["split"] == "train"] == list(range(1, 13))
    assert [row["update"] for row in rows if row["split"] == "valid"] == [3, 6, 9, 12]
    best = max((row for row in rows if row["split"] == "valid"), key=lambda row: row["top1"])
    assert metrics["valid_top1"] == pytest.approx(best["top1"], abs=1e-3), "validation skips no image"
    weights = _weights(unbroken)
    assert any(name.startswith("average.") for name in weights), "the average is a part of the checkpoint"


def test_killed_and_restarted_equals_unbroken(unbroken: Path, image_data: Path, tmp_path: Path) -> None:
    """Order, augmentation, Mixup, stochastic depth, Adam and the average of the weights, from inside an epoch."""
    command = train_command(ENCODING, *AUGMENTED)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(image_data, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            history = next(iter(tmp_path.glob("runs/*/*/seed*/history.jsonl")), None)
            if history is not None and history.read_text().count('"train"') >= 7:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    broken = only_run(tmp_path)
    assert _record(broken)["status"] == "running", "the run ended before it could be killed"
    run_train(image_data, tmp_path, ENCODING, *AUGMENTED, "engine.num_workers=2")
    assert _record(broken)["status"] == "finished"
    assert _same(_weights(broken), _weights(unbroken))
    assert _curve(broken) == _curve(unbroken)
    assert _record(broken)["metrics"] == _record(unbroken)["metrics"]


def test_two_processes_and_accumulation_equal_one(image_data: Path, tmp_path: Path) -> None:
    plain = ["encoding=lrpe_orthogonal", *AUGMENTED, "model.drop_path=0", "recipe.epochs=2"]
    run_train(image_data, tmp_path / "one", *plain)
    run_train(image_data, tmp_path / "parts", *plain, "engine.samples_per_device=2")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run_train(image_data, tmp_path / "two", *plain, launcher=launcher)
    one, parts, two = (only_run(tmp_path / name) for name in ("one", "parts", "two"))
    assert one.parent.name == two.parent.name == parts.parent.name
    for other in (parts, two):
        _close(_weights(one), _weights(other))
        assert _record(other)["metrics"]["valid_loss"] == pytest.approx(_record(one)["metrics"]["valid_loss"], rel=1e-3)


def train_here(
    data: Path, results: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> tuple[int, list[dict[str, Any]]]:
    """The same run in this process, whose imports are done: its exit code and its rows."""
    for name, value in environment(data, results).items():
        monkeypatch.setenv(name, value)
    code = train.run(compose(train_command(*overrides)[3:]))
    return code, _curve(only_run(results))


def test_a_pass_of_an_odd_number_cannot_be_mixed(
    image_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="pair images, so a pass needs an even number: got 1"):
        train_here(image_data, tmp_path, monkeypatch, *AUGMENTED, "engine.samples_per_device=1")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_stops_the_run_with_its_path(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_folder(tmp_path / "source", train=4)
    prepare("cifar10", out=tmp_path, source=source, allow_other_counts=True)
    broken = source / "train" / CLASSES[1] / "001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(UserError, match=rf"^{broken} is not what it was when .* prepared.*--skip-corrupt"):
        train_here(tmp_path, tmp_path / "results", monkeypatch, f"engine.num_workers={workers}")


@pytest.mark.parametrize(
    "overrides",
    [
        ["protocol=published", "encoding=spe"],
        ["protocol=published", "encoding=permuteformer"],
        ["protocol=published", "encoding=lrpe_permutation", "recipe.average_decay=0.5"],
        ["attention=softmax", "encoding=absolute", "model.pooling=class_token", "recipe.precision=bf16"],
        ["encoding=lrpe_orthogonal", "model.pooling=class_token", "protocol.image_axes=split"],
    ],
    ids=" ".join,
)
def test_other_models_learn(
    overrides: list[str], image_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, rows = train_here(image_data, tmp_path, monkeypatch, *overrides, "recipe.epochs=6")
    losses = [row["loss"] for row in rows if row["split"] == "train"]
    assert code == 0
    assert sum(losses[-4:]) < sum(losses[:4])


def call(
    main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """What an entry point prints."""
    monkeypatch.setattr(sys, "argv", ["it", *arguments, "device=cpu"])
    main()
    return capsys.readouterr().out


def test_a_checkpoint_is_scored_on_data_and_on_folders_of_any_size(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = _record(unbroken)["metrics"]
    printed = call(evaluate.main, monkeypatch, capsys, f"run={unbroken}")
    assert f"valid: top1 {score['valid_top1']:.4f}, top5 100.0000, loss {score['valid_loss']:.4f}, 12 images" in printed
    Image.fromarray(pixels(3, 40, 60)).save(_folder(tmp_path / "own" / CLASSES[2]) / "own.jpg")
    own = f"images={tmp_path / 'own'}"
    assert ", 1 images, image size 20" in call(
        evaluate.main, monkeypatch, capsys, f"run={unbroken}", own, "image_size=20"
    )
    middle = [
        call(evaluate.main, monkeypatch, capsys, f"run={unbroken}", own, f"crop_fraction={part}") for part in (0.5, 1)
    ]
    assert "crop fraction 0.5" in middle[0]
    losses = {re.search(r"loss (\S+),", line).group(1) for line in middle}
    assert len(losses) == 2, "the border of the image reached the model both times"


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image_size=13"], "image_size=13 does not divide into patches of 4: try image_size=12"),
        (["image_size=0"], "image_size=0 does not divide into patches of 4: try image_size=4"),
        (["crop_fraction=0"], "crop_fraction=0.0: expected more than 0 and at most 1"),
        (["crop_fraction=1.5"], "crop_fraction=1.5: expected more than 0 and at most 1"),
        (["images={own}"], "named like none of the 3 classes; did you mean 'n00000002'"),
        (["images={own}/n00000022"], "has no folders of classes, so there is nothing to score"),
        (["images=/nowhere"], "no folder /nowhere"),
        (["split=test"], "has no images for the split 'test': it has train, valid"),
    ],
)
def test_what_cannot_be_scored(
    unbroken: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(pixels(3)).save(_folder(tmp_path / "n00000022") / "a.png")
    with pytest.raises(UserError) as caught:
        call(evaluate.main, monkeypatch, capsys, f"run={unbroken}", *(word.format(own=tmp_path) for word in arguments))
    assert message in str(caught.value)


def test_inspection_draws_errors_and_any_folder(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "errors.png"
    printed = call(inspect.main, monkeypatch, capsys, f"run={unbroken}", f"out={picture}", "count=5", "split=train")
    assert re.search(r"36 images, \d+ wrong \(top-1 \d+\.\d+ %\); 5 shown", printed)
    assert Image.open(picture).size[0] > 500
    Image.fromarray(pixels(3, 40, 60)).save(_folder(tmp_path / "own") / "own.jpg")
    own = [f"run={unbroken}", f"images={tmp_path / 'own'}", f"out={tmp_path / 'own.png'}", "layer=0", "image_size=12"]
    assert "1 images without classes; 1 shown" in call(inspect.main, monkeypatch, capsys, *own)
    with pytest.raises(UserError, match="layer=5: the model has layers 0 to 1"):
        call(inspect.main, monkeypatch, capsys, f"run={unbroken}", "layer=5")
    with pytest.raises(UserError, match="show=wrong: expected errors or all"):
        call(inspect.main, monkeypatch, capsys, f"run={unbroken}", "show=wrong")
