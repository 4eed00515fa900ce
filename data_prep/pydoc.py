"""The embedded corpus: prose of the running CPython. Options: ``python -m data_prep.pydoc --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("pydoc")
