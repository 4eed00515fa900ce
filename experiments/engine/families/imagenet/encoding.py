"""An encoding's options for images, which have two axes and no order."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from lrpe.encodings import encoding_options


def image_options(config: DictConfig) -> dict[str, Any]:
    """The options of ``encoding`` with what images need another way.

    - angles, permutations and SPE's codes relate to the axes as ``protocol.image_axes`` says, unless the options do;
    - PermuteFormer has no decay, which is of a sequence (the published image models set its rate to 1);
    - SPE's codes run along the axes: the fault of the published language models, codes along the batch, is not theirs.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.encoding.options, resolve=True)  # type: ignore[assignment]
    name = config.encoding.name
    if "axes" in encoding_options(name):
        options.setdefault("axes", config.protocol.image_axes)
    if name == "permuteformer":
        options["decay"] = False
    if name == "spe":
        options["axis"] = "sequence"
    return options
