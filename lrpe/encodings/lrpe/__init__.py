"""LRPE: M_s = Lambda^(s) P. A core (Lambda) and a projection (P) are chosen independently."""

from lrpe.encodings.lrpe.module import LRPE

__all__ = ["LRPE"]
