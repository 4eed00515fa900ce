"""Byte-level byte-pair encoding (Radford et al. 2019): GPT-2's, or one trained on a corpus, in GPT-2's files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.hub import HubError, require_hub, unreachable
from data_prep.text.dictionary import Dictionary

HUB_ID = "openai-community/gpt2"
HUB_REVISION = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
FILES = ("encoder.json", "vocab.bpe")
LAYOUTS = (FILES, ("vocab.json", "merges.txt"))
RULES = {
    "tokens": "byte-level BPE of each stripped line, its numbers as words; </s> closes each line, blank lines too",
    "dictionary": "dict.txt of the BPE's folder (RoBERTa's) where it has one, else all its numbers by falling count in "
    "train, ties alphabetical, padded to a multiple of 8",
    "kept": "encoder.json and vocab.bpe in GPT-2's layout",
}
BYTES = 256
# Symbols that no merge makes: <|endoftext|>, RoBERTa's <s> and <mask>, fairseq's madeupword0000, BERT's [CLS].
SPECIAL = re.compile(r"<[^<>]*>|<\|[^<>]*\|>|\[[A-Z]+\]|madeupword\d+")
GPT2_ENTRIES = 50_257
GPT2_SHA256 = "2a84aa51ea049287ee4c5e438e96023cd6c3bc5250a519851ff57885941f125c"
INSTEAD = (
    "call it with --bpe DIR, where DIR holds encoder.json and vocab.bpe (or vocab.json and merges.txt), or with "
    "--train-bpe SIZE, which trains one on the train split (perplexities under different BPEs do not compare)"
)


class BytePairEncoder:
    """Text to the numbers of a byte-level BPE, as decimal words: fairseq's dictionaries of RoBERTa have them as words.

    Lines are stripped first and blank lines stay, as in fairseq's recipe for RoBERTa.

    Args:
        vocabulary: piece to number, from 0 without gaps; a piece spells its bytes in GPT-2's alphabet of 256 letters.
        merges: pairs of pieces, the first merged first.
        kind: where it comes from: ``trained`` on the corpus' train split, or ``given``. GPT-2's is known by its
            content.
        dictionary: fairseq's dictionary that belongs to it, as RoBERTa's to GPT-2's; None to build one by count.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        kind: str = "given",
        dictionary: Dictionary | None = None,
    ) -> None:
        from tokenizers import Tokenizer
        from tokenizers.decoders import ByteLevel as ByteLevelDecoder
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel

        self.vocabulary, self.merges, self.dictionary = dict(vocabulary), list(merges), dictionary
        self.sha256 = _sha256(self.vocabulary, self.merges)
        self.kind = "gpt2" if self.sha256 == GPT2_SHA256 else kind
        self._tokenizer = Tokenizer(BPE(vocab=self.vocabulary, merges=self.merges))
        self._tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = ByteLevelDecoder()
        self.words = [str(number) for number in range(len(vocabulary))]

    def __call__(self, lines: Sequence[str]) -> list[list[str]]:
        word = self.words.__getitem__
        encoded = self._tokenizer.encode_batch_fast([line.strip() for line in lines], add_special_tokens=False)
        return [list(map(word, line.ids)) for line in encoded]

    def __len__(self) -> int:
        return len(self.words)

    def decode(self, *words: str) -> str:
        """The text of some of the numbers; bytes of a character that is not complete come out as U+FFFD."""
        return self._tokenizer.decode([int(word) for word in words if word.isdecimal()])

    def describe(self) -> dict[str, Any]:
        """The manifest's ``bpe`` entry: perplexities compare under the same ``sha256`` only."""
        return {"kind": self.kind, "size": len(self), "sha256": self.sha256}

    def save(self, folder: Path) -> None:
        """Write ``encoder.json`` and ``vocab.bpe``, GPT-2's layout."""
        ordered = dict(sorted(self.vocabulary.items(), key=lambda entry: entry[1]))
        (folder / FILES[0]).write_text(json.dumps(ordered), encoding="utf-8")
        with (folder / FILES[1]).open("w", encoding="utf-8", newline="\n") as file:
            file.write("#version: 0.2\n")
            file.writelines(f"{left} {right}\n" for left, right in self.merges)


