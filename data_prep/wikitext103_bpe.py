"""WikiText-103, raw text in a byte-pair encoding. Options: ``python -m data_prep.wikitext103_bpe --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("wikitext103_bpe")
