"""WikiText-2 and WikiText-103, by words or in byte-pair encoding: Merity et al. 2016, "Pointer Sentinel Mixture Models"
(arXiv 1609.07843)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from data_prep.core.dataset import DataSet
from data_prep.core.errors import DataError
from data_prep.core.hub import HubRows
from data_prep.core.request import Request
from data_prep.core.verification import PublishedCounts
from data_prep.text.bpe import RULES as BPE_RULES
from data_prep.text.bpe import download_encoder, load_encoder
from data_prep.text.preparation import Corpus
from data_prep.text.text_source import SPLITS, LocalFiles, TextSource

HUB_ID = "Salesforce/wikitext"
HUB_REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
WORD_RULES = {
    "tokens": "words between white space; </s> closes each line, blank lines too",
    "dictionary": "falling count in train, ties alphabetical, padded to a multiple of 8",
}


def words(configuration: str, published: PublishedCounts, name: str, request: Request) -> Corpus:
    """WikiText by words.

    Args:
        configuration: of the hub's data set.
        published: the counts that the text must have (Merity et al. 2016, table 1).
        name: of the data set.
        request: what the caller asks for.

    Raises:
        DataError: a BPE is asked for, or the text is not to be had.
    """
    request.refuse_options(name, "bpe", "train_bpe", why=f"has words as tokens ({name}_bpe has pieces)")
    return Corpus(_source(configuration, "tokens", request), WORD_RULES, published)


def pieces(configuration: str, published: PublishedCounts, request: Request, *, tokens_instead: bool = False) -> Corpus:
    """WikiText's raw text in GPT-2's BPE (the hub's, or a folder's), or in one to be trained on its train split.

    Args:
        configuration: of the hub's data set, which a local folder has as ``wiki.<split>.raw``.
        published: the counts that the text must have; of this form none are published for tokens.
        request: what the caller asks for.
        tokens_instead: accept the files of word tokens, rare words as ``<unk>``, where a local folder has no raw ones;
            the manifest's ``text`` says which, and they are data of another identity.

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
        _source(configuration, text, request),
        BPE_RULES,
        published,
        encoder=encoder,
        train_bpe=request.train_bpe,
        identified={"text": text},
    )


def _file_names(suffix: str) -> dict[str, str]:
    return {split: f"wiki.{split}.{suffix}" for split in SPLITS}


def _source(configuration: str, suffix: str, request: Request) -> TextSource:
    """Files ``wiki.{train,valid,test}.<suffix>`` of a local folder, or the hub's rows where none is named."""
    names = _file_names(suffix)
    if request.source is not None:
        return LocalFiles(request.source, names)
    instead = f"call it with --source DIR, where DIR holds {', '.join(names.values())}"
    return HubRows(HUB_ID, configuration, request.revision or HUB_REVISION, instead)


def _has_tokens_only(folder: Path) -> bool:
    raw, tokens = ([(folder / name).is_file() for name in _file_names(suffix).values()] for suffix in ("raw", "tokens"))
    return not any(raw) and all(tokens)


WORDS_2 = PublishedCounts(tokens={"train": 2_088_628, "valid": 217_646, "test": 245_569}, types=33_278)
WORDS_103 = PublishedCounts(tokens={"train": 103_227_021, "valid": 217_646, "test": 245_569}, types=267_735)
LINES_2 = PublishedCounts(lines={"train": 36_718, "valid": 3_760, "test": 4_358})
LINES_103 = PublishedCounts(lines={"train": 1_801_350, "valid": 3_760, "test": 4_358})
DATA_SETS = {
    "wikitext2": DataSet(WORD_RULES, partial(words, "wikitext-2-v1", WORDS_2, "wikitext2")),
    "wikitext2_bpe": DataSet(BPE_RULES, partial(pieces, "wikitext-2-raw-v1", LINES_2, tokens_instead=True)),
    "wikitext103": DataSet(WORD_RULES, partial(words, "wikitext-103-v1", WORDS_103, "wikitext103")),
    "wikitext103_bpe": DataSet(BPE_RULES, partial(pieces, "wikitext-103-raw-v1", LINES_103)),
}
