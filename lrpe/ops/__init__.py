"""The arithmetic of linear attention in three forms of one function (definition, chunked, recurrent)."""

from lrpe.ops.dispatch import FORMS, linear_attention
from lrpe.ops.state import LinearAttentionState

__all__ = ["FORMS", "LinearAttentionState", "linear_attention"]
