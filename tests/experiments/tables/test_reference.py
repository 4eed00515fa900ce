"""The paper's figures: nothing stands there that a reader could not look up in the paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.table import main
from experiments.tables.reference import Figure, check_references, load_reference
from experiments.util.errors import UserError
from tests.experiments.tables.support import spec

PLACE = "paper: P\ntable: 2\npage: 7\nread_from: arXiv v1\ndata: WikiText-103\n"


def reference(folder: Path, text: str) -> Path:
    path = folder / "paper.yaml"
    path.write_text(text)
    return path


def test_figures_are_numbers_or_a_mean_and_a_spread_and_cells_may_be_empty(tmp_path: Path) -> None:
    rows = (
        "{none: {test_perplexity: 20.5, parameters: null}, lrpe: {test_perplexity: {mean: 19, std: 0.5}}, rope: null}"
    )
    found = load_reference(spec(reference=reference(tmp_path, f"{PLACE}rows: {rows}")))
    assert found.figures == {("none", "test_perplexity"): Figure(20.5), ("lrpe", "test_perplexity"): Figure(19.0, 0.5)}
    assert found.source == "P, table 2, page 7, read from arXiv v1; WikiText-103"


def test_a_table_without_a_reference_has_no_figures(tmp_path: Path) -> None:
    assert load_reference(spec()).figures == {}
    assert load_reference(spec(reference=tmp_path / "nowhere.yaml")).figures == {}


@pytest.mark.parametrize("key", ["paper", "table", "page", "read_from"])
def test_a_figure_needs_its_place_in_the_paper(tmp_path: Path, key: str) -> None:
    place = "".join(line + "\n" if not line.startswith(key) else f"{key}: null\n" for line in PLACE.splitlines())
    empty = "rows: {none: {test_perplexity: null}}"
    assert load_reference(spec(reference=reference(tmp_path, place + empty))).figures == {}
    figure = "rows: {none: {test_perplexity: 20.5}}"
    with pytest.raises(UserError, match=rf"none.test_perplexity stands there, but '{key}' is empty; fill in {key}"):
        load_reference(spec(reference=reference(tmp_path, place + figure)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: {nome: {test_perplexity: 1}}", "unknown key 'nome'; did you mean 'none'"),
        ("rows: {none: {test_perplexty: 1}}", "unknown key 'test_perplexty'; did you mean 'test_perplexity'"),
        ("rows: {none: {test_perplexity: about 20}}", "about 20: expected a number"),
        ("rows: {none: {test_perplexity: true}}", "True: expected a number"),
        ("rows: {none: {test_perplexity: .inf}}", "inf: expected a number"),
        ("rows: {none: {test_perplexity: {mean: 20, sdt: 1}}}", "unknown key 'sdt'; did you mean 'std'"),
        ("rows: {none: {test_perplexity: {std: 1}}}", "'mean' is missing"),
        ("rows: {none: {test_perplexity: {mean: 20, std: -1}}}", "std=-1: expected 0 or more"),
        ("rows: [none]", "rows: expected keys and values"),
        ("rows: {none: 20}", "rows.none: expected keys and values"),
        ("rows: {}\npge: 3", "unknown key 'pge'; did you mean 'page'"),
        ("rows: {", "cannot be read"),
    ],
)
def test_a_wrong_file_is_one_clear_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_reference(spec(reference=reference(tmp_path, PLACE + text)))


def test_every_file_of_the_project_is_sound_and_says_how_much_is_entered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["references"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition(":")[0] for line in lines} >= {
        f"results/paper/{name}.yaml" for name in ("alm", "blm", "glue")
    }
    assert all(" figures entered" in line for line in lines)
    assert "results/paper/siblings/lightning_attention.yaml: 12 figures entered, of a sibling paper" in lines


def test_a_file_that_no_table_names_is_found(tmp_path: Path) -> None:
    path = reference(tmp_path, PLACE + "rows: {}")
    with pytest.raises(UserError, match=f"{path}: no table names it"):
        check_references(tmp_path)
