"""ImageNet-1k (Russakovsky et al. 2015), or a part of it: an existing folder, verified and indexed, never copied.

The folder holds train/<wnid>/ and val/<wnid>/. Without one: the hub's ILSVRC/imagenet-1k, for those with access.
"""

from __future__ import annotations

from data_prep.core.dataset import DataSet
from data_prep.core.errors import DataError
from data_prep.core.request import Request
from data_prep.images.flat_validation import validation_labels
from data_prep.images.folder import HELD_OUT, TRAIN, ImageFolder, class_of, files, find, folders
from data_prep.images.hub import HubImages
from data_prep.images.preparation import RULES, ImageCorpus, PublishedImages

HUB_ID = "ILSVRC/imagenet-1k"
HUB_BYTES = 160 << 30
PUBLISHED = PublishedImages(images={"train": 1_281_167, "valid": 50_000}, classes=1_000)


def corpus(request: Request) -> ImageCorpus:
    """The folder's images, or the hub's where no folder is named."""
    if request.source is None:
        if request.validation_labels or request.validate_on_train or request.allow_missing_classes:
            raise DataError(
                "--validation-labels, --validate-on-train and --allow-missing-classes are of a folder: add --source DIR"
            )
        source: ImageFolder | HubImages = HubImages(
            HUB_ID,
            {"train": "train", "valid": "validation"},
            image="image",
            label="label",
            revision=request.revision,
            instead="call it with --source DIR, where DIR holds train/<wnid>/ and val/<wnid>/",
            decode=request.decode,
            total_bytes=HUB_BYTES,
        )
    else:
        source = ImageFolder.of(request.source, request, _labels(request))
    return ImageCorpus.of(source, PUBLISHED, request)


def _labels(request: Request) -> dict[str, str] | None:
    if request.validation_labels is None or request.source is None:
        return None
    train, flat = find(request.source, TRAIN), find(request.source, HELD_OUT)
    if train is None or flat is None:
        raise DataError(f"{request.source} lacks a folder {'train' if train is None else 'val'}")
    names = [path.name for path in files(flat)]
    return validation_labels(request.validation_labels, names, sorted(map(class_of, folders(train))))


DATA_SETS = {"imagenet": DataSet(RULES, corpus)}
