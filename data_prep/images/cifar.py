"""CIFAR-10 and CIFAR-100: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"."""

from __future__ import annotations

from functools import partial

from data_prep.core.dataset import DataSet
from data_prep.core.request import Request
from data_prep.images.folder import ImageFolder
from data_prep.images.hub import HubImages
from data_prep.images.preparation import RULES, ImageCorpus, PublishedImages
from data_prep.images.source import ImageSource

HUB_BYTES = 256 << 20


def corpus(identifier: str, label: str, classes: int, request: Request) -> ImageCorpus:
    """The hub's images (50,000 and 10,000), or a folder of images ``train/<class>/`` and ``test/<class>/``.

    Args:
        identifier: of the hub's data set.
        label: its column of classes.
        classes: how many.
        request: what the caller asks for.

    The official test images are the split ``valid``: there are no others, and the literature reports on them.
    """
    if request.source is None:
        source: ImageSource = HubImages(
            identifier,
            {"train": "train", "valid": "test"},
            image="img",
            label=label,
            revision=request.revision,
            instead="call it with --source DIR, where DIR holds train/<class>/ and test/<class>/",
            decode=request.decode,
            total_bytes=HUB_BYTES,
        )
    else:
        source = ImageFolder.of(request.source, request)
    return ImageCorpus.of(source, PublishedImages(images={"train": 50_000, "valid": 10_000}, classes=classes), request)


DATA_SETS = {
    "cifar10": DataSet(RULES, partial(corpus, "uoft-cs/cifar10", "label", 10)),
    "cifar100": DataSet(RULES, partial(corpus, "uoft-cs/cifar100", "fine_label", 100)),
}
