"""Compute: encoding and linear attention, each one function over the registry of back ends."""

from lrpe.ops import backends  # registers them
from lrpe.ops.attention import linear_attention
from lrpe.ops.encoding import encode
from lrpe.ops.forms import FORMS
from lrpe.ops.registry import BACKENDS, backend
from lrpe.ops.state import LinearAttentionState

__all__ = ["BACKENDS", "FORMS", "LinearAttentionState", "backend", "backends", "encode", "linear_attention"]
