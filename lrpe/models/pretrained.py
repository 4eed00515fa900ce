"""Trained models in folders: ``config.json`` and ``model.safetensors``, read with torch and safetensors alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FORMAT, VERSION = "lrpe", 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Pretrained(nn.Module):
    """A model that is saved to a folder and loaded from one.

    Attributes:
        config_kind: the dataclass that its constructor takes.
        part_of: models whose folders hold this one too, with the prefix of its weights' names there.
    """

    config_kind: ClassVar[Any]
    part_of: ClassVar[Mapping[str, str]] = {}
    config: Any

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str]) -> Self:
        """The model of a folder that :meth:`save_pretrained` or ``experiments.export`` wrote: on the CPU, in
        evaluation mode, weights in torch's default dtype.

        Raises:
            FileNotFoundError: there is no such folder, or a file of it is missing.
            ValueError: another format or version, another model, or damaged files; the message names which.
        """
        folder = Path(folder)
        content = read_config(folder)
        found = str(content.get("architecture"))
        if found != cls.__name__ and found not in cls.part_of:
            raise ValueError(f"{folder} holds a {found}: load it with {found}.from_pretrained")
        values = dict(content.get("model") or {})
        if found in cls.part_of:
            known = {item.name for item in fields(cls.config_kind)}
            values = {name: value for name, value in values.items() if name in known}
        try:
            lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
            model = cls(cls.config_kind(**{**values, **lists}))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{folder / CONFIG}: no config of {found}: {error}") from None
        load_weights(model, folder, cls.part_of.get(found, ""))
        return model.eval()

    def save_pretrained(self, folder: str | PathLike[str], **described: Any) -> None:
        """Write ``config.json`` and ``model.safetensors``; a weight that stands under several names is written once.

        Args:
            folder: made where it is missing; the two files are replaced.
            described: further entries of ``config.json``, as plain data.
        """
        from lrpe import __version__

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT,
            "version": VERSION,
            "lrpe": __version__,
            "architecture": type(self).__name__,
            "model": asdict(self.config),
            **described,
        }
        # several metadata would come in an order that changes from file to file
        save_file(_each_once(self.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})
        (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors lets nobody else read its files


def read_config(folder: str | PathLike[str]) -> dict[str, Any]:
    """The content of ``config.json``.

    Raises:
        FileNotFoundError: there is no such folder or file; the message says what the folder holds instead.
        ValueError: it is of another format, which is named, of a newer version, or no JSON.
    """
    path = Path(folder) / CONFIG
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{path.parent}: no such folder; a model of the hub comes by  hf download ORG/NAME --local-dir DIR"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {CONFIG}: {_without_config(path.parent)}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    found = _format_of(content)
    if found != FORMAT:
        raise ValueError(f"{path.parent} holds a model in the format of {found}; expected the format {FORMAT!r}")
    if content.get("version") != VERSION:
        raise ValueError(f"{path}: version {content.get('version')} of the format; this lrpe reads version {VERSION}")
    return content


def load_weights(model: nn.Module, folder: str | PathLike[str], prefix: str = "") -> None:
    """Copy the weights of ``model.safetensors`` whose names begin with ``prefix`` into ``model``: all of them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of another model.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the folder is not whole")
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    weights = {name.removeprefix(prefix): weight for name, weight in stored.items() if name.startswith(prefix)}
    own: dict[str, Tensor] = model.state_dict()
    for name, weight in weights.items():
        if name not in own or own[name].shape != weight.shape:
            expected = tuple(own[name].shape) if name in own else "no such weight"
            raise ValueError(f"{path}: {name} is {tuple(weight.shape)}, and {CONFIG} makes a model with {expected}")
    written = {own[name].data_ptr() for name in weights}
    if missing := [name for name, weight in own.items() if weight.numel() and weight.data_ptr() not in written]:
        raise ValueError(f"{path}: {missing[0]} is missing, and {len(missing) - 1} others")
    model.load_state_dict(weights, strict=False)


def _each_once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of weights that share memory, the first alone: tied ones have several names."""
    first: dict[int, str] = {}
    for name, weight in state.items():
        first.setdefault(weight.data_ptr() or id(weight), name)
    return {name: state[name].contiguous() for name in first.values()}


def _format_of(content: Any) -> str:
    """The name of the format that a ``config.json`` is of."""
    if not isinstance(content, dict):
        return "no model (it is no JSON object)"
    if "format" in content:
        return str(content["format"])
    if "model_type" in content or "architectures" in content:
        named = content.get("model_type") or ", ".join(content["architectures"])
        return f"transformers ({named})"
    if "pretrained_cfg" in content or ("architecture" in content and "num_features" in content):
        return f"timm ({content.get('architecture')})"
    return "some other library"


def _without_config(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if "record.json" in names:
        return f"it is a run's folder; python -m experiments.export run={folder} to=DIR writes one to load"
    if pickles := [name for name in names if name.endswith((".pt", ".pth", ".bin", ".ckpt"))]:
        return f"{pickles[0]} is a checkpoint of torch; python -m experiments.export writes a folder to load"
    return f"expected {CONFIG} and {WEIGHTS}, as python -m experiments.export writes them"
