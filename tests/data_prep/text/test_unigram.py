"""The baseline's perplexity is that of its formula."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from data_prep.api import DataError, load_manifest, prepare, unigram_perplexity
from data_prep.text import unigram
from data_prep.text.indexed_writer import IndexedWriter
from tests.data_prep.support import random_text, write_source


def test_by_hand(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", train="a a b\n\n", valid="a new\n", test="b\n")
    folder = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    # train: a 2, b 1, </s> 2, so 5 tokens; the dictionary has 4 special symbols, a, b and 2 of padding, so 8 entries
    p = {"a": 3 / 13, "b": 2 / 13, "</s>": 3 / 13, "<unk>": 1 / 13}
    valid = math.exp(-(math.log(p["a"]) + math.log(p["<unk>"]) + math.log(p["</s>"])) / 3)
    test = math.exp(-(math.log(p["b"]) + math.log(p["</s>"])) / 2)
    assert unigram_perplexity(folder, "valid") == pytest.approx(valid, rel=1e-12)
    assert unigram_perplexity(str(folder), "test") == pytest.approx(test, rel=1e-12)


def test_large_data_is_counted_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", train=random_text(50), valid=random_text(10, 1))
    folder = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    whole = [unigram_perplexity(folder, split) for split in ("train", "valid")]
    monkeypatch.setattr(unigram, "TOKENS_AT_ONCE", 7)
    assert [unigram_perplexity(folder, split) for split in ("train", "valid")] == whole


def test_bad_input_is_named(tmp_path: Path) -> None:
    folder = prepare("wikitext2", tmp_path / "out", write_source(tmp_path / "source"), allow_other_counts=True)
    with pytest.raises(ValueError, match="'validation' is none of train, valid, test; did you mean 'valid'"):
        unigram_perplexity(folder, "validation")
    with pytest.raises(DataError, match="holds no prepared data"):
        unigram_perplexity(tmp_path, "test")
    with IndexedWriter(folder / "valid", 100) as writer:
        writer.add(np.array([99]), np.array([1]))
    with pytest.raises(DataError, match=r"valid.bin has a token beyond"):
        unigram_perplexity(folder, "valid")


def test_a_model_of_one_word_has_little_to_learn(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", train="a\n" * 500, valid="a\n", test="a\n")
    folder = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    vocabulary = json.loads((folder / "manifest.json").read_text())["vocabulary"]
    assert vocabulary == load_manifest(folder)["vocabulary"] == 8
    assert unigram_perplexity(folder, "train") == pytest.approx((1000 + vocabulary) / 501, rel=1e-12)
