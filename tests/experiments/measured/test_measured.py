"""The tables in ``results/measured`` are what their records give, and whatever is edited there is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.measured.__main__ import main
from experiments.measured.checking import problems
from experiments.measured.collecting import LIMIT, collect
from experiments.measured.kept import KEPT, Kept
from experiments.runs.records import RunFolder
from experiments.tables.plan import Resolved
from experiments.util.errors import UserError
from tests.experiments.run_store import config_of, edit_record, write_run

pytestmark = pytest.mark.fast
TABLE = "table=alm profile=demo rows=none,rope seeds=2"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A results folder in which two encodings were trained with two seeds each."""
    for encoding in ("none", "rope"):
        for seed in (1, 2):
            write_run(tmp_path / "trained", config=config_of(encoding=encoding, seed=seed), loss=3.0 + seed / 10)
    return tmp_path / "trained"


@pytest.fixture
def kept(tmp_path: Path, trained: Path) -> Kept:
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "tables.yaml").write_text(f"tables: ['{TABLE}']\n")
    collect(Kept(folder), trained, lambda text: None, resolver(trained))
    return Kept(folder)


def resolver(results: Path) -> Callable[[list[str]], Resolved]:
    """Where the made-up runs lie; the project's own looks at prepared data."""

    def resolve(overrides: list[str]) -> Resolved:
        words = dict(word.split("=", 1) for word in overrides)
        (group,) = (results / "runs" / "alm").glob(f"{words['encoding']}-*")
        return Resolved(group / "seed1", group.name.rpartition("-")[2], results)

    return resolve


def test_the_projects_own_tables_are_what_their_records_give() -> None:
    kept = Kept()
    assert list(problems(kept)) == []
    assert sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) <= LIMIT


def test_collected_tables_need_nothing_but_their_folder(kept: Kept, trained: Path) -> None:
    shutil.rmtree(trained)
    assert list(problems(kept)) == []
    assert sorted(path.suffix for path in (kept.folder / "tables").iterdir()) == [".csv", ".md", ".tex"]
    text = (kept.folder / "tables" / "alm-demo-controlled.md").read_text()
    assert "RoPE" in text
    assert "PermuteFormer" not in text
    assert main(["verify", f"folder={kept.folder}"]) == 0


def table_edited(folder: Path) -> None:
    path = folder / "tables" / "alm-demo-controlled.csv"
    path.write_text(path.read_text().replace("RoPE", "ROPE"))


def table_removed(folder: Path) -> None:
    (folder / "tables" / "alm-demo-controlled.tex").unlink()


def table_added(folder: Path) -> None:
    (folder / "tables" / "blm.md").write_text("made up")


def run_removed(folder: Path) -> None:
    shutil.rmtree(sorted(folder.glob("runs/alm/rope-*"))[0])


def rows_exchanged(folder: Path) -> None:
    path = folder / "index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps(dict(zip(index, reversed(index.values()), strict=True))))


def row_dropped(folder: Path) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(dict(list(json.loads(path.read_text()).items())[:1])))


def metric_edited(folder: Path) -> None:
    path = sorted(folder.glob("runs/alm/rope-*/seed1/record.json"))[0]
    path.write_text(path.read_text().replace('test_perplexity": 2', 'test_perplexity": 1'))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (table_edited, "alm-demo-controlled.csv is not what the records give"),
        (table_removed, "alm-demo-controlled.tex is missing"),
        (table_added, "blm.md belongs to no table"),
        (run_removed, "is not below runs/"),
        (rows_exchanged, "config.yaml has rope, and index.json lists it under encoding=none"),
        (row_dropped, "no table has it"),
        (metric_edited, "record.json was edited"),
    ],
)
def test_what_is_edited_is_found(kept: Kept, edit: Callable[[Path], None], message: str) -> None:
    edit(kept.folder)
    fresh = Kept(kept.folder)
    assert any(message in problem for problem in problems(fresh)), list(problems(fresh))
    assert main(["verify", f"folder={kept.folder}"]) == 1


def test_runs_of_uncommitted_code_are_refused(kept: Kept, trained: Path) -> None:
    (folder,) = trained.glob("runs/alm/rope-*/seed2")
    edit_record(RunFolder(folder), seal=True, manifest__git__dirty=True)
    with pytest.raises(UserError, match="in no commit"):
        collect(Kept(kept.folder), trained, lambda text: None, resolver(trained))
