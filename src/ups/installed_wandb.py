"""The wandb that is installed: imported, and asked once for the capabilities that UPS uses.

wandb is the user's own choice, so UPS takes each version from :data:`OLDEST` on. What an older version lacks has a
fallback where it is used; what has none is in :meth:`InstalledWandb.lacking`.
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ups.errors import MissingDependency
from ups.text import command_line

__all__ = ["OLDEST", "InstalledWandb", "check_wandb", "load_wandb", "sync_command"]

OLDEST = "0.19.11"
"""The oldest wandb that the tests run with."""

_MISSING = "wandb is not installed: pip install 'ups-tracking[wandb]'"
_VERSION = re.compile(r"^__version__ = [\"']((\d+)\.(\d+)\.(\d+)[^\"']*)", re.MULTILINE)


@dataclass(frozen=True)
class InstalledWandb:
    """wandb, and its capabilities.

    Attributes:
        run_type: The class of the runs that ``wandb.init`` returns.
        settings: The names of its settings.
        writes_logs: Whether a run has ``write_logs``, and ``wandb sync`` takes what that writes.
    """

    version: str
    run_type: type[Any]
    settings: frozenset[str]
    writes_logs: bool

    def lacking(self, *, own_process: bool) -> dict[str, str]:
        """The capabilities that delivery to a server lacks here, with a message each.

        Args:
            own_process: Whether delivery has a process of its own.
        """
        named = f"wandb {self.version}"
        lacking = {}
        if "stop_on_fatal_error" not in self.settings:
            lacking["refusals"] = (
                f"{named} does not report that a server has refused rows permanently: delivery sends them again, but"
                " only at the end of the run. wandb 0.27 and newer report it at once"
            )
        if "stop_fn" not in self.settings and not own_process:
            lacking["stop"] = (
                f"{named} interrupts the training itself where somebody presses Stop in W&B. With wandb 0.26 and newer"
                " ctx.should_stop becomes true instead"
            )
        return lacking


@cache
def load_wandb() -> InstalledWandb:
    """Import wandb, and ask it for its capabilities.

    Raises:
        MissingDependency: It is not installed, is too old, or cannot be imported.
    """
    spec = find_spec("wandb")
    if spec is None or spec.origin is None:  # without an origin it is a folder of runs, in the working directory
        raise MissingDependency(_MISSING)
    try:
        import wandb
        from wandb.sdk.wandb_run import Run
    except Exception as error:  # a wandb that meets a protobuf that it does not know raises nearly anything
        raise MissingDependency(_broken(error)) from error
    settings = frozenset(getattr(wandb.Settings, "model_fields", ()))
    reinit = str(inspect.signature(wandb.init).parameters["reinit"].annotation)
    if not settings or "create_new" not in reinit or not hasattr(Run, "starting_step"):
        raise MissingDependency(_too_old(wandb.__version__))
    # wandb 0.27 has write_logs, but its own 'wandb sync' crashes at what that writes.
    return InstalledWandb(wandb.__version__, Run, settings, hasattr(Run, "write_logs") and not _syncs_in_python())


def check_wandb() -> None:
    """Check that the wandb that is installed is new enough, without importing it.

    Raises:
        MissingDependency: None is installed, or it is too old.
    """
    spec = find_spec("wandb")
    if spec is None or spec.origin is None:
        raise MissingDependency(_MISSING)
    found = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8", errors="replace"))
    if found is not None and tuple(map(int, found.groups()[1:])) < tuple(map(int, OLDEST.split("."))):
        raise MissingDependency(_too_old(found[1]))


def sync_command(folders: Sequence[Path]) -> str:
    """The command that sends a run's folders, oldest first, with the installed wandb.

    Before wandb 0.28, ``wandb sync`` writes each folder's rows over those of the one before, unless called with
    ``--append``.
    """
    options = ["--append"] if len(folders) > 1 and _syncs_in_python() else []
    return command_line("wandb", "sync", *options, *folders)


@cache
def _syncs_in_python() -> bool:
    """True where ``wandb sync`` is the one in Python that wandb had before 0.28, by its options."""
    spec = find_spec("wandb")
    if spec is None or spec.origin is None:
        return False
    commands = Path(spec.origin).parent / "cli" / "cli.py"
    text = commands.read_text(encoding="utf-8", errors="replace") if commands.exists() else ""
    return '"--append"' in text and "(legacy only)" not in text


def _too_old(found: str) -> str:
    return f"wandb {found} is too old: UPS needs {OLDEST} or newer. Install one: pip install 'wandb>={OLDEST}'"


def _broken(error: Exception) -> str:
    from importlib.metadata import PackageNotFoundError, version

    versions = []
    for name in ("wandb", "protobuf"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    text = " ".join(str(error).split())
    return (
        f"wandb cannot be imported ({type(error).__name__}: {text}). Installed are {' and '.join(versions)}. Install"
        " wandb again, with the packages that it wants: pip install --force-reinstall 'wandb==<version>'"
    )
