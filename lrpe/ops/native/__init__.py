"""C code for CPUs, compiled at first use: what :mod:`lrpe.ops.rotate` does, in one pass over memory."""
