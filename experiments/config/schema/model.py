"""A family's ``model`` section, built from the library's dataclass: type, default and range are declared there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, field, fields, make_dataclass
from typing import Any, get_type_hints

from omegaconf import MISSING

from lrpe.models import AttentionConfig

# Fields of the library's configs that other sections of the run's config set, or the data.
SET_ELSEWHERE = {
    *(item.name for item in fields(AttentionConfig)),
    "absolute", "first_position", "vocab_size", "padding_index", "num_classes", "channels",
}  # fmt: skip


def model_fields(kind: type, also: Iterable[str] = ()) -> Iterator[Field[Any]]:
    """The fields of the library's config ``kind`` that ``model.*`` sets.

    Args:
        kind: e.g. :class:`lrpe.models.DecoderConfig`.
        also: fields of its attention that this family's ``model`` section sets too.
    """
    return (item for item in fields(kind) if item.name not in SET_ELSEWHERE or item.name in set(also))


def model_section(kind: type, also: Iterable[str] = (), **further: tuple[Any, Any]) -> type:
    """The structured config of ``model``: ``name``, the fields of ``kind``, and ``further`` (type, default)."""
    hints = get_type_hints(kind)
    columns: list[tuple[str, Any, Any]] = [("name", str, field(default=MISSING))]
    for item in model_fields(kind, also):
        hint = hints[item.name]
        if getattr(hint, "__origin__", None) is tuple:  # OmegaConf has lists and no tuples
            columns.append((item.name, list[int], field(default_factory=list)))
        else:
            columns.append((item.name, hint, MISSING if item.default is NO_DEFAULT else item.default))
    columns += [(name, hint, default) for name, (hint, default) in further.items()]
    return make_dataclass("Model", columns)


def limits(kind: type, limit: str, also: Iterable[str] = ()) -> dict[str, Any]:
    """``{"model.<field>": value}`` of the fields that declare ``limit`` (minimum, maximum, below, choices)."""
    return {f"model.{item.name}": item.metadata[limit] for item in model_fields(kind, also) if limit in item.metadata}
