"""What WikiText's raw texts in byte-pair encoding share."""

from __future__ import annotations

from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.request import Request
from data_prep.core.verification import PublishedCounts
from data_prep.text.bpe import download_encoder, load_encoder
from data_prep.text.preparation import Corpus
from data_prep.text.wikitext import file_names, wikitext_source

BPE_RULES = {
    "tokens": "byte-level BPE of each stripped line, its numbers as words; </s> closes each line, blank lines too",
    "dictionary": "dict.txt of the BPE's folder (RoBERTa's) where it has one, else all its numbers by falling count in "
    "train, ties alphabetical, padded to a multiple of 8",
    "kept": "encoder.json and vocab.bpe in GPT-2's layout",
}


def bpe_corpus(
    request: Request, configuration: str, published: PublishedCounts, *, tokens_instead: bool = False
) -> Corpus:
    """WikiText's raw text in GPT-2's BPE (the hub's, or a folder's), or in one to be trained on its train split.

    Args:
        request: what the caller asks for.
        configuration: of the hub's data set.
        published: the counts that the text must have.
        tokens_instead: accept the files of word tokens where a local folder has no raw ones; the identity says so.

    Raises:
        DataError: both BPEs are asked for, or neither GPT-2's files nor the text are to be had.
    """
    if request.bpe is not None and request.train_bpe is not None:
        raise DataError("--bpe DIR and --train-bpe SIZE exclude each other: one reads a BPE, the other trains one")
    if request.train_bpe is not None:
        encoder = None
    else:
        encoder = download_encoder() if request.bpe is None else load_encoder(request.bpe)
    text = "tokens" if tokens_instead and request.source is not None and _has_tokens_only(request.source) else "raw"
    return Corpus(
        wikitext_source(configuration, text, request.source, request.revision),
        BPE_RULES,
        published,
        encoder=encoder,
        train_bpe=request.train_bpe,
        identified={"text": text},
    )


def _has_tokens_only(folder: Path) -> bool:
    raw, tokens = ([(folder / name).is_file() for name in file_names(suffix).values()] for suffix in ("raw", "tokens"))
    return not any(raw) and all(tokens)
