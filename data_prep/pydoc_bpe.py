"""The embedded corpus in a byte-pair encoding trained on it. Options: ``python -m data_prep.pydoc_bpe --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("pydoc_bpe")
