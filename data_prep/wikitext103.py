"""WikiText-103, word tokens: the literature's form.

python -m data_prep.wikitext103 [--source DIR]
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.core.verification import PublishedCounts
from data_prep.text.preparation import Corpus
from data_prep.text.wikitext import WORD_RULES, wikitext_source

NAME = "wikitext103"
RULES = WORD_RULES
PUBLISHED = PublishedCounts(tokens={"train": 103_227_021, "valid": 217_646, "test": 245_569}, types=267_735)


def corpus(request: Request) -> Corpus:
    """WikiText-103 with the counts of Merity et al. 2016, table 1."""
    request.refuse_options(NAME, "bpe", "train_bpe", why=f"has words as tokens ({NAME}_bpe has pieces)")
    source = wikitext_source("wikitext-103-v1", "tokens", request.source, request.revision)
    return Corpus(source, RULES, PUBLISHED)


if __name__ == "__main__":
    main(NAME)
