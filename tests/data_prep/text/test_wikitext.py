"""WikiText has the literature's counts, on the real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest, prepare, unigram_perplexity
from data_prep.text.wikitext import WORDS_2, WORDS_103


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    folder = shared_data / "wikitext-2"
    if not folder.is_dir():
        pytest.skip(f"no WikiText-2 at {folder}")
    return folder


@pytest.fixture(scope="module")
def prepared(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare("wikitext2", tmp_path_factory.mktemp("data"), real)


def test_published_counts_are_the_papers() -> None:
    """Merity et al. 2016, table 1; WikiText-103 shares the held-out articles."""
    held_out = {"valid": 217_646, "test": 245_569}
    assert WORDS_2.tokens == {"train": 2_088_628, **held_out}
    assert WORDS_2.types == 33_278
    assert WORDS_103.tokens == {"train": 103_227_021, **held_out}
    assert WORDS_103.types == 267_735


def test_wikitext_2_comes_out_as_published(prepared: Path) -> None:
    manifest = load_manifest(prepared)
    assert manifest["counts"] == "published"
    assert {split: counts["tokens"] for split, counts in manifest["splits"].items()} == WORDS_2.tokens
    assert {split: counts["lines"] for split, counts in manifest["splits"].items()} == {
        "train": 36_718,
        "valid": 3_760,
        "test": 4_358,
    }
    assert manifest["words"] + 2 == 33_278  # </s> and <unk>
    assert manifest["vocabulary"] == 33_280  # and <s>, <pad>; a multiple of 8 as it is


def test_most_frequent_words_come_first(prepared: Path) -> None:
    lines = (prepared / "dict.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["the", ",", ".", "of"]


def test_unigram_perplexity_is_in_the_known_range(prepared: Path) -> None:
    assert 800 < unigram_perplexity(prepared, "test") < 1100


def test_wikitext_2_is_not_taken_for_wikitext_103(real: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wiki.train.tokens has 2,088,628 tokens .* train split has 103,227,021"):
        prepare("wikitext103", tmp_path, real)


def test_a_copy_that_lost_one_line_is_refused(real: Path, tmp_path: Path) -> None:
    for path in real.glob("wiki.*.tokens"):
        (tmp_path / path.name).symlink_to(path)
    valid = tmp_path / "wiki.valid.tokens"
    content = valid.read_bytes()
    valid.unlink()
    valid.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(
        DataError, match=r"wiki.valid.tokens has 217,\d+ tokens and the published valid split has 217,646"
    ):
        prepare("wikitext2", tmp_path / "out", tmp_path)
