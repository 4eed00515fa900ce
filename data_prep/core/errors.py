"""What a person reads when data cannot be prepared or trusted."""

from __future__ import annotations


class DataError(Exception):
    """Data is missing, damaged or not what it claims to be; the message names the file and says what to do.

    Entry points print the message alone, without a traceback, and exit with code 2.
    """
