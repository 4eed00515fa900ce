"""How many words a model of prepared text has."""

from __future__ import annotations

from pathlib import Path

# Of texts that are published with their vocabulary: types (of which <unk> and </s> are fairseq's own) and fairseq's
# four special symbols, padded to a multiple of 8; GPT-2's BPE has 50,257 entries.
PUBLISHED_SIZES = {
    "wikitext2": 33_280, "wikitext103": 267_744, "wikitext2_bpe": 50_264, "wikitext103_bpe": 50_264,
}  # fmt: skip


def vocabulary_size(folder: Path) -> int:
    """Entries of ``dict.txt`` and fairseq's four special symbols."""
    with (folder / "dict.txt").open("rb") as lines:
        return 4 + sum(1 for _ in lines)


def expected_vocabulary_size(name: str, folder: Path) -> int | None:
    """:func:`vocabulary_size` of prepared data, else what its published text has; None where neither is known."""
    return vocabulary_size(folder) if (folder / "dict.txt").is_file() else PUBLISHED_SIZES.get(name)
