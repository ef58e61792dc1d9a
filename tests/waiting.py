"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

__all__ = ["wait_for"]

T = TypeVar("T")


def wait_for(
    what: Callable[[], T | Literal[False] | None], seconds: float = 90.0, otherwise: Callable[[], object] | str = ""
) -> T:
    """What ``what`` returns, once that is true; fails after ``seconds``, with what ``otherwise`` says."""
    give_up = time.monotonic() + seconds
    while not (result := what()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {seconds:.0f} s: {otherwise() if callable(otherwise) else otherwise}")
        time.sleep(0.02)
    return result
