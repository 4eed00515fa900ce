"""ImageNet-1k, or a part of it. Options: ``python -m data_prep.imagenet --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("imagenet")
