"""Every line of a split that is handed in has an index of its own, by which GLUE's server finds its prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest
from data_prep.sentence_tasks.examples import Examples, IndexCheck

from .support import prepare_small, write_task

RTE = "index\tsentence1\tsentence2\n"
QQP = "id\tquestion1\tquestion2\n"
QQP_LABELED = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t_\t_\ta\tb\t0\n1\t_\t_\ta\tb\t1\n"


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ("", "the index is missing"),
        (" ", "the index is missing"),
        ("1 2", "the index '1 2' has white space inside or around it"),
        (" 1", "the index ' 1' has white space"),
        ("1 ", "the index '1 ' has white space"),
        ("1\u00a02", r"the index .* has white space"),
        ("0", "the index '0' is that of line 2 too"),
    ],
)
@pytest.mark.parametrize(("name", "header"), [("rte", RTE), ("qqp", QQP)])
def test_a_bad_index_is_refused_with_its_line(
    tmp_path: Path, tokens: Path, name: str, header: str, index: str, fault: str
) -> None:
    write_task(tmp_path / "glue", name, test=f"{header}0\ta\tb\n{index}\ta\tb\n")
    with pytest.raises(DataError, match=rf"test\.tsv, line 3: {fault}.*expected one word that no other line has"):
        prepare_small(tmp_path, name, tokens)


def test_a_doubled_index_is_found_across_blocks(tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.text.text_source.BLOCK_BYTES", 16)
    lines = "".join(f"{index}\tthe cat\tthe dog\n" for index in [*range(20), 3])
    write_task(tmp_path / "glue", "rte", test=RTE + lines)
    with pytest.raises(DataError, match=r"line 22: the index '3' is that of line 5 too"):
        prepare_small(tmp_path, "rte", tokens)


def test_every_test_split_is_looked_at(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "mnli", test_diagnostic=f"{RTE}0\ta\tb\n0\ta\tb\n")
    with pytest.raises(DataError, match=r"diagnostic\.tsv, line 3: the index '0' is that of line 2"):
        prepare_small(tmp_path, "mnli", tokens)


def test_the_same_index_in_another_split_is_another_example(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "mnli")
    folder = prepare_small(tmp_path, "mnli", tokens)
    matched, mismatched = ((folder / "index" / f"{split}.txt").read_text() for split in ("test", "test_mismatched"))
    assert matched == mismatched == "0\n1\n2\n3\n4\n5\n"


def test_indices_of_train_are_not_read(tmp_path: Path, tokens: Path) -> None:
    """Nothing is handed in of them, and copies of GLUE without them train as well."""
    header = "index\tsentence1\tsentence2\tlabel\n"
    write_task(tmp_path / "glue", "rte", train=f"{header}\ta\tb\tentailment\n\ta\tb\tnot_entailment\n")
    assert load_manifest(prepare_small(tmp_path, "rte", tokens))["splits"]["train"]["rows"] == 2


@pytest.mark.parametrize("broken", ["1\ta\n", "1\ta\tb\tc\n", "\n"])
def test_a_broken_line_of_qqps_test_split_is_refused_as_its_answer_would_lack(
    tmp_path: Path, tokens: Path, broken: str
) -> None:
    write_task(tmp_path / "glue", "qqp", test=f"{QQP}0\ta\tb\n{broken}2\ta\tb\n")
    with pytest.raises(DataError, match=r"QQP/test\.tsv, line 3: \d columns .*a prediction for every line"):
        prepare_small(tmp_path, "qqp", tokens)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_broken_line_of_qqps_labeled_splits_is_counted(tmp_path: Path, tokens: Path, split: str) -> None:
    write_task(tmp_path / "glue", "qqp", **{split: f"{QQP_LABELED}2\t_\t_\tx\n"})
    counts = load_manifest(prepare_small(tmp_path, "qqp", tokens))["splits"]
    assert (counts[split]["rows"], counts[split]["skipped"]) == (2, 1)
    assert "skipped" not in counts["test"]


def test_a_split_that_is_not_handed_in_has_nothing_to_check() -> None:
    IndexCheck("x").refuse_bad(Examples(["line 1"], (["a"],), ["0"], None))
