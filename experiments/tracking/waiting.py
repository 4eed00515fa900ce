"""Not waiting for wandb longer than agreed, and saying why it failed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

GRACE_SECONDS = 10.0  # beyond wandb's own time limits, before a call counts as stuck


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread where the block takes longer, whatever it waits for."""

    def expire(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def let_go(wandb: ModuleType) -> None:
    """End wandb's service, which a process would else wait for at its own end, for however long."""
    with suppress(BaseException), no_longer_than(GRACE_SECONDS):
        wandb.teardown()


def reason(error: BaseException) -> str:
    """Why wandb failed, in one line."""
    text = (str(error).splitlines() or [type(error).__name__])[0][:160]
    if any(code in text for code in ("error 401", "error 403")):
        return f"wandb refuses the key ({text})"
    if isinstance(error, TimeoutError) or "in time" in text:
        return f"wandb cannot be reached ({text})"
    return f"wandb failed ({text})"
