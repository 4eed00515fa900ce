"""What CIFAR-10 and CIFAR-100 share: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"."""

from __future__ import annotations

from data_prep.core.request import Request
from data_prep.images.folder import ImageFolder
from data_prep.images.hub import HubImages
from data_prep.images.preparation import RULES, ImageCorpus, PublishedImages
from data_prep.images.source import ImageSource

HUB_BYTES = 256 << 20


def cifar_corpus(request: Request, identifier: str, *, image: str, label: str, classes: int) -> ImageCorpus:
    """The hub's images (50,000 and 10,000), or a folder of images ``train/<class>/`` and ``test/<class>/``.

    The official test images are the split ``valid``: there are no others, and the literature reports on them.
    """
    if request.source is None:
        source: ImageSource = HubImages(
            identifier,
            {"train": "train", "valid": "test"},
            image=image,
            label=label,
            revision=request.revision,
            instead="call it with --source DIR, where DIR holds train/<class>/ and test/<class>/",
            decode=request.decode,
            total_bytes=HUB_BYTES,
        )
    else:
        source = ImageFolder(
            request.source,
            validate_on_train=request.validate_on_train,
            allow_missing_classes=request.allow_missing_classes,
            decode=request.decode,
        )
    published = PublishedImages(images={"train": 50_000, "valid": 10_000}, classes=classes)
    notes = {"validated_on": "train"} if request.validate_on_train else {}
    return ImageCorpus(source, RULES, published, request.skip_corrupt, notes)
