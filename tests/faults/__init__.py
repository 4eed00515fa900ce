"""Faults on purpose, one file a kind: `make test-faults`; what is not marked `faults` is a sample for `make test`."""
