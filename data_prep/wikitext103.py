"""WikiText-103, word tokens: the literature's form. Options: ``python -m data_prep.wikitext103 --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("wikitext103")
