"""GPT-2's encoding is GPT-2's, numbered as fairseq's RoBERTa numbers it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data_prep.api import DataError, load_manifest, prepare
from data_prep.text.bpe import FILES, BytePairEncoder, download_encoder, load_encoder
from data_prep.text.indexed_writer import read_tokens
from tests.data_prep.support import prepared_bytes, write_source
from tests.data_prep.text.test_fairseq_agreement import fairseq_preprocess


@pytest.fixture(scope="module")
def gpt2(shared_data: Path) -> Path:
    folder = shared_data / "gpt2_bpe"
    if not folder.is_dir():
        pytest.skip(f"no GPT-2 BPE at {folder}")
    return folder


@pytest.fixture(scope="module")
def encoder(gpt2: Path) -> BytePairEncoder:
    return load_encoder(gpt2)


@pytest.fixture
def without_dictionary(gpt2: Path, tmp_path: Path) -> Path:
    """The hub's file names, and no dict.txt."""
    folder = tmp_path / "bpe"
    folder.mkdir()
    shutil.copy(gpt2 / "encoder.json", folder / "vocab.json")
    shutil.copy(gpt2 / "vocab.bpe", folder / "merges.txt")
    return folder


def test_known_encodings(encoder: BytePairEncoder) -> None:
    lines = ["Hello world", "", " \n", " Hello world \n", "don't 2023 <unk>"]
    assert [" ".join(words) for words in encoder(lines)] == [
        "15496 995",
        "",
        "",
        "15496 995",
        "9099 470 1160 1954 1279 2954 29",
    ]


def test_same_numbers_as_fairseqs_encoder_on_real_text(encoder: BytePairEncoder, gpt2: Path, shared_data: Path) -> None:
    from fairseq.data.encoders.gpt2_bpe_utils import get_encoder

    theirs = get_encoder(str(gpt2 / "encoder.json"), str(gpt2 / "vocab.bpe"))
    lines = (shared_data / "wikitext-2" / "wiki.valid.tokens").read_text(encoding="utf-8").split("\n")[:1500]
    lines += ["naïve  日本\u00a0x\u2028y \U0001f600\t\ttab's WE'LL we'll", "a" * 3000, "\u0300\u200d"]
    assert encoder(lines) == [[str(number) for number in theirs.encode(line.strip())] for line in lines]


def test_robertas_dictionary_is_used_as_it_is(
    gpt2: Path, encoder: BytePairEncoder, tmp_path: Path, shared_data: Path
) -> None:
    real = (shared_data / "wikitext-2" / "wiki.test.tokens").read_text(encoding="utf-8").split("\n")[:400]
    source = write_source(tmp_path / "raw", suffix="raw", train="\n".join(real), valid="Hello world\n\n")
    folder = prepare("wikitext103_bpe", tmp_path / "out", source, bpe=gpt2, allow_other_counts=True)
    manifest = load_manifest(folder)
    assert (folder / "dict.txt").read_bytes() == (gpt2 / "dict.txt").read_bytes()
    assert manifest["vocabulary"] == 50_264
    assert all(counts["unknown"] == 0 for counts in manifest["splits"].values())

    encoded = tmp_path / "encoded"
    for split in ("train", "valid", "test"):
        lines = (source / f"wiki.{split}.raw").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        write_source(encoded, **{split: "".join(" ".join(words) + "\n" for words in encoder(lines))})
        (encoded / f"wiki.{split}.tokens").rename(encoded / f"wiki.{split}.raw")
    theirs = fairseq_preprocess(encoded, tmp_path / "theirs", "raw", "--srcdict", str(gpt2 / "dict.txt"))
    assert {name: content for name, content in prepared_bytes(folder).items() if name not in FILES} == theirs


def test_without_robertas_dictionary_one_is_built_by_count(without_dictionary: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "raw", suffix="raw", train="Hello world\n\nHello\n", valid="Hello you\n")
    folder = prepare("wikitext103_bpe", tmp_path / "out", source, bpe=without_dictionary, allow_other_counts=True)
    assert (folder / "dict.txt").read_text().split("\n")[:2] == ["15496 2", "995 1"]
    ids, sizes = read_tokens(folder / "train")
    assert ids.tolist() == [4, 5, 2, 2, 4, 2]
    assert sizes.tolist() == [3, 1, 2]
    manifest = load_manifest(folder)
    assert manifest["splits"]["valid"]["unknown"] == 0  # "you" is not in train, and still has its number
    assert (manifest["vocabulary"], manifest["words"]) == (50_264, 50_257)


def test_raw_text_has_the_lines_of_the_word_tokens_or_is_refused(gpt2: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "raw", suffix="raw")
    with pytest.raises(DataError, match=r"wiki.valid.raw has 1 lines and the published valid split has 3,760"):
        prepare("wikitext103_bpe", tmp_path / "out", source, bpe=gpt2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "merges.txt").unlink(),
            r"has no byte-pair encoding.*encoder.json and vocab.bpe or vocab.json",
        ),
        (lambda folder: (folder / "vocab.json").write_text("{"), r"cannot read .*vocab.json"),
        (
            lambda folder: (folder / "vocab.json").write_text('{"a": 0}'),
            r"vocab.json is no byte-level BPE: expected 256 or more pieces",
        ),
        (
            lambda folder: drop_last_line(folder / "merges.txt"),
            r"merges.txt do not belong together: no merge makes",
        ),
        (lambda folder: rename_entry(folder / "vocab.json"), r"do not belong together"),
        (lambda folder: (folder / "dict.txt").write_text("13 5\n"), r"dict.txt lacks 50,256 numbers"),
    ],
)
def test_files_that_are_not_gpt2s_are_named(
    without_dictionary: Path, tmp_path: Path, damage: object, message: str
) -> None:
    damage(without_dictionary)
    source = write_source(tmp_path / "raw", suffix="raw")
    with pytest.raises(DataError, match=message):
        prepare("wikitext103_bpe", tmp_path / "out", source, bpe=without_dictionary, allow_other_counts=True)


def drop_last_line(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


def rename_entry(path: Path) -> None:
    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    vocabulary["no such piece"] = vocabulary.pop("Ġthe")
    path.write_text(json.dumps(vocabulary), encoding="utf-8")


def test_the_hubs_files_are_asked_for_at_the_pinned_commit(
    without_dictionary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str, str]] = []

    def hf_hub_download(repository: str, name: str, revision: str) -> str:
        asked.append((repository, name, revision))
        return str(without_dictionary / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    encoder = download_encoder()
    assert encoder(["Hello world"]) == [["15496", "995"]]
    assert encoder.dictionary is None
    commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    assert asked == [("openai-community/gpt2", name, commit) for name in ("vocab.json", "merges.txt")]


def test_numbers_decode_to_their_text(encoder: BytePairEncoder) -> None:
    words = encoder(["Hello world, naïve"])[0]
    assert "".join(encoder.decode(word) for word in words) == "Hello world, naïve"
    assert encoder.decode("</s>") == ""
