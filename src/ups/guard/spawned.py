"""Carry the guard of every run to child processes that :mod:`multiprocessing` starts afresh.

A spawned child shares nothing with its parent but what is pickled for it. What it is to prepare before anything else
is made by ``multiprocessing.spawn.get_preparation_data``; one entry more there arms the child: wandb is guarded as soon
as the child imports it. A child that never does pays nothing for it.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from multiprocessing import spawn
from types import ModuleType
from typing import Any

__all__ = ["Carrier", "arm"]

_ARM = """
import sys
path, sys.path = sys.path, {path!r}
try:
    from ups.guard.spawned import arm
    arm()
except ImportError as error:
    sys.stderr.write(f"ups: this process has no guard ({{error}})\\n")
finally:
    sys.path = path
"""


class Carrier:
    """Arms each child that is spawned, or begun by a fork server, until :meth:`release`."""

    def __init__(self) -> None:
        self._before: Callable[[str], dict[str, Any]] = spawn.get_preparation_data
        _replace(self._preparation_data)

    def _preparation_data(self, name: str) -> dict[str, Any]:
        return self._before(name) | {"ups": _Arming()}

    def release(self) -> None:
        """Children that are spawned from here on have no guard."""
        if spawn.get_preparation_data == self._preparation_data:
            _replace(self._before)


def _replace(function: Callable[[str], dict[str, Any]]) -> None:
    spawn.get_preparation_data = function  # type: ignore[assignment]


class _Arming:
    """Unpickled in the child, it arms it. Where UPS cannot be imported there, the child is not disturbed."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (_ARM.format(path=[each for each in sys.path if isinstance(each, str)]), {})


def arm() -> None:
    """Guard every run of this process, from the import of wandb on."""
    if "wandb" in sys.modules:
        _guard()
    else:
        sys.meta_path.insert(0, _WandbFinder())


def _guard() -> None:
    from ups.guard.patch_init import guard_every_run

    guard_every_run()


class _WandbFinder(importlib.abc.MetaPathFinder):
    """Finds wandb as others do, and guards it once it is there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "wandb":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenGuard(spec.loader)
        return spec


class _ThenGuard(importlib.abc.Loader):
    """A module's own loader, and the guard after it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _guard()
