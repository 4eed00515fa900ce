"""Damage in a source is named by file and line; nothing changes a count in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.core.errors import DataError
from data_prep.text import text_source
from data_prep.text.text_source import LocalFiles, decode_lines
from tests.data_prep.support import write_source

NAMES = {split: f"wiki.{split}.tokens" for split in ("train", "valid", "test")}


def lines_of(folder: Path, split: str = "train") -> list[str]:
    return [line for block in LocalFiles(folder, NAMES).blocks(split) for line in block]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"])), min_size=1))
def test_lines_come_back_as_they_were_written(lines: list[str]) -> None:
    lines[0] = lines[0].lstrip("\ufeff")
    block = "".join(f"{line}\n" for line in lines).encode()
    assert decode_lines(block, "file", 1) == lines


@pytest.mark.parametrize("block_bytes", [1, 3, 7, 1 << 20])
def test_blocks_of_any_size_give_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(text_source, "BLOCK_BYTES", block_bytes)
    assert lines_of(write_source(tmp_path, train="é a\n\n\nbb\r\n\r\nlast")) == ["é a", "", "", "bb", "", "last"]


def test_separators_that_only_some_readers_take_for_line_ends_stay_inside_the_line(tmp_path: Path) -> None:
    assert lines_of(write_source(tmp_path, train="a\u2028b\x85c\x0cd\n")) == ["a\u2028b\x85c\x0cd"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n\xff\xfe c\n", r"wiki.train.tokens, line 3: invalid UTF-8 \(byte 0xff\)"),
        (b"a\nb \xc3", r"line 2: invalid UTF-8 \(byte 0xc3\)"),
        (b"a\n\0\0\0\n", "line 2: a NUL byte"),
        (b"a\nb\rc\n", "line 2: a carriage return inside the line"),
        (b"\xef\xbb\xbfa\n", "line 1: a byte-order mark"),
    ],
)
@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_damage_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str, block_bytes: int
) -> None:
    monkeypatch.setattr(text_source, "BLOCK_BYTES", max(block_bytes, 4) if content[0] == 0xEF else block_bytes)
    with pytest.raises(DataError, match=message):
        lines_of(write_source(tmp_path, train=content))


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_source, "BLOCK_BYTES", 64)
    monkeypatch.setattr(text_source, "LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match="no line end within 1 MiB"):
        lines_of(write_source(tmp_path, train="a" * (3 << 20)))


def test_missing_files_are_all_named_with_what_belongs_there(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    (source / "wiki.train.tokens").unlink()
    (source / "wiki.test.tokens").unlink()
    with pytest.raises(DataError, match=r"missing .*wiki.train.tokens, .*wiki.test.tokens: --source names a folder"):
        LocalFiles(source, NAMES)
    with pytest.raises(DataError, match=r"no folder .*nowhere.*wiki.valid.tokens"):
        LocalFiles(tmp_path / "nowhere", NAMES)


def test_a_source_that_changes_between_the_passes_is_refused(tmp_path: Path) -> None:
    files = LocalFiles(write_source(tmp_path), NAMES)
    list(files.blocks("train"))
    with (tmp_path / "wiki.train.tokens").open("a") as file:
        file.write("more\n")
    with pytest.raises(DataError, match=r"wiki.train.tokens changed while it was read"):
        list(files.blocks("train"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (write_source(tmp_path) / "wiki.train.tokens").chmod(0)
    with pytest.raises(DataError, match=r"cannot read .*wiki.train.tokens: Permission denied"):
        lines_of(tmp_path)
