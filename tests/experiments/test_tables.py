"""A table trains what is missing, shows only what records hold, and says what went wrong."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.errors import UserError
from experiments.records import Record, RunFolder
from experiments.table import main
from experiments.tables import latex, markdown
from experiments.tables.aggregate import Results, aggregate
from experiments.tables.comma_separated import render_csv
from experiments.tables.grid import make_grid
from experiments.tables.html import render_html
from experiments.tables.plan import Resolved
from experiments.tables.request import parse_request
from experiments.tables.reference import Figure, load_reference
from experiments.tables.spec import Column, Row, TableSpec, load_table
from experiments.tables.terminal import print_grid

ROOT = Path(__file__).resolve().parents[2]
PERPLEXITY = Column("Test ppl", "min", 2, "metrics.test_perplexity", compare=True)
SPEED = Column("Tokens/s", "max", 0, "tokens_per_second")
SIZE = Column("Parameters (M)", "none", 1, "parameters.total", scale=1e-6)
ROWS = tuple(Row(key, f"Label {key}", (f"encoding={key}",)) for key in ("none", "rope", "lrpe"))


def spec(**changes: Any) -> TableSpec:
    fields: dict[str, Any] = {
        "name": "t", "title": "Title", "experiment": "alm", "rows": ROWS, "columns": (PERPLEXITY, SPEED, SIZE),
        "baseline": "none", "reference": None, "rows_by_profile": {}, "seeds_by_profile": {"demo": 2},
    }  # fmt: skip
    return TableSpec(**{**fields, **changes})


def record(seed: int = 1, perplexity: float | None = 10.0, speed: float = 100.0, **changes: Any) -> Record:
    content = {
        "status": "finished",
        "run": {"seed": seed, "identity": "0123abcd", "protocol": "controlled", "name": f"run {seed}"},
        "metrics": {"test_perplexity": perplexity, "valid_loss": perplexity, "unigram_perplexity": 900.5},
        "parameters": {"total": 2_500_000, "encoding": 0},
        "tokens_per_second": speed,
        "segments": [{"ended": "2026-01-02T03:04:05+00:00"}],
        "manifest": {"git": {"commit": "c" * 40, "dirty": True}, "python": "3.11.7", "packages": {"torch": "2.13"}},
    }
    return Record(Path(f"/runs/{perplexity}-{seed}"), {**content, **changes})


def results(values: Mapping[str, Sequence[float | None]], reference: Mapping[Any, float] | None = None) -> Results:
    records = {
        (key, "controlled", ()): [record(seed, value) for seed, value in enumerate(listed, start=1)]
        for key, listed in values.items()
    }
    table = spec()
    return aggregate(table, ROWS, table.columns, ["controlled"], 3, records, reference or {})


# --- numbers -------------------------------------------------------------------------------------------------------


def test_mean_and_sample_standard_deviation_by_hand() -> None:
    cell = results({"none": [10.0, 12.0, 17.0]}).lines[0].cells[0]
    assert cell.mean == 13.0
    assert cell.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert (cell.seeds, cell.wanted) == (3, 3)


def test_one_seed_has_no_spread_and_no_record_has_no_number() -> None:
    lines = results({"none": [10.0]}).lines
    assert (lines[0].cells[0].mean, lines[0].cells[0].std, lines[0].cells[0].seeds) == (10.0, None, 1)
    assert all((cell.mean, cell.seeds) == (None, 0) for cell in lines[1].cells)


def test_best_and_within_one_standard_deviation_of_the_best() -> None:
    # best: mean 10, std 1; rope is exactly one standard deviation away, lrpe just beyond
    lines = results({"none": [9.0, 10.0, 11.0], "rope": [11.0, 11.0], "lrpe": [11.01, 11.01]}).lines
    assert [(line.cells[0].best, line.cells[0].near_best) for line in lines] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_direction_decides_what_is_best() -> None:
    records = {("none", "p", ()): [record(1, 10.0, 100.0)], ("rope", "p", ()): [record(1, 10.0, 200.0)]}
    lines = aggregate(spec(), ROWS, spec().columns, ["p"], 1, records, {}).lines
    assert [cell.best for cell in lines[0].cells] == [True, False, False], (
        "equal means are both best; sizes are not rated"
    )
    assert [cell.best for cell in lines[1].cells] == [True, True, False]
    assert lines[0].cells[2].mean == pytest.approx(2.5), "scaled"


def test_a_diverged_run_is_left_out_and_counted_as_missing() -> None:
    cell = results({"none": [10.0, None, 12.0]}).lines[0].cells[0]
    assert (cell.mean, cell.seeds, cell.wanted) == (11.0, 2, 3)


def test_reference_and_baseline_differences() -> None:
    lines = results(
        {"none": [10.0], "rope": [9.0]}, {("rope", "test_perplexity"): 9.5, ("lrpe", "test_perplexity"): 8.0}
    ).lines
    assert (lines[1].cells[0].reference, lines[1].cells[0].difference) == (9.5, -0.5)
    assert (lines[1].cells[0].from_baseline, lines[0].cells[0].from_baseline) == (-1.0, None)
    assert (lines[2].cells[0].reference, lines[2].cells[0].difference) == (8.0, None)


# --- renderers -----------------------------------------------------------------------------------------------------


def grid_of(values: Mapping[str, Sequence[float | None]], reference: Mapping[Any, float] | None = None) -> Any:
    return make_grid(results(values, reference), ["a note"])


def test_an_average_is_of_the_seeds_that_every_column_has() -> None:
    columns = (
        Column("A", "max", 1, "metrics.valid_score", scale=100.0, overrides=("task=a",), key="a"),
        Column("B", "max", 1, "metrics.valid_score", scale=100.0, overrides=("task=b",), key="b"),
        Column("Average", "max", 1, average_of=("a", "b"), key="average"),
    )
    measured = {"a": {1: 0.5, 2: 0.7}, "b": {1: 0.9, 3: 0.1}}
    records = {
        ("rope", "p", (f"task={task}",)): [
            record(seed, metrics={"valid_score": score}) for seed, score in found.items()
        ]
        for task, found in measured.items()
    }
    (line,) = aggregate(spec(columns=columns), ROWS[1:2], columns, ["p"], 3, records, {}).lines
    assert [cell.mean for cell in line.cells] == pytest.approx([60.0, 50.0, 70.0])
    assert [cell.seeds for cell in line.cells] == [2, 2, 1]
    assert len(line.records["p"]) == 4


def test_cells_as_text() -> None:
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): 10.004})
    assert grid.headers == ("Encoding", "Test ppl", "Δ none", "paper", "Δ paper", "Tokens/s", "Parameters (M)")
    texts = [[text.plain for text in cells] for _, cells in grid.rows]
    assert texts[0] == ["10.00 ± 1.00", "—", "10.00", "0.00", "100", "2.5"]
    assert texts[1] == ["10.50 (1/3)", "+0.50", "—", "—", "100 (1/3)", "2.5 (1/3)"]
    assert texts[2] == ["—"] * 6


@pytest.mark.parametrize("width", [30, 200])
def test_a_terminal_of_any_width_shows_a_row_a_line_and_cuts_nothing(width: int) -> None:
    out = io.StringIO()
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): 10.004})
    print_grid(grid, Console(file=out, width=width, soft_wrap=True))
    for label, texts in grid.rows:
        (line,) = [line for line in out.getvalue().splitlines() if label in line]
        assert line.split() == " ".join([label, *(text.plain for text in texts)]).split()


def test_without_reference_or_records_there_are_no_such_columns() -> None:
    assert grid_of({}).headers == ("Encoding", "Test ppl", "Tokens/s", "Parameters (M)")


def test_markdown_by_hand() -> None:
    text = markdown.render_markdown(grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}))
    lines = text.splitlines()
    assert lines[2] == "| Encoding | Test ppl | Δ none | Tokens/s | Parameters (M) |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[4] == "| Label none | **10.00** ± 1.00 | — | **100** | 2.5 |"
    assert lines[5].startswith("| Label rope | <u>10.50</u> (1/3) | +0.50 |")
    assert lines[-1] == "- a note"


def test_latex_by_hand() -> None:
    text = latex.render_latex(grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5], "lrpe": [9.99]}))
    assert r"\begin{tabular}{lrrrr}" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\usepackage{booktabs}"))
    assert r"Label none & 10.00 $\pm$ 1.00 & --- &" in text, "one seed has no spread to be within"
    assert r"Label lrpe & \textbf{9.99} (1/3) & $-0.01$ &" in text
    assert text.index("% a note") < text.index(r"\begin{table}")


HOSTILE = "50% & a_b #1 {x} $y$ ~ ^ \\z <script>alert('1')</script> | *b* `c`\nnew"


def test_latex_escapes() -> None:
    assert latex.escape("50% & a_b #1 {x} $y$ ~ ^ \\z < > ± Δ —") == (
        r"50\% \& a\_b \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}z "
        r"\textless{} \textgreater{} $\pm$ $\Delta$ ---"
    )
    assert "\n" not in latex.escape(HOSTILE)


def test_markdown_escapes() -> None:
    escaped = markdown.escape(HOSTILE)
    assert r"\|" in escaped
    assert r"a\_b" in escaped
    assert r"\*b\*" in escaped
    assert "<" not in escaped
    assert "\n" not in escaped


def test_hostile_labels_and_notes_do_not_break_any_format(tmp_path: Path) -> None:
    row = Row("none", HOSTILE, ("encoding=none",))
    records = {("none", "controlled", ()): [record()]}
    described = spec(rows=(row,), title=HOSTILE)
    table = aggregate(described, (row,), described.columns, ["controlled"], 1, records, {})
    grid = make_grid(table, [HOSTILE + "\r\n\\input{x}"])
    html = render_html(grid)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 4, "title twice, label and note"
    body = [line for line in markdown.render_markdown(grid).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in body}) == 1
    for line in latex.render_latex(grid).splitlines():
        assert "\\input" not in line or line.startswith("%"), "a note cannot end its comment"
    parsed = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert parsed[0]["label"] == HOSTILE


def test_csv_holds_unrounded_numbers_and_empty_fields() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(results({"none": [1 / 3, 2 / 3]})))))
    assert len(rows) == 9, "a line a row and column"
    assert float(rows[0]["mean"]) == 0.5
    assert float(rows[0]["std"]) == pytest.approx(math.sqrt(2) / 6, rel=1e-15)
    assert (rows[0]["seeds"], rows[0]["seeds_wanted"], rows[0]["identities"]) == ("2", "3", "0123abcd")
    assert (rows[3]["mean"], rows[3]["paper"], rows[3]["identities"]) == ("", "", "")


# --- descriptions and references -----------------------------------------------------------------------------------


def test_the_projects_own_table_and_reference() -> None:
    table = load_table("alm")
    assert [row.key for row in table.rows] == [
        "none", "absolute", "rope", "spe", "permuteformer", "lrpe_unitary", "lrpe_unitary_learned", "lrpe_orthogonal",
        "lrpe_permutation",
    ]  # fmt: skip
    assert [row.key for row in table.select("demo", None)] == [
        "none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation",
    ]  # fmt: skip
    assert len(table.select("paper", None)) == 9
    assert [len(table.seeds(profile)) for profile in ("demo", "small", "paper")] == [1, 3, 5]
    assert load_reference(table) == {}, "no figure of the paper has been read"
    for row in table.rows:
        (override,) = row.overrides
        assert (ROOT / "conf" / "encoding" / f"{override.partition('=')[2]}.yaml").exists(), row.key


def described(tmp_path: Path, **changes: Any) -> Path:
    text: dict[str, Any] = {
        "title": "T",
        "experiment": "alm",
        "baseline": "none",
        "rows": {"none": {"label": "N", "overrides": ["encoding=none"]}},
        "columns": [{"metric": "metrics.x", "header": "X", "direction": "min", "digits": 1}],
        "seeds_by_profile": {"demo": 1},
    }
    (tmp_path / "t.yaml").write_text(json.dumps({**text, **changes}))
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"rows": {}}, "'rows' is missing"),
        ({"baseline": "non"}, "baseline=non: no such row; did you mean 'none'"),
        ({"rows_by_profile": {"demo": ["nome"]}}, r"rows_by_profile.demo=nome: no such row; did you mean 'none'"),
        ({"rows": {"none": {"label": "N"}}}, "rows.none: expected a label and overrides"),
        ({"rows": {"none": {"overrides": ["a=b"], "lable": "x"}}}, "unknown key 'lable'; did you mean 'label'"),
        ({"columns": [{"metric": "m", "header": "h", "digits": 1}]}, r"columns\[0\]: 'direction' is missing"),
        (
            {"columns": [{"metric": "m", "header": "h", "digits": 1, "direction": "up"}]},
            "direction=up: expected one of",
        ),
        ({"columns": [{"metric": "m", "header": "h", "digits": -1, "direction": "min"}]}, "digits=-1"),
    ],
)
def test_a_wrong_description_is_one_clear_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    load_table("t", described(tmp_path))
    with pytest.raises(UserError, match=message):
        load_table("t", described(tmp_path, **changes))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("{nome: {test_perplexity: 1}}", "unknown key 'nome'; did you mean 'none'"),
        ("{none: {test_perplexty: 1}}", "unknown key 'test_perplexty'; did you mean 'test_perplexity'"),
        ("{none: {test_perplexity: about 20}}", "about 20: expected a number"),
    ],
)
def test_a_wrong_reference_is_refused(tmp_path: Path, cells: str, message: str) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text("rows: {none: {test_perplexity: 20.5, parameters: null}, rope: null}")
    assert load_reference(spec(reference=path)) == {("none", "test_perplexity"): 20.5}
    path.write_text(f"rows: {cells}")
    with pytest.raises(UserError, match=message):
        load_reference(spec(reference=path))


# --- the command line ----------------------------------------------------------------------------------------------


def test_request_from_words() -> None:
    request = parse_request(
        ["table=alm", "profile=small", "seeds=3", "rows=rope,none", "jobs=2", "protocol=published,controlled",
         "recipe.max_update=10", "tracker=disabled"]
    )  # fmt: skip
    assert request.seeds == (1, 2, 3)
    assert parse_request(["table=alm", "seeds=5,2"]).seeds == (2, 5)
    assert parse_request(["table=alm", "seeds=7,"]).seeds == (7,)
    assert (request.rows, request.jobs, request.protocols) == (("rope", "none"), 2, ("published", "controlled"))
    assert request.overrides == ("recipe.max_update=10", "tracker=disabled")
    assert re.fullmatch(r"alm-small-published-controlled-[0-9a-f]{6}", request.stem)
    assert parse_request(["table=alm", "tracker=disabled", "engine.threads=1"]).stem == "alm-demo-controlled"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table=alm", "seads=3"], "unknown key 'seads'; did you mean 'seeds'"),
        (["table=alm", "job=3"], "unknown key 'job'; did you mean 'jobs'"),
        (["table=alm", "profil=demo"], "unknown key 'profil'; did you mean 'profile'"),
        (["table=alm", "seed=3"], "a table takes seeds="),
        (["table=alm", "seeds=0"], "seeds=0: expected a whole number of at least 1"),
        (["table=alm", "seeds=a"], "seeds=a: expected how many"),
        (["table=alm", "jobs=0"], "jobs=0"),
        (["table=alm", "dry_run=yes"], "dry_run=yes: expected true or false"),
        (["table=alm", "--jobs"], "'--jobs': expected key=value"),
        (["table=alm", "table=alm"], "given twice"),
        (["profile=demo"], "table=... is missing"),
    ],
)
def test_wrong_words_are_one_clear_message(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_request(words)


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_request(["--help"])
    assert not stopped.value.code
    assert "python -m experiments.table table=alm profile=demo" in capsys.readouterr().out


# --- end to end, with a trainer and a config loader in place of the real ones --------------------------------------


class Workshop:
    """A results folder, a config loader that hashes nothing, and a trainer that writes records."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trained: list[tuple[str, int]] = []
        self.broken: set[str] = set()
        self.silent_failures: set[str] = set()
        self.environments: list[dict[str, str]] = []
        self.output = io.StringIO()

    def resolve(self, overrides: list[str]) -> Resolved:
        words = dict(word.split("=", 1) for word in overrides)
        if words["encoding"] == "nonsense" or "recipe.max_updat" in words:
            raise UserError("unknown key 'recipe.max_updat'; did you mean 'recipe.max_update'")
        if words["profile"] not in ("demo", "small", "paper"):
            raise UserError(f"profile={words['profile']}: unknown; did you mean 'demo'")
        identity = f"{words['protocol'][:4]}{words.get('recipe.max_update', '0'):0>4}"
        group = self.root / "runs" / "alm" / f"{words['encoding']}-{identity}"
        return Resolved(group / f"seed{words['seed']}", identity, self.root)

    def launch(self, command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        assert command[1:3] == ["-m", "experiments.train"]
        words = dict(word.split("=", 1) for word in command[3:])
        where, seed = self.resolve(list(command[3:])), int(words["seed"])
        self.trained.append((words["encoding"], seed))
        self.environments.append(dict(environment))
        if log is not None:
            log.write_text(f"log of {words['encoding']}\nlast words\n")
        if words["encoding"] in self.silent_failures:
            return 0
        folder = RunFolder(where.folder)
        run = {"experiment": "alm", "encoding": words["encoding"], "protocol": words["protocol"], "seed": seed}
        run |= {"profile": words["profile"], "identity": where.identity, "name": f"{words['encoding']} seed {seed}"}
        folder.begin(run, manifest={"python": "3.11"}, parameters={"total": 2_000_000, "encoding": 0})
        perplexity = 50.0 + seed + 10 * len(words["encoding"])
        for update in (10, 20):
            folder.append({"update": update, "split": "train", "loss": 5.0 - update / 10, "perplexity": 9.0})
            folder.append({"update": update, "split": "valid", "loss": 4.0, "perplexity": perplexity})
        if words["encoding"] in self.broken:
            folder.close("failed", to_update=20, error="ValueError: it broke")
            return 1
        (where.folder / "wandb" / "offline-run-1-x").mkdir(parents=True)
        metrics = {"valid_perplexity": perplexity, "test_perplexity": perplexity + 1, "unigram_perplexity": 987.6}
        folder.close("finished", to_update=20, metrics=metrics, tokens_per_second=1234.0)
        return 0

    def table(self, *words: str, launch: Callable[..., int] | None = None) -> int:
        self.output = io.StringIO()
        console = Console(file=self.output, width=200, soft_wrap=True)
        arguments = ["table=alm", *words]
        return main(arguments, resolve=self.resolve, launch=launch or self.launch, console=console)

    @property
    def text(self) -> str:
        return self.output.getvalue()

    def file(self, suffix: str, stem: str = "alm-demo-controlled") -> str:
        return (self.root / "tables" / f"{stem}.{suffix}").read_text()


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Workshop(tmp_path / "results")


DEMO = ["none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation"]


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
    assert "wandb sync " in workshop.text
    assert str(workshop.root / "runs/alm/rope-cont0000/seed1/wandb/offline-run-1-x") in workshop.text
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


def test_several_jobs_write_logs_share_cores_and_show_the_tail(workshop: Workshop) -> None:
    workshop.broken.add("rope")
    assert workshop.table("rows=none,rope", "jobs=2") == 1
    log = workshop.root / "tables" / "logs" / "alm-demo-controlled" / "rope-controlled-seed1.log"
    assert log.read_text() == "log of rope\nlast words\n"
    assert "log of rope\nlast words" in workshop.text
    assert "finished in" in workshop.text
    assert "Valid ppl 91.00" in workshop.text
    assert all(int(environment["OMP_NUM_THREADS"]) >= 1 for environment in workshop.environments)


def test_several_gpus_are_shared_out(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    barrier: list[str] = []

    def launch(command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        barrier.append(environment["CUDA_VISIBLE_DEVICES"])
        deadline = time.monotonic() + 10
        while len(barrier) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return workshop.launch(command, log, environment)

    assert workshop.table("rows=none,rope", "jobs=2", launch=launch) == 0
    assert sorted(barrier) == ["3", "5"]


def test_both_protocols_side_by_side(workshop: Workshop) -> None:
    assert workshop.table("rows=none,rope", "protocol=published,controlled") == 0
    assert len(workshop.trained) == 4
    text = workshop.file("md", "alm-demo-published-controlled")
    assert "Test ppl (published)" in text
    assert "Test ppl (controlled)" in text
    rows = list(csv.DictReader(io.StringIO(workshop.file("csv", "alm-demo-published-controlled"))))
    assert {row["protocol"]: row["identities"] for row in rows} == {"published": "publ0000", "controlled": "cont0000"}


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


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"table=aml: unknown; did you mean 'alm'"):
        main(["table=aml"])


def test_a_record_of_another_run_is_refused(workshop: Workshop) -> None:
    workshop.table("rows=none")
    folder = workshop.root / "runs" / "alm"
    (folder / "none-cont0000").rename(folder / "rope-cont0000")
    content = json.loads((folder / "rope-cont0000" / "seed1" / "record.json").read_text())
    content["run"]["identity"] = "ffffffff"
    (folder / "rope-cont0000" / "seed1" / "record.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="belongs to run ffffffff seed 1"):
        workshop.table("rows=rope")


def test_a_signal_ends_the_run_in_order_and_then_the_table(tmp_path: Path) -> None:
    """The real launcher: a child that catches the signal writes its last words before the table exits."""
    script = """
    import sys, threading
    from pathlib import Path
    from experiments.tables.plan import Job
    from experiments.tables.runner import Stopped, run_jobs
    from experiments.tables.spec import Column, Row
    child = '''
    import os, signal, sys, time
    def stop(number, frame):
        open(sys.argv[1], "a").write(f"signal {number};")
        time.sleep(0.3)
        open(sys.argv[1], "a").write("saved")
        sys.exit(1)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("started in group", os.getpgid(0), flush=True)
    time.sleep(60)
    '''
    import textwrap
    class FakeJob(Job):
        command = property(lambda self: [sys.executable, "-c", textwrap.dedent(child), sys.argv[1]])
    jobs = [FakeJob(Row("r", "R", ()), "p", seed, (), Path("/nowhere"), "x") for seed in (1, 2)]
    try:
        run_jobs(jobs, 1, Path("/nowhere"), Column("M", "min", 1, "m"), lambda text: None)
    except Stopped as stopped:
        sys.exit(128 + stopped.number)
    """
    path = tmp_path / "words"
    for number in (signal.SIGINT, signal.SIGTERM):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        *words, group = process.stdout.readline().split()
        assert words == ["started", "in", "group"], "one job at a time writes to this terminal"
        assert int(group) != process.pid, "the terminal's signal does not reach it twice"
        os.killpg(process.pid, number)  # as a terminal does: to the table and to whatever shares its group
        assert process.wait(timeout=30) == 128 + number
        process.stdout.close()
        assert path.read_text() == f"signal {number};saved", "one signal, for one child: the second job never starts"
