"""The token files are fairseq's, byte for byte, and read back as they were written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.core.errors import DataError
from data_prep.text.indexed_writer import IndexedWriter, read_tokens, token_dtype

lines_of_tokens = st.lists(st.lists(st.integers(0, 65_000), min_size=1, max_size=12), max_size=20)


def write(prefix: Path, lines: list[list[int]], vocabulary: int, block: int = 3) -> None:
    with IndexedWriter(prefix, vocabulary) as writer:
        for start in range(0, len(lines), block):
            part = lines[start : start + block]
            writer.add(np.array([i for line in part for i in line], dtype=np.uint32), np.array([len(x) for x in part]))


@settings(deadline=None, max_examples=60)
@given(lines=lines_of_tokens, vocabulary=st.sampled_from([65_001, 65_499, 65_500, 300_000]))
def test_round_trip(lines: list[list[int]], vocabulary: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "train", lines, vocabulary)
        ids, sizes = read_tokens(Path(folder) / "train")
        assert sizes.tolist() == [len(line) for line in lines]
        assert ids.tolist() == [token for line in lines for token in line]


@settings(deadline=None, max_examples=15)
@given(lines=lines_of_tokens.filter(bool), vocabulary=st.sampled_from([65_499, 65_500]))
def test_same_bytes_as_fairseqs_builder_and_readable_by_fairseq(lines: list[list[int]], vocabulary: int) -> None:
    import torch
    from fairseq.data.indexed_dataset import MMapIndexedDataset, make_builder

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "ours", lines, vocabulary)
        builder = make_builder(str(folder / "theirs.bin"), "mmap", vocab_size=vocabulary)
        for line in lines:
            builder.add_item(torch.tensor(line))
        builder.finalize(str(folder / "theirs.idx"))
        assert (folder / "ours.bin").read_bytes() == (folder / "theirs.bin").read_bytes()
        assert (folder / "ours.idx").read_bytes() == (folder / "theirs.idx").read_bytes()
        data = MMapIndexedDataset(str(folder / "ours"))
        assert [data[index].tolist() for index in range(len(data))] == lines


def test_number_type_changes_where_fairseqs_does() -> None:
    from fairseq.data.indexed_dataset import best_fitting_int_dtype

    for vocabulary in (8, 33_280, 65_499, 65_500, 65_536, 267_744):
        assert token_dtype(vocabulary) == np.dtype(best_fitting_int_dtype(vocabulary))


def test_an_interrupted_writer_leaves_no_index(tmp_path: Path) -> None:
    def interrupted() -> None:
        with IndexedWriter(tmp_path / "train", 10) as writer:
            writer.add(np.array([4, 2]), np.array([2]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert not (tmp_path / "train.idx").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"TNTIDX\0\0" + bytes(40)), "no index of fairseq's"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "damaged"),
        (lambda path: path.unlink(), "cannot read .*train.idx"),
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, damage: object, message: str) -> None:
    write(tmp_path / "train", [[4, 2], [5, 2]], 10)
    damage(tmp_path / "train.idx")
    with pytest.raises(DataError, match=message):
        read_tokens(tmp_path / "train")
