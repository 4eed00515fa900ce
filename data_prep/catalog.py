"""The data sets by name: where each is made, and which options its command takes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from data_prep.core.dataset import DataSet


@dataclass(frozen=True)
class Entry:
    """A line of the table.

    Attributes:
        module: below ``data_prep``, imported when asked for; its ``DATA_SETS`` has a :class:`DataSet` of the name.
        embedded: made from what is installed, so that it takes no source and is prepared where it is needed.
        images: of images, not of text.
        takes_bpe: in a byte-pair encoding that its command chooses.
        labels_apart: validation images may lie in one folder, with their classes in a file.
    """

    module: str
    embedded: bool = False
    images: bool = False
    takes_bpe: bool = False
    labels_apart: bool = False


DATASETS = {
    "pydoc": Entry("text.pydoc", embedded=True),
    "pydoc_bpe": Entry("text.pydoc", embedded=True),
    "wikitext2": Entry("text.wikitext"),
    "wikitext2_bpe": Entry("text.wikitext", takes_bpe=True),
    "wikitext103": Entry("text.wikitext"),
    "wikitext103_bpe": Entry("text.wikitext", takes_bpe=True),
    "digits": Entry("images.digits", embedded=True),
    "cifar10": Entry("images.cifar", images=True),
    "cifar100": Entry("images.cifar", images=True),
    "imagenet": Entry("images.imagenet", images=True, labels_apart=True),
}


def load(name: str) -> DataSet:
    """The data set ``name``, one of :data:`DATASETS`."""
    return import_module(f"data_prep.{DATASETS[name].module}").DATA_SETS[name]
