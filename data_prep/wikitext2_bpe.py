"""WikiText-2, raw text in a byte-pair encoding: small enough to try bidirectional pretraining on real text.

python -m data_prep.wikitext2_bpe [--source DIR] [--bpe DIR | --train-bpe SIZE]
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.core.verification import PublishedCounts
from data_prep.text.preparation import Corpus
from data_prep.text.wikitext_bpe import BPE_RULES, bpe_corpus

NAME = "wikitext2_bpe"
RULES = BPE_RULES
# No token count is published for this form; the lines are those of the word tokens.
PUBLISHED = PublishedCounts(lines={"train": 36_718, "valid": 3_760, "test": 4_358})


def corpus(request: Request) -> Corpus:
    """WikiText-2's raw text (hub configuration wikitext-2-raw-v1, files ``wiki.<split>.raw``).

    A folder that has only ``wiki.<split>.tokens`` gives those, rare words as ``<unk>``; the manifest's ``text`` says
    which, and they are data of another identity.
    """
    return bpe_corpus(request, "wikitext-2-raw-v1", PUBLISHED, tokens_instead=True)


if __name__ == "__main__":
    main(NAME)
