"""Stochastic positional encoding: random codes whose covariance is the positional kernel."""

from lrpe.encodings.spe.module import SPE

__all__ = ["SPE"]
