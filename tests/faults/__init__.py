"""Faults on purpose: one file a kind. Marked tests are `make test-faults`, a sample without the mark `make test`."""
