"""The prepared data that a config means."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from data_prep import load_manifest, prepare
from data_prep.errors import DataError
from experiments.errors import UserError

EMBEDDED = ("pydoc", "digits")  # needs no download, so it is prepared on first use


def data_identity(config: DictConfig) -> str:
    """The checksum of the prepared data.

    Raises:
        UserError: the data is not there, with the command that prepares it, or it is damaged.
    """
    folder, name = Path(config.data.folder), config.data.name
    try:
        if not (folder / "manifest.json").is_file():
            if name not in EMBEDDED or folder.name != name:
                raise UserError(
                    f"no prepared data in {folder}: run  python -m data_prep.{name}  (or make data-{name}), "
                    "or set data.folder, or LRPE_DATA, to where it lies"
                )
            prepare(name, out=folder.parent)
        return str(load_manifest(folder)["identity"])
    except DataError as error:
        raise UserError(str(error)) from error
