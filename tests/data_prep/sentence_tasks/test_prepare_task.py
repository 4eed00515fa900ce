"""prepare_task(): what it writes, what it refuses, and when it does nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep.api import TASKS, DataError, check, load_manifest, prepare, prepare_task
from data_prep.core.manifest import write_manifest
from data_prep.sentence_tasks.catalog import GLUE
from tests.data_prep.support import write_source

from .support import SENTENCES, all_bytes, examples, lines_of, prepare_small, row, write_task


@pytest.mark.parametrize("name", GLUE)
def test_every_task_of_glues_own_files(tmp_path: Path, tokens: Path, name: str) -> None:
    task = TASKS[name]
    write_task(tmp_path / "glue", name)
    folder = prepare_small(tmp_path, name, tokens)
    assert folder == tmp_path / "out" / "glue" / "wikitext2" / name
    manifest = check(folder)
    assert (manifest["name"], manifest["task"], manifest["counts"]) == (f"glue_{name}", name, "other")
    assert manifest["labels"] == list(task.labels)
    assert (manifest["pair"], manifest["regression"]) == (task.pair, task.regression)
    assert manifest["tokens"] == {"name": "wikitext2", "identity": load_manifest(tokens)["identity"]}
    assert list(manifest["splits"]) == list(task.splits)

    made = examples(name, 6)
    dictionary = (tokens / "dict.txt").read_bytes()
    for split, facts in task.splits.items():
        assert manifest["splits"][split]["rows"] == 6
        for part in range(len(task.sentences)):
            expected = [f"{sentences[part]} </s>" for sentences, _ in made]
            assert lines_of(folder / f"input{part}" / split, folder / "dict.txt") == expected
            assert (folder / f"input{part}" / "dict.txt").read_bytes() == dictionary
        if not facts.labeled:
            assert not list((folder / "label").glob(f"{split}.*"))
            assert (folder / "index" / f"{split}.txt").read_text() == "0\n1\n2\n3\n4\n5\n"
        elif task.regression:
            scores = [float(line) for line in (folder / "label" / f"{split}.label").read_text().splitlines()]
            assert scores == [pytest.approx(float(label), abs=1e-6) for _, label in made]
        else:
            written = lines_of(folder / "label" / split, folder / "label" / "dict.txt")
            assert written == [f"{label} </s>" for _, label in made]
    assert (folder / "input1").exists() == task.pair


def test_labels_are_numbered_in_glues_order_whatever_their_frequency(tmp_path: Path, tokens: Path) -> None:
    label = TASKS["mnli"].labels
    rows = [row("mnli", "train", at, SENTENCES[:2], label[2] if at else label[0]) for at in range(5)]
    header = "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n"
    write_task(tmp_path / "glue", "mnli", train=header + "".join(rows))
    folder = prepare_small(tmp_path, "mnli", tokens)
    assert (folder / "label" / "dict.txt").read_text() == "entailment 1\nneutral 0\ncontradiction 4\n"


def test_quotation_marks_are_text(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "rte")
    folder = prepare_small(tmp_path, "rte", tokens)
    assert lines_of(folder / "input0" / "train", folder / "dict.txt")[1] == 'a "quoted" word </s>'


def test_unknown_words_are_counted(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "sst2", valid="sentence\tlabel\nthe zebra sat\t1\n")
    counts = load_manifest(prepare_small(tmp_path, "sst2", tokens))["splits"]["valid"]
    assert counts == {"rows": 1, "tokens": 4, "unknown": 1, "unknown_rate": 0.25}


def test_the_identity_is_of_content_and_vocabulary_and_not_of_the_place(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "rte")
    other = prepare("wikitext2", tmp_path / "other", write_source(tmp_path / "text"), allow_other_counts=True)
    moved = shutil.copytree(tmp_path / "glue", tmp_path / "moved")

    def identity(out: str, source: Path, vocabulary: Path = tokens) -> str:
        folder = prepare_task("rte", vocabulary, tmp_path / out, source, allow_other_counts=True)
        return load_manifest(folder)["identity"]

    one, two, three = identity("1", tmp_path / "glue"), identity("2", moved), identity("3", moved, other)
    (moved / "RTE" / "test.tsv").write_text("index\tsentence1\tsentence2\n0\tthe cat\tthe dog\n")
    assert one == two
    assert len({one, three, identity("4", moved)}) == 3


def test_a_second_call_touches_nothing(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "cola")
    folder = prepare_small(tmp_path, "cola", tokens)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}
    assert prepare_small(tmp_path, "cola", tokens) == folder
    shutil.rmtree(tmp_path / "glue")
    assert prepare_task("cola", tokens, tmp_path / "out", allow_other_counts=True) == folder
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before


@pytest.mark.parametrize("damage", ["truncate", "remove", "rules", "tokens"])
def test_a_damaged_or_stale_folder_is_prepared_anew(
    tmp_path: Path, tokens: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(tmp_path / "glue", "mrpc")
    folder = prepare_small(tmp_path, "mrpc", tokens)
    good = all_bytes(folder)
    manifest = load_manifest(folder)
    if damage == "truncate":
        (folder / "input1" / "train.bin").write_bytes(b"\0")
    elif damage == "remove":
        (folder / "label" / "valid.idx").unlink()
    elif damage == "rules":
        write_manifest(folder, {**manifest, "rules": {"tokens": "older"}})
    else:
        write_manifest(folder, {**manifest, "tokens": {"name": "x", "identity": "0"}})
    assert prepare_small(tmp_path, "mrpc", tokens) == folder
    assert all_bytes(folder) == good
    check(folder)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("stray", ["notes.txt", "input0/notes.md", "checkpoints/model.pt"])
def test_a_folder_with_files_of_ones_own_is_never_replaced(tmp_path: Path, tokens: Path, stray: str) -> None:
    write_task(tmp_path / "glue", "rte")
    folder = prepare_small(tmp_path, "rte", tokens)
    (folder / stray).parent.mkdir(exist_ok=True)
    (folder / stray).write_text("mine")
    with pytest.raises(DataError, match=rf"holds {stray}, so it was not prepared here: move it away"):
        prepare_small(tmp_path, "rte", tokens, force=True)
    assert (folder / stray).read_text() == "mine"


def test_a_failed_repetition_keeps_the_old_data(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "rte")
    folder = prepare_small(tmp_path, "rte", tokens)
    before = all_bytes(folder)
    (tmp_path / "glue" / "RTE" / "train.tsv").write_bytes(b"")
    with pytest.raises(DataError, match="no rows"):
        prepare_small(tmp_path, "rte", tokens, force=True)
    assert all_bytes(folder) == before
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["rte"]


def test_what_was_prepared_with_other_counts_or_from_other_files_is_not_passed_off(
    tmp_path: Path, tokens: Path
) -> None:
    source = write_task(tmp_path / "glue", "rte")
    prepare_small(tmp_path, "rte", tokens)
    with pytest.raises(DataError, match=r"prepared with --allow-other-counts.*--force"):
        prepare_small(tmp_path, "rte", tokens, allow_other_counts=False)
    with (source / "RTE" / "dev.tsv").open("a") as file:
        file.write(row("rte", "valid", 6, SENTENCES[:2], "entailment"))
    with pytest.raises(DataError, match=r"prepared from another RTE/dev.tsv .*--force"):
        prepare_small(tmp_path, "rte", tokens)


def test_rows_that_are_not_glues_are_refused_with_both_counts(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "qqp")
    with pytest.raises(DataError, match=r"QQP/dev.tsv has 6 rows and GLUE's QQP has 40,430 in valid.*--allow-other"):
        prepare_small(tmp_path, "qqp", tokens, allow_other_counts=False)


def test_test_splits_may_be_missing_only_where_other_counts_are_allowed(tmp_path: Path, tokens: Path) -> None:
    source = write_task(tmp_path / "glue", "mnli")
    for name in ("test_matched", "test_mismatched", "dev_mismatched"):
        (source / "MNLI" / f"{name}.tsv").unlink()
    shutil.rmtree(source / "diagnostic")
    with pytest.raises(DataError, match=r"missing .*dev_mismatched.tsv, .*test_matched.tsv, .*test_mismatched.tsv: "):
        prepare_small(tmp_path, "mnli", tokens, allow_other_counts=False)
    assert list(load_manifest(prepare_small(tmp_path, "mnli", tokens))["splits"]) == ["train", "valid"]
    (source / "MNLI" / "dev_matched.tsv").unlink()
    with pytest.raises(DataError, match=r"missing .*MNLI/dev_matched.tsv"):
        prepare_small(tmp_path, "mnli", tokens, force=True)


def test_the_diagnostic_set_may_be_missing(tmp_path: Path, tokens: Path) -> None:
    source = write_task(tmp_path / "glue", "mnli")
    shutil.rmtree(source / "diagnostic")
    splits = load_manifest(prepare_small(tmp_path, "mnli", tokens))["splits"]
    assert [split for split in TASKS["mnli"].splits if split not in splits] == ["test_diagnostic"]


def test_the_tokens_have_to_be_prepared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere holds no prepared data"):
        prepare_task("cola", tmp_path / "nowhere", tmp_path)


def test_an_unknown_task_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task: 'sst-2' is none of cola, .*; did you mean 'sst2'"):
        prepare_task("sst-2", tmp_path)


def test_default_place_is_the_environments(tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path / "here"))
    write_task(tmp_path / "glue", "cola")
    folder = prepare_task("cola", tokens, source=tmp_path / "glue", allow_other_counts=True)
    assert folder == tmp_path / "here" / "glue" / "wikitext2" / "cola"


@pytest.mark.parametrize("block_bytes", [7, 64])
def test_many_blocks_give_the_same_bytes_as_one(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """Files are read and written in blocks, so that memory does not grow with them."""
    write_task(tmp_path / "glue", "mrpc", rows=40)
    whole = all_bytes(prepare_small(tmp_path, "mrpc", tokens))
    monkeypatch.setattr("data_prep.text.text_source.BLOCK_BYTES", block_bytes)
    assert all_bytes(prepare_small(tmp_path, "mrpc", tokens, force=True)) == whole
