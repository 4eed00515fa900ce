"""Kernels for GPUs; imported only where Triton is installed and wanted (:mod:`lrpe.ops.backends`)."""