def load_encoder(folder: Path | str) -> BytePairEncoder:
    """The BPE of a prepared ``*_bpe`` folder, or of a folder with GPT-2's files.

    Args:
        folder: ``encoder.json`` and ``vocab.bpe`` (or ``vocab.json`` and ``merges.txt``), and perhaps ``dict.txt``.

    Raises:
        DataError: the files are missing, damaged, or do not belong together.
    """
    folder = Path(folder)
    for names in LAYOUTS:
        vocabulary_path, merges_path = (folder / name for name in names)
        if vocabulary_path.is_file() and merges_path.is_file():
            return _load(vocabulary_path, merges_path, folder / "dict.txt")
    expected = " or ".join(" and ".join(names) for names in LAYOUTS)
    raise DataError(f"{folder} has no byte-pair encoding: expected a folder that holds {expected}")


def download_encoder() -> BytePairEncoder:
    """GPT-2's encoding from the hub.

    Raises:
        DataError: the hub cannot be reached.
    """
    require_hub(HUB_ID, INSTEAD)
    from huggingface_hub import hf_hub_download

    try:
        paths = [Path(hf_hub_download(HUB_ID, name, revision=HUB_REVISION)) for name in LAYOUTS[1]]
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HubError(unreachable(HUB_ID, reason, INSTEAD)) from error
    return _load(paths[0], paths[1])


def _sha256(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> str:
    """Of the pieces in the order of their numbers, and the merges: independent of how a file spells them."""
    content = [sorted(vocabulary, key=vocabulary.__getitem__), [list(pair) for pair in merges]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _load(vocabulary_path: Path, merges_path: Path, dictionary_path: Path | None = None) -> BytePairEncoder:
    vocabulary, merges = _load_vocabulary(vocabulary_path), _load_merges(merges_path)
    _refuse_strangers(vocabulary, merges, f"{vocabulary_path} and {merges_path}")
    encoder = BytePairEncoder(vocabulary, merges)
    if len(encoder) == GPT2_ENTRIES and encoder.kind != "gpt2":
        raise DataError(
            f"{vocabulary_path} and {merges_path} have GPT-2's {GPT2_ENTRIES:,} entries and differ from it: a damaged "
            "copy"
        )
    if dictionary_path is not None and dictionary_path.is_file():
        encoder.dictionary = _load_dictionary(dictionary_path, encoder.words)
    return encoder


def _load_vocabulary(path: Path) -> dict[str, int]:
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    numbers = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    if len(numbers) < BYTES or {*map(type, numbers)} != {int} or sorted(numbers) != list(range(len(numbers))):
        raise DataError(f"{path} is no byte-level BPE: expected {BYTES} or more pieces, numbered from 0")
    return vocabulary


def _load_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    first = 1 if lines[0].startswith("#version") else 0
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(lines[first:], start=first + 1):
        left, _, right = line.partition(" ")
        if left and right and " " not in right:
            pairs.append((left, right))
        elif line:
            raise DataError(f"{path}, line {number}: expected two pieces to merge, found {line!r}")
    return pairs


def _refuse_strangers(vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]], where: str) -> None:
    """Every piece is a byte, what a merge makes, or a special symbol such as ``<|endoftext|>``."""
    made = set()
    for pair in merges:
        if not {*pair, "".join(pair)} <= vocabulary.keys():
            raise DataError(f"{where} do not belong together: no entry for the merge of {pair[0]!r} and {pair[1]!r}")
        made.add("".join(pair))
    letters = {piece for piece in vocabulary if len(piece) == 1}
    stray = [p for p in vocabulary if p not in made and p not in letters and not SPECIAL.fullmatch(p)]
    if stray:
        raise DataError(f"{where} do not belong together: no merge makes {stray[0]!r} and {len(stray) - 1:,} others")
    if len(letters) < BYTES:
        raise DataError(f"{where} have {len(letters)} of the {BYTES} bytes: text would get lost")


def _load_dictionary(path: Path, words: Iterable[str]) -> Dictionary:
    dictionary = Dictionary.load(path)
    known = {word for word, _ in dictionary.entries}
    missing = [word for word in words if word not in known]
    if missing:
        raise DataError(f"{path} lacks {len(missing):,} numbers of the encoding, e.g. {missing[0]}")
    return dictionary
