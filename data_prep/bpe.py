"""GPT-2's byte-level byte-pair encoding (Radford et al. 2019), as fairseq's RoBERTa uses it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from data_prep.dictionary import Dictionary
from data_prep.errors import DataError
from data_prep.hub import require_hub, unreachable

HUB_ID = "openai-community/gpt2"
HUB_REVISION = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
ENTRIES, MERGES = 50_257, 50_000
LAYOUTS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
INSTEAD = "call it with --bpe DIR, where DIR holds encoder.json and vocab.bpe (or vocab.json and merges.txt)"


class GPT2Encoder:
    """Text to the numbers of GPT-2's vocabulary, as decimal words: fairseq's dictionary of RoBERTa has them as words.

    Lines are stripped first and blank lines stay, as in fairseq's recipe for RoBERTa.

    Args:
        folder: ``encoder.json`` and ``vocab.bpe`` (or ``vocab.json`` and ``merges.txt``), and perhaps ``dict.txt``;
            None for the hub's.

    Raises:
        DataError: the files are missing or are not GPT-2's.
    """

    def __init__(self, folder: Path | None = None) -> None:
        from tokenizers import Tokenizer
        from tokenizers.decoders import ByteLevel as ByteLevelDecoder
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel

        vocabulary_path, merges_path = _from_hub() if folder is None else _from_folder(folder)
        vocabulary, merges = _load_vocabulary(vocabulary_path), _load_merges(merges_path)
        stray = [pair for pair in merges if not {*pair, "".join(pair)} <= vocabulary.keys()]
        if stray:
            raise DataError(f"{vocabulary_path} and {merges_path} do not belong together: no entry for {stray[0]}")
        self._tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
        self._tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = ByteLevelDecoder()
        self._words = [str(number) for number in range(len(vocabulary))]
        self.dictionary_path = folder / "dict.txt" if folder is not None and (folder / "dict.txt").is_file() else None

    def __call__(self, lines: Sequence[str]) -> list[list[str]]:
        word = self._words.__getitem__
        encoded = self._tokenizer.encode_batch_fast([line.strip() for line in lines], add_special_tokens=False)
        return [list(map(word, line.ids)) for line in encoded]

    def decode(self, word: str) -> str:
        """The text of one of the numbers; bytes of a character that another token completes come out as U+FFFD."""
        return self._tokenizer.decode([int(word)]) if word.isdigit() else ""

    def load_dictionary(self) -> Dictionary | None:
        """RoBERTa's ``dict.txt`` where the folder has it.

        Raises:
            DataError: it lacks numbers of the encoding, so that text would become unknown.
        """
        if self.dictionary_path is None:
            return None
        dictionary = Dictionary.load(self.dictionary_path)
        known = {word for word, _ in dictionary.entries}
        missing = [word for word in self._words if word not in known]
        if missing:
            raise DataError(f"{self.dictionary_path} lacks {len(missing):,} numbers of the encoding, e.g. {missing[0]}")
        return dictionary


def _from_folder(folder: Path) -> tuple[Path, Path]:
    for names in LAYOUTS:
        paths = folder / names[0], folder / names[1]
        if all(path.is_file() for path in paths):
            return paths
    expected = " or ".join(" and ".join(names) for names in LAYOUTS)
    raise DataError(f"{folder} lacks GPT-2's BPE: --bpe names a folder that holds {expected}")


def _from_hub() -> tuple[Path, Path]:
    require_hub(HUB_ID, INSTEAD)
    from huggingface_hub import hf_hub_download

    try:
        paths = [Path(hf_hub_download(HUB_ID, name, revision=HUB_REVISION)) for name in LAYOUTS[1]]
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(unreachable(HUB_ID, reason, INSTEAD)) from error
    return paths[0], paths[1]


def _load_vocabulary(path: Path) -> dict[str, int]:
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(vocabulary, dict) or sorted(vocabulary.values()) != list(range(ENTRIES)):
        raise DataError(f"{path} is not GPT-2's vocabulary of {ENTRIES:,} entries, numbered from 0")
    return vocabulary


def _load_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    if len(pairs) != MERGES or any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{path} is not GPT-2's list of {MERGES:,} merges: found {len(pairs):,} lines")
    return [(left, right) for left, right in pairs]
