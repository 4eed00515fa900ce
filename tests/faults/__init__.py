"""Faults on purpose: one file a kind. The marked tests are `make test-faults`, a sample without the mark `make test`."""
