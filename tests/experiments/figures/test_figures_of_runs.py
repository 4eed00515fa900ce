"""Figures hold what records and checkpoints hold: seeds together, encodings apart, kernels as trained."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from experiments.engine.kernels import trained_kernels
from experiments.figures import Series, cost, cost_benchmark, draw_training_curves
from experiments.figures.__main__ import main
from experiments.figures.curves import validation_quantity
from experiments.figures.groups import group_runs
from experiments.figures.length import at_lengths, draw_quality_against_length
from experiments.figures.style import look
from experiments.runs import scan
from experiments.runs.records import RunFolder
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT, environment, run_train
from tests.experiments.run_store import config_of, edit_record, history_of, write_run


def colors(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        return {color for _, color in image.convert("RGB").getcolors(10**6) or []}


# --- which runs are one line, and which lines one figure -------------------------------------------------------------


def test_seeds_are_one_group_and_settings_are_figures_of_their_own(tmp_path: Path) -> None:
    for seed in (2, 1):
        write_run(tmp_path, seed=seed)
    write_run(tmp_path, encoding="none")
    write_run(tmp_path, encoding="none", status="failed", seed=2)
    write_run(tmp_path, encoding="spe", profile__name="paper", recipe__max_update=60)
    demo, paper = group_runs(scan(tmp_path))
    assert [group.label for group in demo.groups] == ["none", "rope"]
    assert [[run.keys["seed"] for run in group.runs] for group in demo.groups] == [["1"], ["1", "2"]]
    assert (demo.stem, paper.stem) == ("alm-pydoc-demo-controlled", "alm-pydoc-paper-controlled")
    assert {group.look for group in demo.groups} & {group.look for group in paper.groups} == set()


def test_one_encoding_twice_is_told_apart_by_what_differs(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, recipe__learning_rate=0.01)
    write_run(tmp_path, encoding="none")
    (setting,) = group_runs(scan(tmp_path))
    assert [group.label for group in setting.groups] == [
        "none",
        "rope (learning_rate=0.004)",
        "rope (learning_rate=0.01)",
    ]
    write_run(tmp_path, recipe__learning_rate=0.02, model__num_layers=4, attention__name="softmax")
    (setting,) = group_runs(scan(tmp_path))
    assert len({group.label for group in setting.groups}) == 4
    assert all(group.first.keys["identity"] in group.label for group in setting.groups if group.label != "none")


def test_the_validation_quantity_is_the_tasks_own() -> None:
    assert validation_quantity([Series("a", [history_of(3.0)])]) == "perplexity"
    assert validation_quantity([Series("a", [history_of(3.0, quantity="accuracy")])]) == "accuracy"
    assert validation_quantity([Series("a", [[]])]) == "perplexity"


def test_curves_of_other_tasks_name_their_quantity(tmp_path: Path) -> None:
    series = [Series("rope", [history_of(3.0, quantity="matthews_correlation")], look=6)]
    svg = draw_training_curves(series, tmp_path / "glue", "GLUE")[2].read_text()
    assert "validation matthews correlation" in svg
    assert "perplexity" not in svg
    assert f"stroke: {look(6)['color'].lower()}" in svg


# --- quality against length ------------------------------------------------------------------------------------------


def test_lengths_are_read_from_the_names_of_metrics() -> None:
    metrics = {
        "test_perplexity": 9.0,
        "test_perplexity_at_1024": 12.0,
        "test_perplexity_at_64": 10.0,
        "test_perplexity_at_128": None,
        "test_loss_at_64": 2.3,
        "valid_perplexity_at_64": 8.0,
    }
    assert list(at_lengths(metrics).items()) == [(64, 10.0), (1024, 12.0)]
    assert at_lengths(metrics, "loss") == {64: 2.3}


def test_quality_against_length_is_drawn_where_records_have_it(tmp_path: Path) -> None:
    for seed in (1, 2):
        for encoding, slope in (("rope", 1.2), ("none", 1.0)):
            lengths = {f"test_perplexity_at_{64 * 2**k}": (20 + seed) * slope**k for k in range(4)}
            write_run(tmp_path, encoding=encoding, seed=seed, metrics=lengths)
    (setting,) = group_runs(scan(tmp_path))
    png, pdf = draw_quality_against_length(setting, tmp_path / "a")
    assert (png.name, pdf.name) == ("a-length.png", "a-length.pdf")
    again = draw_quality_against_length(setting, tmp_path / "b")
    assert [path.read_bytes() for path in again] == [png.read_bytes(), pdf.read_bytes()]
    assert len(colors(png)) > 50


def test_without_two_lengths_there_is_no_such_figure(tmp_path: Path) -> None:
    write_run(tmp_path, metrics={"test_perplexity_at_64": 20.0})
    (setting,) = group_runs(scan(tmp_path))
    assert draw_quality_against_length(setting, tmp_path / "a") == []


# --- cost ------------------------------------------------------------------------------------------------------------


def timed(folder: RunFolder, speed: float, **changes: Any) -> None:
    edit_record(folder, seal=True, tokens_per_second=speed, **changes)


def test_records_tell_the_cost_where_only_the_length_differs(tmp_path: Path) -> None:
    for seed, length, speed in ((1, 64, 1000.0), (2, 64, 500.0), (1, 128, 250.0)):
        timed(write_run(tmp_path, seed=seed, recipe__tokens_per_sample=length), speed)
    timed(write_run(tmp_path, encoding="none", recipe__tokens_per_sample=128), 2000.0)
    ((setting, costs),) = cost.costs_of_records(scan(tmp_path)).items()
    assert setting.startswith("alm decoder_demo, AMD EPYC, 2 cores")
    assert costs == {"rope": {64: pytest.approx(0.0015), 128: 0.004}, "none": {128: 0.0005}}


@pytest.mark.parametrize("other", [{"model__num_layers": 4}, {"machine": "another"}])
def test_other_models_and_machines_are_not_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    timed(write_run(tmp_path, recipe__tokens_per_sample=64), 1000.0)
    machine = {"manifest__hardware__cpu": other.pop("machine")} if "machine" in other else {}
    timed(write_run(tmp_path, recipe__tokens_per_sample=128, **other), 500.0, **machine)
    assert cost.costs_of_records(scan(tmp_path)) == {}


def test_the_benchmark_says_what_it_measured_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_benchmark, "REPEATS", 1)
    monkeypatch.setattr(cost_benchmark, "LENGTHS", (8, 16))
    settings = cost.encoding_settings(["none", "lrpe_unitary"])
    assert settings["lrpe_unitary"]["core"] == "unitary"
    content = cost_benchmark.measure(settings, (8, 16), 1, say=lambda text: None)
    assert content["machine"]["cores"] >= 1
    assert content["packages"]["torch"]
    assert {(point["label"], point["length"]) for point in content["points"]} == {
        (label, length) for label in ("none", "lrpe_unitary", "softmax") for length in (8, 16)
    }
    assert all(point["seconds"] > 0 for point in content["points"])
    costs = cost.costs_of_benchmark(content)
    assert costs["none"][16] == content["points"][1]["seconds"] / 16
    png, _ = cost.draw_cost(costs, tmp_path / "cost", "title", {"none": 0, "lrpe_unitary": 1})
    assert len(colors(png)) > 50


def test_a_measurement_is_kept_and_repeated_only_for_more_encodings_or_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[set[str]] = []

    def measure(encodings: dict[str, Any], say: Any) -> dict[str, Any]:
        measured.append(set(encodings))
        points = [{"label": label, "length": 8, "seconds": 1.0} for label in encodings]
        return {"schema": 1, "machine": cost_benchmark.hardware(), "points": points}

    monkeypatch.setattr(cost_benchmark, "measure", measure)
    path = tmp_path / "cost.json"

    def load(*names: str, again: bool = False) -> None:
        cost_benchmark.load_or_measure(path, {name: {} for name in names}, again, lambda text: None)

    load("rope", "none")
    load("rope")
    assert measured == [{"rope", "none"}]
    load("rope", "spe")
    load("rope", "spe", again=True)
    assert measured[1:] == [{"rope", "spe"}] * 2
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "machine": {"cpu": "another"}}))
    load("rope")
    assert len(measured) == 4
    path.write_text("[]")
    with pytest.raises(UserError, match=r"cost\.json is no measurement"):
        load("rope")


# --- the whole command, on runs that were trained --------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("trained")
    run_train(tiny_data, results, "-m", "encoding=none,lrpe_orthogonal,lrpe_d", "recipe.max_update=8")
    return results


def test_kernels_are_read_from_checkpoints(trained: Path) -> None:
    (folder,) = trained.glob("runs/alm/lrpe_orthogonal-*/seed1")
    values = trained_kernels(folder, 16)
    assert values.shape == (2, 16)
    weights = torch.load(folder / "checkpoints" / "checkpoint_best.pt", weights_only=False)["model"]
    angles = [weight.double().reshape(-1) for name, weight in weights.items() if "angle" in name]
    assert len(angles) == 2
    for layer, learned in enumerate(angles):
        expected = torch.stack([torch.cos(d * learned).mean() for d in range(16)])
        torch.testing.assert_close(values[layer], expected, atol=1e-6, rtol=0)


def test_figures_are_drawn_from_real_runs(tiny_data: Path, trained: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.figures", f"out={tmp_path}", "only=curves,length,kernel"],
        cwd=ROOT, env=environment(tiny_data, trained), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    stem = tmp_path / "alm-wikitext2-demo-controlled"
    for name in ("curves.png", "curves.pdf", "kernel.png", "kernel.pdf"):
        assert f"{stem}-{name}" in done.stdout
        assert Path(f"{stem}-{name}").stat().st_size > 5_000
    assert "no record was evaluated at several lengths" in done.stderr
    assert len(done.stderr.splitlines()) == 1, "nothing of fairseq's own log"


def test_a_lost_checkpoint_is_said_and_the_other_rows_are_drawn(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(trained, copy)
    (lost,) = copy.glob("runs/alm/none-*/seed1/checkpoints/checkpoint_best.pt")
    lost.unlink()
    assert main([f"results={copy}", "only=kernel"]) == 0
    printed = capsys.readouterr()
    assert "no kernel of none-" in printed.err
    assert "kernel.png" in printed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["only=curvs"], "did you mean 'curves'"),
        (["encoding=rop"], "did you mean 'rope'"),
        (["encoding=spe"], "no such finished run .* make demo"),
        (["outt=x"], "did you mean 'out'"),
    ],
)
def test_mistakes_are_one_message(tmp_path: Path, words: list[str], message: str) -> None:
    write_run(tmp_path, config=config_of())
    with pytest.raises(UserError, match=message):
        main([f"results={tmp_path}", *words])


def test_perplexities_beyond_a_decade_get_round_ticks(tmp_path: Path) -> None:
    wide = [{"update": u, "split": "valid", "perplexity": math.exp(8 - u)} for u in range(6)]
    wide += [{"update": u, "split": "train", "loss": 8.0 - u} for u in range(6)]
    svg = draw_training_curves([Series("a", [wide])], tmp_path / "wide", "t")[2].read_text()
    for tick in (">20<", ">50<", ">100<", ">1000<"):
        assert tick in svg
