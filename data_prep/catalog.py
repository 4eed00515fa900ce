"""The data sets by name: where each is made, and which options its command takes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from data_prep.core.dataset import DataSet
from data_prep.sentence_tasks.catalog import TASKS

_PSF, _WIKIPEDIA = "documentation of CPython, PSF License", "Wikipedia's text, CC BY-SA 3.0"
_CIFAR = "no license stated by its authors"


@dataclass(frozen=True)
class Entry:
    """A line of the table.

    Attributes:
        module: below ``data_prep``, imported when asked for; its ``DATA_SETS`` has a :class:`DataSet` of the name.
        terms: what its publishers say about its use.
        embedded: made from what is installed, so that it takes no source and is prepared where it is needed.
        images: of images, not of text.
        takes_bpe: in a byte-pair encoding that its command chooses.
        labels_apart: validation images may lie in one folder, with their classes in a file.
    """

    module: str
    terms: str
    embedded: bool = False
    images: bool = False
    takes_bpe: bool = False
    labels_apart: bool = False


DATASETS = {
    "pydoc": Entry("text.pydoc", _PSF, embedded=True),
    "pydoc_bpe": Entry("text.pydoc", _PSF, embedded=True),
    "wikitext2": Entry("text.wikitext", _WIKIPEDIA),
    "wikitext2_bpe": Entry("text.wikitext", _WIKIPEDIA, takes_bpe=True),
    "wikitext103": Entry("text.wikitext", _WIKIPEDIA),
    "wikitext103_bpe": Entry("text.wikitext", _WIKIPEDIA, takes_bpe=True),
    "digits": Entry("images.digits", "UCI's optical recognition of handwritten digits, CC BY 4.0", embedded=True),
    "cifar10": Entry("images.cifar", _CIFAR, images=True),
    "cifar100": Entry("images.cifar", _CIFAR, images=True),
    "imagenet": Entry(
        "images.imagenet",
        "ImageNet's terms of access: non-commercial research and education",
        images=True,
        labels_apart=True,
    ),
}


def load(name: str) -> DataSet:
    """The data set ``name``, one of :data:`DATASETS`."""
    return import_module(f"data_prep.{DATASETS[name].module}").DATA_SETS[name]


def terms_of(name: str) -> str:
    """The terms of a data set or of a sentence task; those of GLUE are their sources'."""
    if name in DATASETS:
        return DATASETS[name].terms
    return _PSF if name in TASKS and TASKS[name].embedded else "terms of its source, which gluebenchmark.com names"
