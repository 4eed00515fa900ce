"""WikiText-103, raw text in GPT-2's byte-pair encoding: what sibling papers use.

python -m data_prep.wikitext103_bpe [--source DIR] [--bpe DIR]
"""

from __future__ import annotations

from data_prep.bpe import GPT2Encoder
from data_prep.command_line import main
from data_prep.preparation import Corpus
from data_prep.request import Request
from data_prep.verification import PublishedCounts
from data_prep.wikitext import wikitext_source

NAME = "wikitext103_bpe"
RULES = {
    "tokens": "GPT-2 BPE of each stripped line, its numbers as words; </s> closes each line, blank lines too",
    "dictionary": "RoBERTa's dict.txt where the BPE folder has it, else by falling count, padded to a multiple of 8",
}
# No token count is published for this form; the lines are those of the word tokens.
PUBLISHED = PublishedCounts(lines={"train": 1_801_350, "valid": 3_760, "test": 4_358})


def corpus(request: Request) -> Corpus:
    """WikiText-103's raw text (hub configuration wikitext-103-raw-v1, files ``wiki.<split>.raw``)."""
    encoder = GPT2Encoder(request.bpe)
    source = wikitext_source("wikitext-103-raw-v1", "raw", request.source, request.revision)
    return Corpus(source, RULES, PUBLISHED, tokenise=encoder, dictionary=encoder.load_dictionary())


if __name__ == "__main__":
    main(NAME)
