"""CIFAR-100. Options: ``python -m data_prep.cifar100 --help``."""

from data_prep.core.command_line import main

if __name__ == "__main__":
    main("cifar100")
