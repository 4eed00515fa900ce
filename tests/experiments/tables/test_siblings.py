"""Figures of sibling papers: in a column of their own, beside the runs they belong to, with their source."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from experiments.config import compose
from experiments.tables.aggregate import Results, aggregate
from experiments.tables.comma_separated import render_csv
from experiments.tables.grid import make_grid
from experiments.tables.html import render_html
from experiments.tables.latex import render_latex
from experiments.tables.markdown import render_markdown
from experiments.tables.plan import Plan, Resolved, make_plan
from experiments.tables.reference import Figure
from experiments.tables.request import parse_request
from experiments.tables.siblings import check_siblings, figures_beside, load_siblings
from experiments.tables.spec import load_table
from experiments.tables.terminal import print_grid
from experiments.util.errors import UserError
from tests.experiments.tables.support import ROWS, record, spec

PLACE = {"paper": "S", "table": 1, "page": 6, "edition": "v2", "recipe": "alm_tnn", "data": "wikitext103_bpe"}


def sibling(folder: Path, rows: Any, **changes: Any) -> Path:
    path = folder / "s.yaml"
    OmegaConf.save(OmegaConf.create({**PLACE, "rows": rows, **changes}), path)
    return path


def resolve(overrides: list[str]) -> Resolved:
    """The real config, without the data that an identity reads."""
    config = compose(overrides)
    name = "-".join(word for word in overrides if not word.startswith("seed")).replace("/", "_")
    return Resolved(Path("/nowhere") / name / "seed1", name, Path("/nowhere"), (), OmegaConf.to_container(config))  # type: ignore[arg-type]


def anchors(*words: str) -> Plan:
    return make_plan(load_table("anchors"), parse_request(["table=anchors", *words]), resolve)


def test_the_anchors_are_the_four_printed_rows_by_the_recipe_they_were_printed_for() -> None:
    plan = anchors("profile=paper", "protocol=published")
    rows = {job.row.key: job.config for job in plan.jobs}
    kinds = {key: (row["attention"]["name"], row["attention"]["feature_map"]) for key, row in rows.items()}
    assert kinds == {
        "absolute": ("linear", "1+elu"),
        "softmax": ("softmax", "identity"),
        "performer": ("linear", "favor"),
        "cosformer": ("linear", "cosformer"),
    }
    for config in rows.values():
        recipe, model = config["recipe"], config["model"]
        assert (recipe["tokens_per_sample"], recipe["batch_size"], recipe["max_update"]) == (512, 128, 50_000)
        assert (recipe["warmup_updates"], recipe["weight_decay"], recipe["clip_norm"]) == (4000, 0.2, 1.0)
        assert (recipe["schedule"], recipe["learning_rate"], model["dropout"]) == ("inverse_sqrt", 5e-4, 0.1)
        assert (config["data"]["name"], model["name"]) == ("wikitext103_bpe", "decoder_base")
        assert config["protocol"]["absolute"] == "sinusoidal"


def test_transnormers_recipe_is_the_papers_profile() -> None:
    named, paper = (compose(["profile=paper", *words]).recipe for words in (["recipe=alm_transnormer"], []))
    assert {**named, "name": ""} == {**paper, "name": ""}
    assert (named.max_update, named.warmup_updates, named.weight_decay, named.clip_norm) == (100_000, 8000, 0.01, 0.0)


def test_printed_figures_stand_beside_the_runs_that_repeat_them() -> None:
    siblings = load_siblings(load_table("anchors"))
    beside = figures_beside(anchors("profile=paper", "protocol=both", "tracker=disabled"), siblings)
    assert len(beside) == 12
    assert {protocol for _, protocol, _ in beside} == {"published"}
    tests = {row: figure[1].mean for (row, _, column), figure in beside.items() if column == "test_perplexity"}
    assert tests == {"absolute": 28.05, "softmax": 24.78, "performer": 63.16, "cosformer": 27.06}
    assert beside["absolute", "published", "valid_perplexity"] == {1: Figure(27.44)}


@pytest.mark.parametrize(
    "words",
    [
        ["profile=paper", "protocol=controlled"],
        ["profile=demo", "protocol=published"],
        ["profile=paper", "protocol=published", "recipe.max_update=10"],
        ["profile=paper", "protocol=published", "recipe=alm_transnormer"],
        ["profile=paper", "protocol=published", "data=wikitext103"],
        ["profile=paper", "protocol=published", "model=decoder_demo"],
        ["profile=paper", "protocol=published", "recipe.learning_rate=1e-3"],
    ],
)
def test_beside_other_runs_nothing_stands(words: list[str]) -> None:
    assert figures_beside(anchors(*words), load_siblings(load_table("anchors"))) == {}


def shown(reference: dict[tuple[str, str], Figure]) -> Results:
    records = {("rope", "controlled", ()): [record(1, 28.5)]}
    figures = {("rope", "controlled", "test_perplexity"): {1: Figure(28.05)}}
    table = spec()
    return aggregate(
        table, ROWS, table.columns, ["controlled"], 1, records, reference, figures, ["sibling paper: S & T"]
    )


def test_every_notation_has_the_column_and_its_source() -> None:
    results = shown({})
    grid = make_grid(results, ["a note"])
    assert grid.headers[:4] == ("Encoding", "Test ppl", "sibling paper [1]", "Δ [1]")
    assert [text.plain for text in grid.rows[1][1][:3]] == ["28.50", "28.05", "+0.45"]
    terminal = io.StringIO()
    print_grid(grid, Console(file=terminal, width=200))
    assert "[1] sibling paper: S & T" in terminal.getvalue()
    assert r"- \[1\] sibling paper: S & T" in render_markdown(grid)
    assert "<li>[1] sibling paper: S &amp; T</li>" in render_html(grid)
    latex = render_latex(grid).splitlines()
    assert r"\par\smallskip{\footnotesize [1] sibling paper: S \& T}" in latex[latex.index(r"\end{tabular}") :]
    rows = {(row["row"], row["metric"]): row for row in csv.DictReader(io.StringIO(render_csv(results)))}
    rope = rows["rope", "metrics.test_perplexity"]
    assert (rope["paper"], rope["sibling_papers"], rope["sibling_notes"]) == ("", "28.05", "sibling paper: S & T")
    assert rows["none", "metrics.test_perplexity"]["sibling_papers"] == ""


def test_the_papers_own_figures_stay_in_their_own_column() -> None:
    grid = make_grid(shown({("rope", "test_perplexity"): Figure(30.0)}), [])
    assert grid.headers[1:6] == ("Test ppl", "paper", "Δ paper", "sibling paper [1]", "Δ [1]")
    assert [text.plain for text in grid.rows[1][1][:5]] == ["28.50", "30.00", "-1.50", "28.05", "+0.45"]


def test_without_sibling_figures_there_is_neither_column_nor_note() -> None:
    table = spec()
    grid = make_grid(aggregate(table, ROWS, table.columns, ["controlled"], 1, {}, {}, {}, ["sibling paper: S"]), [])
    assert grid.footnotes == ()
    assert not any("sibling" in header for header in grid.headers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"page": None}, "'page' is missing"),
        ({"edition": ""}, "'edition' is missing"),
        ({"recipe": "alm_tn"}, "recipe=alm_tn: no such option of conf/recipe; did you mean 'alm_tnn'"),
        ({"data": "wikitext103_bp"}, "data=wikitext103_bp: no such option of conf/data"),
        ({"rows": {"nome": {"test_perplexity": 1.0}}}, "unknown key 'nome'; did you mean 'none'"),
        ({"rows": {"none": {"test_perplexity": "low"}}}, "low: expected a number"),
        ({"tabel": 1}, "unknown key 'tabel'; did you mean 'table'"),
    ],
)
def test_a_wrong_file_is_one_clear_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"none": {"test_perplexity": 1.0}}
    assert load_siblings(spec(siblings=(sibling(tmp_path, good),)))[0].figures == {
        ("none", "test_perplexity"): Figure(1)
    }
    with pytest.raises(UserError, match=message):
        load_siblings(spec(siblings=(sibling(tmp_path, changes.pop("rows", good), **changes),)))


def test_a_file_that_is_missing_or_that_no_table_names_is_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.yaml: no such file"):
        load_siblings(spec(siblings=(tmp_path / "nowhere.yaml",)))
    path = sibling(tmp_path, {})
    with pytest.raises(UserError, match=f"{path}: no table names it"):
        check_siblings(tmp_path)
