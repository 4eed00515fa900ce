"""Choices that the schema repeats, because their tables take seconds to import, are those of the library."""

from __future__ import annotations

from experiments.config.schema.common import CHOICES
from lrpe import ENCODINGS
from lrpe.attention.feature_maps import FEATURE_MAPS
from lrpe.encodings.parts.angles import AXES


def test_the_choices_are_the_library_s() -> None:
    assert set(CHOICES["encoding.name"]) == set(ENCODINGS)
    assert set(CHOICES["attention.feature_map"]) == set(FEATURE_MAPS)
    assert set(CHOICES["protocol.image_axes"]) == set(AXES)
