"""A model in the library's format as a checkpoint: what fairseq's tasks need to evaluate it stands in its config.json.

``experiments.export`` writes such folders; every command that takes a checkpoint takes one too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from data_prep.api import load_manifest
from data_prep.core.errors import DataError
from data_prep.core.manifest import sha256_of
from data_prep.text.tokens import DICTIONARY
from experiments.util.errors import UserError
from lrpe.models.pretrained import load_weights, read_config

SECTION = "fairseq"
# Of a checkpoint's config, what an evaluation reads; a folder of another machine means nothing elsewhere.
_KEPT = {"common": ("fp16", "bf16"), "dataset": ("batch_size", "batch_size_valid")}
_PATHS = ("data", "pretrained")


def described(config: DictConfig, data: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The entries of ``config.json`` beside the library's own.

    Args:
        config: the checkpoint's fairseq config.
        data: the manifest's words on the data: ``name`` and ``identity``.
        folder: the data's, relative to the root of prepared data.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    sections = {name: {key: plain[name][key] for key in keys} for name, keys in _KEPT.items()}
    sections["task"] = {key: value for key, value in plain["task"].items() if key not in _PATHS}
    sections["model"] = plain["model"] | ({"average_decay": 0.0} if "average_decay" in plain["model"] else {})
    return {"data": {"name": data["name"], "identity": data["identity"], "folder": folder}, SECTION: sections}


def read(folder: Path) -> dict[str, Any]:
    """The content of an exported folder's ``config.json``.

    Raises:
        UserError: it is another format, which is named, or a library's model without what an evaluation needs.
    """
    try:
        content = read_config(folder)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from None
    if not isinstance(content.get(SECTION), dict) or not isinstance(content.get("data"), dict):
        raise UserError(f"{folder}/config.json has no task; expected a folder of  python -m experiments.export")
    return content


def config_of(folder: Path) -> DictConfig:
    """The parts of fairseq's config that an evaluation reads.

    Raises:
        UserError: as :func:`read`.
    """
    return cast(DictConfig, OmegaConf.create(read(folder)[SECTION]))


def data_folder(folder: Path, given: Path | None) -> Path:
    """Where the prepared data of an exported model lies: ``given``, or by its name below LRPE_DATA.

    Raises:
        UserError: what lies there is other data than the model was trained on, or its words have other numbers.
    """
    known = read(folder)["data"]
    found = given or Path(os.environ.get("LRPE_DATA", "data")).expanduser() / known["folder"]
    try:
        manifest = load_manifest(found)
    except DataError as error:
        raise UserError(f"{error} (data=... names another folder)") from None
    if given is None and manifest["identity"] != known["identity"]:
        raise UserError(
            f"{found} holds data {manifest['identity'][:12]}, and {folder} was trained on {known['identity'][:12]}; "
            "data=... evaluates it on other data with the same vocabulary"
        )
    own = folder / DICTIONARY
    if own.is_file() and sha256_of(own) != sha256_of(found / DICTIONARY):
        raise UserError(f"{found}: its dict.txt is not that of {folder}, so its numbers mean other words")
    return found


def fill(model: Any, folder: Path) -> None:
    """Copy an exported model's weights into fairseq's model of its config.

    Raises:
        UserError: a file is missing or damaged, or of another model.
    """
    try:
        load_weights(model.library_model(), folder)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from None
