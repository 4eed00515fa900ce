"""The embedded images: scikit-learn's digits. Options: ``python -m data_prep.digits --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("digits")
