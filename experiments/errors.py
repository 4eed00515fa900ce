"""What a person reads when their input is at fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import NoReturn


class UserError(Exception):
    """A mistake of the user's: the message names the bad key or file, what was expected and the nearest valid choice.

    Entry points print the message alone, without a traceback, and exit with code 2.
    """


def nearest(word: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'rope'?"`` for the closest of ``choices``, or an empty string where none is close."""
    matches = get_close_matches(str(word), list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def exit_on_user_error(main: Callable[[], int | None]) -> NoReturn:
    """Run an entry point; a :class:`UserError` becomes one message on standard error and exit code 2."""
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code or 0)
