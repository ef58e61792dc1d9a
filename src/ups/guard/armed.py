"""A spawned child under the guard of its parent: wandb is guarded as soon as the child imports it."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["arm"]


def arm() -> None:
    """Guard every run of this process, from the import of wandb on."""
    if "wandb" in sys.modules:
        _guard()
    else:
        sys.meta_path.insert(0, _WandbFinder())


def _guard() -> None:
    from ups.dropin.seam import install

    install()


class _WandbFinder(importlib.abc.MetaPathFinder):
    """Finds wandb as other finders do, and guards it once it is imported."""

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
