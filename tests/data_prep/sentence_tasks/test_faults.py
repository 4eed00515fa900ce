"""A row that is none is named by file and line, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest
from data_prep.sentence_tasks import tsv

from .support import lines_of, prepare_small, write_task

RTE = "index\tsentence1\tsentence2\tlabel\n"
GOOD = RTE + "0\tthe cat\tthe dog\tentailment\n"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def score(written: str) -> str:
    return f"{STSB}0\t_\t_\t_\t_\t_\t_\tthe cat\tthe dog\t{written}\n"


@pytest.mark.parametrize(
    ("name", "train", "message"),
    [
        ("rte", GOOD + "1\tthe cat\tentailment\n", "line 3: 3 columns between tabs where 4 are expected"),
        ("rte", GOOD + "1\tthe\tcat\tthe dog\tentailment\n", "line 3: 5 columns .*a tab or a line end inside"),
        ("rte", GOOD + '1\t"the\tcat"\tthe dog\tentailment\n', "line 3: 5 columns"),  # quotation marks protect nothing
        ("rte", GOOD + "\n", "line 3: 1 columns"),
        ("rte", GOOD + "1\tthe cat\tthe dog\t\n", "line 3: the label is missing: expected one of entailment, not_"),
        ("rte", GOOD + "1\ta\tb\tnot_entailed\n", "line 3: the label 'not_entailed' is none of .*did you mean 'not"),
        ("rte", GOOD + "1\t \tthe dog\tentailment\n", "line 3: the sentence is empty"),
        ("rte", GOOD + "1\tthe cat\t\tentailment\n", "line 3: the sentence is empty"),
        ("rte", GOOD + "1\ta\tb\0\tentailment\n", "line 3: a NUL byte"),
        ("rte", GOOD + "1\ta\rb\tc\tentailment\n", "line 3: a carriage return inside the line"),
        ("rte", (GOOD + "1\ta\t").encode() + b"\xff\tentailment\n", r"line 3: invalid UTF-8 \(byte 0xff\)"),
        ("rte", GOOD.replace("sentence2", "sentnce2"), "line 1: the header has no column 'sentence2'; did you mean 's"),
        ("rte", "the cat\tthe dog\tentailment\n", "line 1: the header has no column 'sentence1'; found 'the cat'"),
        ("rte", RTE, "has no rows: the train split is empty"),
        ("rte", "", "has no rows: the train split is empty"),
        ("rte", GOOD + "1\ta\tb\tentailment\n", "has the label 'entailment' in every row: there is nothing to lea"),
        ("cola", "sentence\tlabel\nthe cat\t1\n", "line 1: 2 columns between tabs where 4 are expected"),
        ("cola", "source\tlabel\tannotation\tsentence\n", "line 1: the label 'label' is none of 0, 1"),
        ("stsb", score("5.001"), r"line 2: the score is 5.001: expected a number from 0 to 5"),
        ("stsb", score("-0.1"), "line 2: the score is -0.1"),
        ("stsb", score("nan"), "line 2: the score is nan"),
        ("stsb", score("inf"), "line 2: the score is inf"),
        ("stsb", score("high"), "line 2: the score 'high' is not a number: expected a number from 0 to 5"),
        ("stsb", score(""), "line 2: the score is missing"),
        ("qqp", QQP + "0\t_\t_\ta\tb\tduplicate\n", "line 2: the label 'duplicate' is none of 0, 1"),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_line(
    tmp_path: Path, tokens: Path, name: str, train: str | bytes, message: str
) -> None:
    write_task(tmp_path / "glue", name, train=train)
    with pytest.raises(DataError, match=rf"train.tsv.*{message}"):
        prepare_small(tmp_path, name, tokens)
    assert [path.name for path in (tmp_path / "out" / "glue" / "wikitext2").iterdir()] == [f".{name}.lock"]


def test_lines_count_from_the_start_of_the_file_in_every_block(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_prep.text.text_source.BLOCK_BYTES", 16)
    write_task(tmp_path / "glue", "rte", train=GOOD + "1\ta\tb\tnot_entailment\n" * 20 + "2\ta\tb\tno\n")
    with pytest.raises(DataError, match="line 23: the label 'no' is none of"):
        prepare_small(tmp_path, "rte", tokens)


def test_a_mark_at_the_start_is_left_out_as_mrpc_has_one(tmp_path: Path, tokens: Path) -> None:
    source = write_task(tmp_path / "glue", "mrpc")
    path = source / "MRPC" / "train.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    folder = prepare_small(tmp_path, "mrpc", tokens)
    assert load_manifest(folder)["splits"]["train"]["rows"] == 6


def test_lines_that_a_line_end_broke_are_counted_in_qqp_and_left_out(tmp_path: Path, tokens: Path) -> None:
    """So they are in GLUE's own train.tsv (nyu-mll/GLUE-baselines, issue 5)."""
    broken = "1\t_\t_\tthe cat\nsat\tthe dog\t0\n"
    train = f"{QQP}0\t_\t_\tthe cat\tthe dog\t0\n{broken}2\t_\t_\t\tthe dog\t1\n"
    write_task(tmp_path / "glue", "qqp", train=train)
    folder = prepare_small(tmp_path, "qqp", tokens)
    counts = load_manifest(folder)["splits"]["train"]
    assert (counts["rows"], counts["skipped"]) == (2, 2)
    assert lines_of(folder / "input0" / "train", folder / "dict.txt") == ["the cat </s>", "</s>"]
    assert lines_of(folder / "label" / "train", folder / "label" / "dict.txt") == ["0 </s>", "1 </s>"]


def test_a_qqp_of_nothing_but_broken_lines_is_refused(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsv, "BROKEN_AT_MOST", 3)
    write_task(tmp_path / "glue", "qqp", train=QQP + "0\t_\t_\tthe cat\tthe dog\t0\n" + "x\n" * 4)
    with pytest.raises(DataError, match=r"QQP/train.tsv has more than 3 broken lines: it is damaged"):
        prepare_small(tmp_path, "qqp", tokens)
