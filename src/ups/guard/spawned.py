"""Carry the guard of every run to child processes that :mod:`multiprocessing` starts afresh.

A spawned child shares nothing with its parent but what is pickled for it.
``multiprocessing.spawn.get_preparation_data`` makes what it unpickles first; one more entry there arms the child: wandb
is guarded as soon as the child imports it. A child that never does pays nothing.
"""

import sys
from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

__all__ = ["Carrier"]

_ARM = """
import sys
path, sys.path = sys.path, {path!r}
try:
    from ups.guard.armed import arm
    arm({begin!r})
except ImportError as error:
    sys.stderr.write(f"ups: this process has no guard ({{error}})\\n")
finally:
    sys.path = path
"""


class Carrier:
    """Arms each child that is spawned, or begun by a fork server, until :meth:`release`.

    Args:
        begin: What the child calls once it has imported wandb, as ``package.module:function``.
    """

    def __init__(self, begin: str) -> None:
        self._begin = begin
        self._before: Callable[[str], dict[str, Any]] = spawn.get_preparation_data
        _replace(self._preparation_data)

    def _preparation_data(self, name: str) -> dict[str, Any]:
        return self._before(name) | {"ups": _Arming(self._begin)}

    def release(self) -> None:
        """Leave children that are spawned from here on without a guard."""
        if spawn.get_preparation_data == self._preparation_data:
            _replace(self._before)


def _replace(function: Callable[[str], dict[str, Any]]) -> None:
    spawn.get_preparation_data = function  # type: ignore[assignment]


class _Arming:
    """Unpickled in the child, it arms it. Where UPS cannot be imported there, the child is not disturbed."""

    def __init__(self, begin: str) -> None:
        self._begin = begin

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (_ARM.format(begin=self._begin, path=[each for each in sys.path if isinstance(each, str)]), {})
