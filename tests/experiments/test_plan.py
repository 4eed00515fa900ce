"""``experiments.plan`` and a dry run need neither a GPU nor prepared data."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.plan import main
from experiments.table import main as table
from experiments.util.cards import find_card
from experiments.util.errors import UserError


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path / "results"))


def test_a_run_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    main(["experiment=alm", "profile=paper", "gpu=h100", "gpus=8"])
    said = capsys.readouterr().out
    for word in (
        "16 samples x 1 passes x 8 GPUs",
        "TFLOP an update",
        "GiB at its peak",
        "fit            yes",
        "GPU-hours",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("word", "message"),
    [("gpu=h10", "h100"), ("gpus=0", "at least 1"), ("utilization=2", "at most 1"), ("data=pydoc", "not known")],
)
def test_what_cannot_be_planned_is_one_message(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(["experiment=alm", word, "profile=paper"])


@pytest.mark.parametrize(
    ("name", "runs", "of_all"),
    [("alm", "encoding=rope: 2 x ", 4), ("imagenet", "encoding=rope: 2 x ", 4), ("glue", "rope", 4)],
)
def test_a_table_is_the_sum_of_its_runs(name: str, runs: str, of_all: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile=paper", "seeds=2", "gpus=4", *(["columns=cola"] if name == "glue" else [])]
    main([f"table={name}", "rows=none,rope", *words])
    said = capsys.readouterr().out.splitlines()
    assert f"{of_all} runs on 4 x H100 each" in said[0]
    hours = [float(line.rpartition(", ")[2].split()[0].replace(",", "")) for line in said if "2 x " in line]
    total = next(line for line in said if line.startswith("  time"))
    assert len(hours) == 2
    assert float(total.split(", ")[1].split()[0].replace(",", "")) == pytest.approx(sum(hours), abs=0.11)
    assert any("not prepared" in line for line in said)


def test_auto_takes_what_fits_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["experiment=alm", "profile=paper"]
    main([*words, "gpu=t4"])
    small = capsys.readouterr().out
    main([*words, "gpu=h200"])
    large = capsys.readouterr().out
    assert "128 samples x 1 passes" in large
    assert "128 samples x 1 passes" not in small
    assert "fit            yes" in small
    assert "fit            yes" in large


def test_a_dry_run_lists_the_runs_of_unprepared_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert table(["table=alm", "profile=paper", "rows=none,rope", "seeds=2", "dry_run=true"]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs to train" in said
    assert "identities are open until the data is prepared" in said


@pytest.mark.parametrize(
    ("name", "memory"),
    [("NVIDIA H100 80GB HBM3", 80), ("NVIDIA A100-SXM4-80GB", 80), ("NVIDIA A100-PCIE-40GB", 40), ("Other", None)],
)
def test_a_card_is_found_by_its_devices_name(name: str, memory: int | None) -> None:
    found = find_card(name)
    assert (found and found.memory // 2**30) == memory
