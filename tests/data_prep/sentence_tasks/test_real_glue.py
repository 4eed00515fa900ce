"""GLUE's own files, the real ones, have the official rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import TASKS, DataError, load_manifest, prepare_task
from data_prep.text.dictionary import Dictionary

from .support import lines_of


@pytest.mark.parametrize("name", ["cola", "mrpc", "stsb", "rte", "wnli", "sst2"])
def test_rows_are_the_official_ones(tmp_path: Path, tokens: Path, glue: Path, name: str) -> None:
    task = TASKS[name]
    folder = prepare_task(name, tokens, tmp_path, glue)
    manifest = load_manifest(folder)
    assert manifest["counts"] == "published"
    assert {split: (counts["rows"],) for split, counts in manifest["splits"].items()} == {
        split: facts.rows for split, facts in task.splits.items()
    }
    indices = (folder / "index" / "test.txt").read_text().splitlines()
    assert indices == [str(at) for at in range(task.splits["test"].rows[0])]


def test_class_shares_are_the_known_ones(tmp_path: Path, tokens: Path, glue: Path) -> None:
    """CoLA's training set: 70.4 % acceptable (Warstadt et al. 2019); MRPC's: 67.4 % paraphrases; RTE's: balanced."""
    for name, label, share in (("cola", "1", 0.704), ("mrpc", "1", 0.674), ("rte", "entailment", 0.502)):
        folder = prepare_task(name, tokens, tmp_path, glue)
        counts = dict(Dictionary.load(folder / "label" / "dict.txt").entries)
        assert counts[label] / sum(counts.values()) == pytest.approx(share, abs=0.001)


def test_scores_are_those_of_the_files(tmp_path: Path, tokens: Path, glue: Path) -> None:
    folder = prepare_task("stsb", tokens, tmp_path, glue)
    for split, file in (("train", "train.tsv"), ("valid", "dev.tsv")):
        rows = (glue / "STS-B" / file).read_text(encoding="utf-8").split("\n")[1:-1]
        written = [float(line) for line in (folder / "label" / f"{split}.label").read_text().splitlines()]
        assert written == [pytest.approx(float(line.split("\t")[-1]), abs=1e-6) for line in rows]


def test_sentences_are_those_of_the_files(tmp_path: Path, pydoc_bpe: Path, glue: Path) -> None:
    """Nothing is cut, dropped or unknown: the pieces spell the file's sentences."""
    from data_prep.text.tokens import load_tokens

    folder = prepare_task("mrpc", pydoc_bpe, tmp_path, glue)
    vocabulary = load_tokens(pydoc_bpe)
    rows = (glue / "MRPC" / "dev.tsv").read_text(encoding="utf-8-sig").split("\n")[1:-1]
    for part in (0, 1):
        lines = lines_of(folder / f"input{part}" / "valid", folder / "dict.txt")
        wanted = vocabulary.tokenize([row.split("\t")[3 + part] for row in rows])
        assert lines == [" ".join([*words, "</s>"]) for words in wanted]
    assert all(counts["unknown"] == 0 for counts in load_manifest(folder)["splits"].values())


@pytest.mark.parametrize("name", ["mnli", "qnli", "qqp"])
def test_parts_in_glues_columns_are_read_as_data_of_another_identity(
    tmp_path: Path, tokens: Path, shared_data: Path, name: str
) -> None:
    parts = shared_data / "glue-subsets"
    if not parts.is_dir():
        pytest.skip(f"no parts of GLUE at {parts}")
    manifest = load_manifest(prepare_task(name, tokens, tmp_path, parts, allow_other_counts=True))
    assert {split: counts["rows"] for split, counts in manifest["splits"].items()} == {"train": 8_999, "valid": 1_000}
    assert manifest["counts"] == "other"


def test_a_copy_that_lost_a_row_is_refused(tmp_path: Path, tokens: Path, glue: Path) -> None:
    """A copy of MRPC with 3,667 training rows is in circulation."""
    copy = tmp_path / "MRPC"
    copy.mkdir()
    for path in (glue / "MRPC").iterdir():
        content = path.read_bytes()
        cut = content[: content.rindex(b"\n", 0, -1) + 1] if path.name == "train.tsv" else content
        (copy / path.name).write_bytes(cut)
    with pytest.raises(DataError, match=r"MRPC/train.tsv has 3,667 rows and GLUE's MRPC has 3,668 in train"):
        prepare_task("mrpc", tokens, tmp_path / "out", tmp_path)
