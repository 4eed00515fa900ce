"""C code for CPUs, compiled at first use: what :mod:`lrpe.encodings.lrpe.fused` does, in one pass over memory."""
