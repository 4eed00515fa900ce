"""WikiText-2, word tokens. Options: ``python -m data_prep.wikitext2 --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("wikitext2")
