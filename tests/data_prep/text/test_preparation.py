"""prepare(): what it writes, what it refuses, and when it does nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import data_prep.api
from data_prep.api import DataError, check, load_manifest, prepare
from data_prep.core.manifest import write_manifest
from data_prep.core.verification import PublishedCounts
from data_prep.text.indexed_writer import read_tokens
from tests.data_prep.support import prepared_bytes, replace_published, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source")


def prepare_small(tmp_path: Path, source: Path, **options: object) -> Path:
    return prepare("wikitext2", tmp_path / "out", source, **{"allow_other_counts": True, **options})


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in [folder, *folder.iterdir()]}


def test_the_manifest_says_what_was_prepared_from_what(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    manifest = load_manifest(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*manifest["files"], "manifest.json"])
    assert manifest["splits"]["train"] == {"tokens": 9, "lines": 3, "unknown": 1, "unknown_rate": 1 / 9}
    assert manifest["splits"]["test"] == {"tokens": 3, "lines": 1, "unknown": 1, "unknown_rate": 1 / 3}
    assert (manifest["vocabulary"], manifest["words"], manifest["counts"]) == (8, 3, "other")
    assert manifest["source"]["kind"] == "local"
    assert set(manifest["source"]["files"]) == {f"wiki.{split}.tokens" for split in ("train", "valid", "test")}
    assert check(folder) == manifest


def test_identity_is_of_the_prepared_data_and_not_of_where_it_came_from(tmp_path: Path, source: Path) -> None:
    moved = shutil.copytree(source, tmp_path / "moved")
    one = load_manifest(prepare("wikitext2", tmp_path / "1", source, allow_other_counts=True))["identity"]
    two = load_manifest(prepare("wikitext2", tmp_path / "2", moved, allow_other_counts=True))["identity"]
    (moved / "wiki.test.tokens").write_text("c c\n")
    three = load_manifest(prepare("wikitext2", tmp_path / "3", moved, allow_other_counts=True))["identity"]
    four = load_manifest(prepare("wikitext103", tmp_path / "4", source, allow_other_counts=True))["identity"]
    assert one == two
    assert len({one, three, four}) == 3


def test_verified_and_other_counts_are_two_identities(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = load_manifest(prepare_small(tmp_path, source))
    replace_published(monkeypatch, "wikitext2", PublishedCounts(tokens={"train": 9, "valid": 3, "test": 3}, types=5))
    verified = load_manifest(prepare("wikitext2", tmp_path / "verified", source))
    assert (verified["counts"], other["counts"]) == ("published", "other")
    assert verified["files"] == other["files"]
    assert verified["identity"] != other["identity"]


def test_a_second_call_touches_nothing(tmp_path: Path, source: Path) -> None:
    before = state(prepare_small(tmp_path, source))
    assert state(prepare_small(tmp_path, source)) == before
    shutil.rmtree(source)
    assert state(prepare("wikitext2", tmp_path / "out", allow_other_counts=True)) == before


def test_force_prepares_anew(tmp_path: Path, source: Path) -> None:
    before = state(prepare_small(tmp_path, source))
    (source / "wiki.train.tokens").write_text("x y\n")
    folder = prepare_small(tmp_path, source, force=True)
    assert state(folder) != before
    assert load_manifest(folder)["splits"]["train"]["tokens"] == 3
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["wikitext2"]


def test_a_changed_source_is_not_passed_over(tmp_path: Path, source: Path) -> None:
    prepare_small(tmp_path, source)
    (source / "wiki.valid.tokens").write_text("a much longer line\n")
    with pytest.raises(DataError, match=r"prepared from another wiki.valid.tokens .*--force"):
        prepare_small(tmp_path, source)


def test_unverified_data_is_not_passed_off_as_verified(tmp_path: Path, source: Path) -> None:
    prepare_small(tmp_path, source)
    with pytest.raises(DataError, match=r"prepared with --allow-other-counts.*--force"):
        prepare_small(tmp_path, source, allow_other_counts=False)


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "rules"])
def test_a_damaged_folder_is_prepared_anew(
    tmp_path: Path, source: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prepare_small(tmp_path, source)
    good = prepared_bytes(folder)
    if damage == "truncate":
        (folder / "train.bin").write_bytes(b"\0")
    elif damage == "remove":
        (folder / "dict.txt").unlink()
    elif damage == "manifest":
        (folder / "manifest.json").write_text("{")
    else:
        manifest = load_manifest(folder)
        write_manifest(folder, {**manifest, "rules": {"tokens": "older"}})
    prepare_small(tmp_path, source)
    assert prepared_bytes(folder) == good
    check(folder)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_check_names_the_file_that_differs(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    content = bytearray((folder / "valid.bin").read_bytes())
    content[0] ^= 1
    (folder / "valid.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"valid.bin has SHA-256"):
        check(folder)
    (folder / "valid.bin").write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"valid.bin has 5 bytes and its manifest says 6"):
        check(folder)
    with pytest.raises(DataError, match=r"holds no prepared data"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ({"tokens": {"valid": 4}}, r"wiki.valid.tokens has 3 tokens and the published valid split has 4"),
        ({"tokens": {"train": 103_227_021}}, r"wiki.train.tokens has 9 tokens .* has 103,227,021"),
        ({"lines": {"test": 2}}, r"wiki.test.tokens has 1 lines and the published test split has 2"),
        ({"types": 6}, r"wiki.train.tokens has 5 different words .* vocabulary has 6"),
    ],
)
def test_other_counts_are_refused_and_nothing_stays(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, published: dict[str, object], message: str
) -> None:
    replace_published(monkeypatch, "wikitext2", PublishedCounts(**published))
    with pytest.raises(DataError, match=message) as caught:
        prepare("wikitext2", tmp_path / "out", source)
    assert "--allow-other-counts" in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".wikitext2.lock"]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
def test_an_empty_split_is_refused(tmp_path: Path, source: Path, split: str, content: bytes) -> None:
    (source / f"wiki.{split}.tokens").write_bytes(content)
    with pytest.raises(DataError, match=rf"wiki.{split}.tokens has no words: the {split} split is empty"):
        prepare_small(tmp_path, source)


@pytest.mark.parametrize("present", [["notes.txt"], ["dict.txt", "train.bin"], ["manifest.json", "notes.txt"]])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_was_not_prepared_here_is_never_replaced(
    tmp_path: Path, source: Path, present: list[str], force: bool
) -> None:
    folder = tmp_path / "out" / "wikitext2"
    folder.mkdir(parents=True)
    for name in present:
        (folder / name).write_text("mine")
    with pytest.raises(DataError, match="was not prepared here: move it away"):
        prepare_small(tmp_path, source, force=force)
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(present, "mine")


def test_carriage_returns_at_line_ends_change_no_count(tmp_path: Path, source: Path) -> None:
    unix = prepare_small(tmp_path, source)
    for path in source.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert prepared_bytes(prepare("wikitext2", tmp_path / "dos", source, allow_other_counts=True)) == prepared_bytes(
        unix
    )


def test_many_blocks_give_the_same_bytes_as_one(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare_small(tmp_path, source)
    monkeypatch.setattr("data_prep.text.text_source.BLOCK_BYTES", 3)
    assert prepared_bytes(prepare("wikitext2", tmp_path / "x", source, allow_other_counts=True)) == prepared_bytes(
        whole
    )


def test_default_place_is_the_environments(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path / "here"))
    assert prepare("wikitext2", source=source, allow_other_counts=True) == tmp_path / "here" / "wikitext2"
    assert read_tokens(tmp_path / "here" / "wikitext2" / "valid")[0].tolist() == [4, 5, 2]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'wikitext-2' is none of pydoc, .*; did you mean 'wikitext2'"):
        prepare("wikitext-2")
    words = ("pydoc", "wikitext2", "wikitext103")
    images = ("digits", "cifar10", "cifar100", "imagenet")
    assert set(data_prep.api.DATASETS) == {*words, *(f"{name}_bpe" for name in words), *images}
