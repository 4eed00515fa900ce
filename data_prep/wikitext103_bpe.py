"""WikiText-103, raw text in GPT-2's byte-pair encoding: what sibling papers use.

python -m data_prep.wikitext103_bpe [--source DIR] [--bpe DIR | --train-bpe SIZE]
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.core.verification import PublishedCounts
from data_prep.text.preparation import Corpus
from data_prep.text.wikitext_bpe import BPE_RULES, bpe_corpus

NAME = "wikitext103_bpe"
RULES = BPE_RULES
# No token count is published for this form; the lines are those of the word tokens.
PUBLISHED = PublishedCounts(lines={"train": 1_801_350, "valid": 3_760, "test": 4_358})


def corpus(request: Request) -> Corpus:
    """WikiText-103's raw text (hub configuration wikitext-103-raw-v1, files ``wiki.<split>.raw``)."""
    return bpe_corpus(request, "wikitext-103-raw-v1", PUBLISHED)


if __name__ == "__main__":
    main(NAME)
