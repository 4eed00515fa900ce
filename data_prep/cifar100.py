"""CIFAR-100.

python -m data_prep.cifar100 [--source DIR]
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.images.cifar import cifar_corpus
from data_prep.images.preparation import RULES as IMAGE_RULES
from data_prep.images.preparation import ImageCorpus

NAME = "cifar100"
RULES = IMAGE_RULES
HUB_ID = "uoft-cs/cifar100"


def corpus(request: Request) -> ImageCorpus:
    """CIFAR-100 with its official numbers of images."""
    return cifar_corpus(request, HUB_ID, image="img", label="fine_label", classes=100)


if __name__ == "__main__":
    main(NAME)
