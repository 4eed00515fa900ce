"""Ways to encode position: relative ones, which act on query and key, and absolute ones, added to the embeddings."""

from lrpe.encodings.absolute import LearnedPositions, SinusoidalPositions, build_absolute
from lrpe.encodings.base import Encoding
from lrpe.encodings.lrpe import LRPE
from lrpe.encodings.none import NoEncoding
from lrpe.encodings.permuteformer import PermuteFormer
from lrpe.encodings.registry import (
    ENCODINGS,
    build_encoding,
    discover,
    encoding_class,
    encoding_options,
    register_encoding,
)
from lrpe.encodings.rope import RoPE
from lrpe.encodings.spe import SPE

discover(__name__, __path__)

__all__ = [
    "ENCODINGS",
    "LRPE",
    "SPE",
    "Encoding",
    "LearnedPositions",
    "NoEncoding",
    "PermuteFormer",
    "RoPE",
    "SinusoidalPositions",
    "build_absolute",
    "build_encoding",
    "encoding_class",
    "encoding_options",
    "register_encoding",
]
