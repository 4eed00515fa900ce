"""CIFAR-10.

python -m data_prep.cifar10 [--source DIR]
"""

from __future__ import annotations

from data_prep.core.command_line import main
from data_prep.core.request import Request
from data_prep.images.cifar import cifar_corpus
from data_prep.images.preparation import RULES as IMAGE_RULES
from data_prep.images.preparation import ImageCorpus

NAME = "cifar10"
RULES = IMAGE_RULES
HUB_ID = "uoft-cs/cifar10"


def corpus(request: Request) -> ImageCorpus:
    """CIFAR-10 with its official numbers of images."""
    return cifar_corpus(request, HUB_ID, image="img", label="label", classes=10)


if __name__ == "__main__":
    main(NAME)
