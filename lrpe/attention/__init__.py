"""Attention layers: linear, and softmax as the quadratic reference; one interface."""

from lrpe.attention.feature_maps import FEATURE_MAPS, FeatureMap, build_feature_map
from lrpe.attention.linear import LinearAttention
from lrpe.attention.softmax import SoftmaxAttention

__all__ = ["FEATURE_MAPS", "FeatureMap", "LinearAttention", "SoftmaxAttention", "build_feature_map"]
