"""An encoding's options for images, which have two axes and no order."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from lrpe.encodings import encoding_class


def image_options(config: DictConfig) -> dict[str, Any]:
    """The options of ``encoding`` as the encoding itself wants them for images.

    Angles and permutations relate to the axes as ``protocol.image_axes`` says, unless the options do.

    Raises:
        ValueError: an unknown encoding.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.encoding.options, resolve=True)  # type: ignore[assignment]
    return encoding_class(config.encoding.name).image_options(options, axes=config.protocol.image_axes)
