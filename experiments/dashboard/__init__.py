"""All runs in one page that needs no network: ``python -m experiments.dashboard --help``."""
