"""Environments with other packages than the tests' own, and other folders that take long to fill; kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

__all__ = ["ROOT", "THIS_SESSION", "environment", "is_kept", "kept", "lower_bounds", "made_by", "pip"]

ROOT = Path(__file__).parents[1]
THIS_SESSION = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"process {os.getpid()}"
"""As the ``content`` of what is :func:`kept`: made once by the processes of a test session, and anew by the next."""
_KEPT = ROOT / ".environments"


@contextmanager
def kept(name: str, content: str = "") -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is new and empty: then the caller is to fill it, while other processes wait.

    It is made anew where filling it failed, and where ``content``, which says what is in it, is not the last time's.
    """
    _KEPT.mkdir(exist_ok=True)
    folder, done = _KEPT / name, _KEPT / f"{name}.done"
    with (_KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = not done.exists() or done.read_text(encoding="utf-8") != content
        if new:
            done.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder, new
        if new:
            done.write_text(content, encoding="utf-8")


def is_kept(home: str | Path) -> bool:
    """True for an environment that is :func:`kept`."""
    return _KEPT in Path(home).parents


def made_by(name: str, maker: Path) -> Path:
    """The folder that a script fills when it is given it; kept until the script or wandb changes."""
    content = f"{metadata.version('wandb')} {hashlib.sha256(maker.read_bytes()).hexdigest()}"
    with kept(name, content) as (folder, new):
        if new:
            subprocess.run([sys.executable, maker, folder], capture_output=True, timeout=500, check=True)
    return folder


def environment(
    name: str, wanted: Sequence[str], *, pins: Sequence[str] = (), above: Path | None = None, content: str = ""
) -> Path:
    """The interpreter of an environment that has what pip installs for ``wanted``, at the versions of ``pins``.

    With ``above``, an interpreter, it has the packages of that one's environment too, and installs only what they lack.
    ``content`` says what else it depends on.
    """
    with kept(name, "\n".join([sys.version, *wanted, "at", *pins, f"above {above}", content])) as (home, new):
        python = home / "bin" / "python"
        if new:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
            if above is not None:
                (packages,) = home.glob("lib/python*/site-packages")
                (below,) = above.parents[1].glob("lib/python*/site-packages")
                (packages / "below.pth").write_text(f"{below}\n", encoding="utf-8")
            constraints = home / "pins.txt"
            constraints.write_text("\n".join(pins), encoding="utf-8")
            pip("--python", python, "install", "--no-compile", "--constraint", constraints, *wanted)
    return python


def pip(*arguments: str | Path) -> None:
    """Run the pip of the tests' own environment."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr


def lower_bounds(*extras: str) -> list[str]:
    """The oldest version that ``pyproject.toml`` admits of each direct dependency of UPS with these extras, as pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [each for extra in extras for each in project["optional-dependencies"][extra]]
    oldest: dict[str, Version] = {}
    for requirement in map(Requirement, wanted):
        if requirement.name == project["name"]:  # extra "all" has the others
            return lower_bounds(*requirement.extras)
        (bound,) = requirement.specifier
        assert bound.operator == ">=", f"{requirement} has no oldest version"
        oldest[requirement.name] = max(oldest.get(requirement.name, Version("0")), Version(bound.version))
    return [f"{name}=={version}" for name, version in oldest.items()]
