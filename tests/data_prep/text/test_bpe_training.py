"""A BPE of a corpus' own: deterministic, kept in the prepared folder, and never taken for another one."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.api import DataError, check, load_manifest, prepare
from data_prep.core.hub import HubError
from data_prep.core.manifest import write_manifest
from data_prep.core.verification import PublishedCounts
from data_prep.text.bpe import BytePairEncoder, load_encoder
from data_prep.text.bpe_training import train_encoder
from data_prep.text.indexed_writer import read_tokens
from tests.data_prep.support import ROOT, prepared_bytes, random_text, replace_published, run, write_source

TEXT = random_text(200)
SIZE = 300


def prepare_small(out: Path, source: Path, **options: object) -> Path:
    return prepare("wikitext2_bpe", out, source, **{"train_bpe": SIZE, "allow_other_counts": True, **options})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", suffix="raw", train=TEXT)


def test_merges_by_hand() -> None:
    """aab aab aab: first a+b (ties by number: (a, a) and (a, b) occur three times each, and a, a comes first)."""
    encoder = train_encoder([["aab aab", "aab"]], 258, "text")
    assert encoder.merges == [("a", "a"), ("aa", "b")]
    assert encoder(["aab ab", ""]) == [[str(encoder.vocabulary["aab"]), *encoded(encoder, "Ġ", "a", "b")], []]
    assert encoder.describe() == {"kind": "trained", "size": 258, "sha256": encoder.sha256}


def encoded(encoder: BytePairEncoder, *pieces: str) -> list[str]:
    return [str(encoder.vocabulary[piece]) for piece in pieces]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_bytes(text: str) -> None:
    assert TRAINED.decode(*TRAINED([text])[0]) == text.strip()


TRAINED = train_encoder([TEXT.split("\n")], SIZE, "text")


def test_blocks_and_their_sizes_do_not_matter() -> None:
    lines = TEXT.split("\n")
    parts = [lines[at : at + 7] for at in range(0, len(lines), 7)]
    again = train_encoder(parts, SIZE, "text")
    assert (again.vocabulary, again.merges) == (TRAINED.vocabulary, TRAINED.merges)


def test_the_same_merges_in_every_process_and_under_any_number_of_threads(tmp_path: Path, source: Path) -> None:
    here = prepare_small(tmp_path / "here", source)
    code = (
        "import sys, data_prep.api\n"
        "data_prep.api.prepare('wikitext2_bpe', sys.argv[1], sys.argv[2], train_bpe=300, allow_other_counts=True)"
    )
    for threads in ("1", "2"):
        environment = {"PYTHONHASHSEED": threads, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        there = tmp_path / threads
        subprocess.run([sys.executable, "-c", code, str(there), str(source)], cwd=ROOT, env=environment, check=True)
        assert prepared_bytes(there / "wikitext2_bpe") == prepared_bytes(here)


def test_the_folder_alone_tokenizes_further_text(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    encoder = load_encoder(folder)
    assert set(prepared_bytes(folder)) > {"encoder.json", "vocab.bpe", "dict.txt"}
    assert {"encoder.json", "vocab.bpe"} <= set(load_manifest(folder)["files"])
    dictionary = [line.split(" ")[0] for line in (folder / "dict.txt").read_text().splitlines()]
    ids, sizes = read_tokens(folder / "train")
    words = [dictionary[number - 4] for number in ids[: sizes[0] - 1].tolist()]
    assert encoder([TEXT.split("\n")[0]])[0] == words
    assert set(encoder(["Never seen: Ünïcödé 日本 \x01"])[0]) <= set(dictionary)  # no number is unknown


def test_fairseqs_own_encoder_reads_the_files(tmp_path: Path, source: Path) -> None:
    from fairseq.data.encoders.gpt2_bpe_utils import get_encoder

    folder = prepare_small(tmp_path, source)
    theirs = get_encoder(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
    lines = [*TEXT.split("\n")[:50], "we'll see naïve W9 w12"]
    expected = [[str(number) for number in theirs.encode(line.strip())] for line in lines]
    assert load_encoder(folder)(lines) == expected


def test_the_dictionary_has_every_number_by_falling_count(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    entries = [line.split(" ") for line in (folder / "dict.txt").read_text().splitlines()]
    counts = Counter(word for line in load_encoder(folder)(TEXT.split("\n")) for word in line)
    words = [(word, int(count)) for word, count in entries if not word.startswith("madeupword")]
    assert {word for word, _ in words} == {str(number) for number in range(SIZE)}
    assert all(counts[word] == count for word, count in words)
    assert words == sorted(words, key=lambda entry: (-entry[1], entry[0]))
    assert (len(entries) + 4) % 8 == 0


def test_a_prepared_folders_encoding_is_taken_over_with_its_dictionary(tmp_path: Path, source: Path) -> None:
    first = prepare_small(tmp_path / "first", source)
    other = write_source(tmp_path / "other", suffix="raw", train="w1 w2 w3\n")
    second = prepare("wikitext103_bpe", tmp_path / "second", other, bpe=first, allow_other_counts=True)
    for name in ("encoder.json", "vocab.bpe", "dict.txt"):
        assert (second / name).read_bytes() == (first / name).read_bytes()
    one, two = load_manifest(first)["bpe"], load_manifest(second)["bpe"]
    assert (one["kind"], two["kind"]) == ("trained", "given")
    assert one["sha256"] == two["sha256"]


def test_the_manifest_and_the_identity_name_the_vocabulary(tmp_path: Path, source: Path) -> None:
    small, large = (load_manifest(prepare_small(tmp_path / str(size), source, train_bpe=size)) for size in (300, 320))
    assert (small["bpe"]["kind"], small["bpe"]["size"], large["bpe"]["size"]) == ("trained", 300, 320)
    assert small["identity"] != large["identity"]


def test_one_vocabulary_is_not_passed_off_as_another(tmp_path: Path, source: Path) -> None:
    folder = prepare_small(tmp_path, source)
    before = folder.stat().st_ino
    assert prepare_small(tmp_path, source).stat().st_ino == before
    with pytest.raises(
        DataError, match=r"with a trained BPE of 300 entries, not GPT-2's: --train-bpe 300 keeps it, --f"
    ):
        prepare_small(tmp_path, source, train_bpe=None)
    with pytest.raises(DataError, match=r"not a trained one of 320: --train-bpe 300 keeps it"):
        prepare_small(tmp_path, source, train_bpe=320)
    other = prepare_small(tmp_path / "other", source, train_bpe=310)
    with pytest.raises(DataError, match=rf"not that of {other}"):
        prepare_small(tmp_path, source, train_bpe=None, bpe=other)
    assert load_manifest(prepare_small(tmp_path, source, train_bpe=310, force=True))["bpe"]["size"] == 310


def test_a_folder_prepared_before_encodings_were_kept_is_stale(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prepare_small(tmp_path, source)
    manifest = load_manifest(folder)
    for name in ("encoder.json", "vocab.bpe"):
        (folder / name).unlink()
        del manifest["files"][name]
    del manifest["bpe"]
    manifest["rules"] = {"tokens": "GPT-2 BPE", "dictionary": "RoBERTa's dict.txt"}
    write_manifest(folder, manifest)
    prepare_small(tmp_path, source)
    assert "was prepared by other rules and is prepared anew" in capsys.readouterr().err
    assert "bpe" in check(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_bpe": 256}, "--train-bpe 256: expected more than the 256 bytes"),
        ({"train_bpe": 1 << 21}, "--train-bpe 2097152: expected more than the 256 bytes and at most 1,048,576"),
        (
            {"train_bpe": 50_000},
            r"wiki.train.raw gives [\d,]+ pieces .* --train-bpe asks for 50,000: choose \d+ or less",
        ),
        ({"bpe": Path("x")}, "--bpe DIR and --train-bpe SIZE exclude each other"),
    ],
)
def test_sizes_out_of_reach_are_refused(tmp_path: Path, source: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare_small(tmp_path / "out", source, **options)


def test_damage_in_the_text_ends_the_training_with_its_line(tmp_path: Path, source: Path) -> None:
    (source / "wiki.train.raw").write_bytes(b"a b\nc \xff\n")
    with pytest.raises(DataError, match=r"wiki.train.raw, line 2: invalid UTF-8"):
        prepare_small(tmp_path / "out", source)


def test_a_wrong_folder_is_refused_before_the_training(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained on a text that is refused")

    monkeypatch.setattr("data_prep.text.preparation.train_encoder", never)
    with pytest.raises(DataError, match=r"wiki.valid.raw has 1 lines and the published valid split has 3,760"):
        prepare_small(tmp_path / "out", source, allow_other_counts=False)


def test_raw_files_are_preferred_and_word_tokens_are_data_of_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_published(monkeypatch, "wikitext2_bpe", PublishedCounts(lines={"valid": 1, "test": 1}))
    tokens = write_source(tmp_path / "tokens", suffix="tokens", train=TEXT)
    both = write_source(write_source(tmp_path / "both", suffix="raw", train=TEXT), suffix="tokens", train="other\n")
    manifests = {}
    for folder in (tokens, both):
        manifests[folder.name] = load_manifest(
            prepare("wikitext2_bpe", tmp_path / f"{folder.name}-out", folder, train_bpe=SIZE)
        )
    assert {name: (m["text"], m["counts"]) for name, m in manifests.items()} == {
        "tokens": ("tokens", "published"),
        "both": ("raw", "published"),
    }
    assert manifests["tokens"]["files"] == manifests["both"]["files"]
    assert manifests["tokens"]["identity"] != manifests["both"]["identity"]
    with pytest.raises(DataError, match=r"missing .*wiki.train.raw"):  # the large one has no such stand-in
        prepare("wikitext103_bpe", tmp_path / "103", tokens, train_bpe=SIZE)


def test_without_the_hub_the_message_names_both_ways_out(tmp_path: Path) -> None:
    done = run("wikitext2_bpe", "--source", tmp_path, "--out", tmp_path, HF_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "--bpe DIR, where DIR holds encoder.json and vocab.bpe" in done.stderr
    assert "--train-bpe SIZE" in done.stderr
    with pytest.raises(HubError):
        prepare("wikitext2_bpe", tmp_path, tmp_path)


def test_word_corpora_refuse_an_encoding(tmp_path: Path, source: Path) -> None:
    with pytest.raises(
        DataError, match=r"wikitext2 has words as tokens \(wikitext2_bpe has pieces\): it takes no train_bpe"
    ):
        prepare("wikitext2", tmp_path / "out", source, train_bpe=300)


class TestEmbedded:
    """``pydoc_bpe``: nothing to choose, always there."""

    def test_same_lines_as_the_words_and_nothing_unknown(self, pydoc: Path, pydoc_bpe: Path) -> None:
        manifest, words = load_manifest(pydoc_bpe), load_manifest(pydoc)
        assert (manifest["bpe"]["kind"], manifest["bpe"]["size"], manifest["words"]) == ("trained", 4096, 4096)
        assert manifest["source"]["files"] == words["source"]["files"]
        for split, counts in manifest["splits"].items():
            assert counts["lines"] == words["splits"][split]["lines"]
            assert counts["unknown"] == 0
            pieces = counts["tokens"] / words["splits"][split]["tokens"]
            assert 1 < pieces < 1.3  # most words are one piece

    def test_a_second_call_touches_nothing(self, pydoc_bpe: Path) -> None:
        before = pydoc_bpe.stat().st_ino
        assert prepare("pydoc_bpe", pydoc_bpe.parent).stat().st_ino == before

    @pytest.mark.parametrize("option", [{"source": "x"}, {"revision": "x"}, {"bpe": "x"}, {"train_bpe": 300}])
    def test_it_takes_no_options(self, tmp_path: Path, option: dict[str, object]) -> None:
        with pytest.raises(DataError, match=f"pydoc_bpe is embedded: it takes no {next(iter(option))}"):
            prepare("pydoc_bpe", tmp_path, **option)
