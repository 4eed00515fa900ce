"""A table trains what is missing, shows only what records hold, and says what went wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments.util.errors import UserError
from tests.experiments.tables.workshop import DEMO, Workshop


def test_the_demo_from_nothing_to_a_table(workshop: Workshop) -> None:
    assert workshop.table() == 0
    assert workshop.trained == [(name, 1) for name in DEMO]
    stem = workshop.root / "tables" / "alm-demo-controlled"
    for path in (f"{stem}.md", f"{stem}.tex", f"{stem}.csv", f"{stem}.html", f"{stem}-curves.png"):
        assert Path(path).stat().st_size > 0
        assert path in workshop.text
    assert "unigram model of the training text: perplexity 987.6" in workshop.text
    assert "92.00" in workshop.text, "test perplexity of NoPE and RoPE: 50 + 1 + 10 * 4 + 1"
    assert workshop.text.index("Test ppl") < workshop.text.index("unigram model") < workshop.text.index("alm-demo")
    assert "wandb" not in workshop.text
    assert "**91.00**" in workshop.file("md")
    assert "run cont0000, seeds 1" in workshop.file("html")


def test_a_second_call_trains_nothing_and_renders_the_same_bytes(workshop: Workshop) -> None:
    workshop.table()
    files = {path: path.read_bytes() for path in (workshop.root / "tables").iterdir()}
    assert len(files) == 7
    workshop.trained.clear()
    assert workshop.table() == 0
    assert workshop.trained == []
    assert {path: path.read_bytes() for path in (workshop.root / "tables").iterdir()} == files


def test_only_missing_seeds_are_trained_and_all_are_averaged(workshop: Workshop) -> None:
    workshop.table("rows=rope", "seeds=1")
    workshop.trained.clear()
    workshop.table("rows=rope,none", "seeds=3")
    assert workshop.trained == [("none", 1), ("none", 2), ("rope", 2), ("none", 3), ("rope", 3)]
    assert "93.00 ± 1.00" in workshop.file("md").replace("**", "")


def test_dry_run_trains_and_writes_nothing(workshop: Workshop) -> None:
    workshop.table("rows=rope", "seeds=1")
    workshop.trained.clear()
    before = sorted(workshop.root.rglob("*"))
    assert workshop.table("rows=rope,none", "seeds=1", "dry_run=true", "recipe.clip_norm=0") == 0
    assert workshop.trained == []
    assert sorted(workshop.root.rglob("*")) == before
    assert "rope (controlled) seed 1: finished" in workshop.text
    assert "none (controlled) seed 1: to train" in workshop.text
    assert (
        "experiments.train experiment=alm profile=demo protocol=controlled encoding=none recipe.clip_norm=0 seed=1"
        in (workshop.text)
    )


def test_render_only_leaves_cells_without_a_record_empty(workshop: Workshop) -> None:
    workshop.table("rows=rope", "seeds=2,")
    workshop.trained.clear()
    assert workshop.table("seeds=2", "render_only=true") == 0
    assert workshop.trained == []
    lines = workshop.file("md").splitlines()
    (rope,) = [line for line in lines if line.startswith("| RoPE")]
    (nope,) = [line for line in lines if line.startswith("| No position")]
    assert "92.00 (1/2)" in rope
    assert not re.search(r"\d", nope), "no number without a record"
    assert nope.count("—") == 4
    assert "9 of 10 runs are not finished" in workshop.text


def test_a_failing_run_is_reported_at_the_end_and_the_others_go_on(workshop: Workshop) -> None:
    workshop.broken.add("rope")
    assert workshop.table() == 1
    assert [name for name, _ in workshop.trained] == DEMO
    assert workshop.text.index("rope (controlled) seed 1: failed with exit code 1\nValueError: it broke") > (
        workshop.text.index("written to:")
    )
    assert "1 of 5 runs failed" in workshop.text
    (rope,) = [line for line in workshop.file("md").splitlines() if line.startswith("| RoPE")]
    assert not re.search(r"\d", rope)
    workshop.broken.clear()
    workshop.trained.clear()
    assert workshop.table() == 0
    assert workshop.trained == [("rope", 1)], "the same command retries"


def test_exit_code_zero_without_a_finished_record_is_a_failure(workshop: Workshop) -> None:
    workshop.silent_failures.add("none")
    assert workshop.table("rows=none") == 1
    assert "ended without a finished record" in workshop.text


def test_overrides_reach_every_run_and_name_the_files(workshop: Workshop) -> None:
    workshop.table("rows=none", "recipe.max_update=7")
    (path,) = (workshop.root / "tables").glob("*.md")
    assert re.fullmatch(r"alm-demo-controlled-[0-9a-f]{6}\.md", path.name)
    assert "overrides: recipe.max\\_update=7" in path.read_text()
    assert (workshop.root / "runs" / "alm" / "none-cont0007" / "seed1").is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rows=rop"], "rows=rop: unknown; did you mean 'rope'"),
        (["profile=demi"], "profile=demi: unknown; did you mean 'demo'"),
        (["recipe.max_updat=3"], "did you mean 'recipe.max_update'"),
        (["encoding=rope"], "the rows of table alm differ in this"),
    ],
)
def test_bad_input_is_refused_before_any_run(workshop: Workshop, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        workshop.table(*words)
    assert workshop.trained == []
    assert not workshop.root.exists()


def test_a_record_of_another_run_is_refused(workshop: Workshop) -> None:
    workshop.table("rows=none")
    folder = workshop.root / "runs" / "alm"
    (folder / "none-cont0000").rename(folder / "rope-cont0000")
    content = json.loads((folder / "rope-cont0000" / "seed1" / "record.json").read_text())
    content["run"]["identity"] = "ffffffff"
    (folder / "rope-cont0000" / "seed1" / "record.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="belongs to run ffffffff seed 1"):
        workshop.table("rows=rope")
