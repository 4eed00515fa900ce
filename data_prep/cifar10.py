"""CIFAR-10. Options: ``python -m data_prep.cifar10 --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("cifar10")
