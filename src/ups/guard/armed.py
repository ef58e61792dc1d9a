"""A spawned child under the guard or the drop-in of its parent, which begins as soon as the child imports wandb."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["arm"]


def arm(begin: str) -> None:
    """Call a function, named as ``package.module:function``, once this process has imported wandb."""
    if "wandb" in sys.modules:
        _call(begin)
    else:
        sys.meta_path.insert(0, _WandbFinder(begin))


def _call(begin: str) -> None:
    module, _, function = begin.partition(":")
    getattr(importlib.import_module(module), function)()


class _WandbFinder(importlib.abc.MetaPathFinder):
    """Finds wandb as other finders do, and calls ``begin`` once it is imported."""

    def __init__(self, begin: str) -> None:
        self._begin = begin

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "wandb":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenCall(spec.loader, self._begin)
        return spec


class _ThenCall(importlib.abc.Loader):
    """A module's own loader, and a call after it."""

    def __init__(self, loader: importlib.abc.Loader, begin: str) -> None:
        self._loader = loader
        self._begin = begin

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _call(self._begin)
