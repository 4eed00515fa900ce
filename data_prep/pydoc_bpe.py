"""The embedded corpus in a byte-pair encoding trained on it: bidirectional pretraining without any download.

python -m data_prep.pydoc_bpe
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.pydoc import OPTIONS, EmbeddedText
from data_prep.pydoc import RULES as PYDOC_RULES
from data_prep.text.preparation import Corpus
from data_prep.text.standard_library import library_texts
from data_prep.text.wikitext_bpe import BPE_RULES

NAME = "pydoc_bpe"
ENTRIES = 4096
RULES = {
    **PYDOC_RULES,
    "tokens": f"words and punctuation as pydoc's, joined by spaces; {BPE_RULES['tokens']}",
    "dictionary": "all numbers of the BPE by falling count in train, ties alphabetical, padded to a multiple of 8",
    "kept": BPE_RULES["kept"],
    "bpe": f"trained on train, {ENTRIES:,} entries",
}


def corpus(request: Request) -> Corpus:
    """The lines of ``pydoc``, in pieces.

    Raises:
        DataError: a source, revision or BPE was asked for, or the library's sources are not there.
    """
    request.refuse_options(NAME, *OPTIONS, why="is embedded")
    return Corpus(EmbeddedText(library_texts()), RULES, train_bpe=ENTRIES)


if __name__ == "__main__":
    main(NAME)
