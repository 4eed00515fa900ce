"""What a person reads when their input is at fault."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import NoReturn

from data_prep.core.errors import nearest

__all__ = ["UserError", "exit_on_user_error", "nearest", "remedy_of"]


class UserError(Exception):
    """A mistake of the user's: the message names the bad key or file, what was expected and the nearest valid choice.

    Entry points print the message alone, without a traceback, and exit with code 2.
    """


_ELSEWHERE = "set paths.results (LRPE_RESULTS) to a folder that can be written"
_ACCESS = f"get access to it, or {_ELSEWHERE}"
_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
}


def remedy_of(error: OSError) -> str | None:
    """What a person can do about a disk that refuses to be written; None for any other error."""
    return _REMEDIES.get(error.errno or 0)


def exit_on_user_error(main: Callable[[], int | None]) -> NoReturn:
    """Run an entry point; a :class:`UserError`, or a disk that refuses to be written, becomes one message on standard
    error and exit code 2."""
    from experiments.util import log
    from experiments.util.console import print_with_replacement

    print_with_replacement()
    log.set_up()
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if (remedy := remedy_of(error)) is None:
            raise
        print(f"error: {error}: {remedy}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code or 0)
