"""What WikiText-2 and WikiText-103 share: Merity et al. 2016, "Pointer Sentinel Mixture Models" (arXiv 1609.07843)."""

from __future__ import annotations

from pathlib import Path

from data_prep.core.hub import HubRows
from data_prep.text.text_source import SPLITS, LocalFiles, TextSource

HUB_ID = "Salesforce/wikitext"
HUB_REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"

WORD_RULES = {
    "tokens": "words between white space; </s> closes each line, blank lines too",
    "dictionary": "falling count in train, ties alphabetical, padded to a multiple of 8",
}


def file_names(suffix: str) -> dict[str, str]:
    """The name of each split's file."""
    return {split: f"wiki.{split}.{suffix}" for split in SPLITS}


def wikitext_source(configuration: str, suffix: str, source: Path | None, revision: str | None) -> TextSource:
    """Files ``wiki.{train,valid,test}.<suffix>`` in ``source``, or the hub's rows where ``source`` is None.

    Raises:
        DataError: neither is there.
    """
    names = file_names(suffix)
    if source is not None:
        return LocalFiles(source, names)
    instead = f"call it with --source DIR, where DIR holds {', '.join(names.values())}"
    return HubRows(HUB_ID, configuration, revision or HUB_REVISION, instead)
