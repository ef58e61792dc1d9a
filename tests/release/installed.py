"""UPS installed from its wheel, in an environment of its own, away from this source tree."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Literal

from environments import ROOT, environment, lower_bounds
from release.archives import built

__all__ = ["Installed"]

Versions = Literal["newest", "oldest"]

_PACKAGES = """
import importlib.metadata, json, pathlib, sysconfig
files = [path for path in pathlib.Path(sysconfig.get_path("purelib")).rglob("*") if path.is_file()]
names = sorted(each.name for each in importlib.metadata.distributions())
print(json.dumps([names, sum(path.stat().st_size for path in files)]))
"""


class Installed:
    """An environment with UPS's wheel, and with the newest or the oldest versions of what it and ``extras`` need.

    Attributes:
        python: its interpreter.
    """

    def __init__(self, versions: Versions, *extras: str, above: Installed | None = None) -> None:
        wheel = built()
        self.versions = versions
        self.extras = extras
        self.python: Path = environment(
            "-".join(("ups", versions, *extras)),
            [f"{wheel.wheel}[{','.join(extras)}]" if extras else str(wheel.wheel)],
            pins=self._pins(*extras),
            above=above.python if above else None,
            content=wheel.wheel_hash,
        )

    def with_extra(self, extra: str) -> Installed:
        """The same, and what the extra brings."""
        return Installed(self.versions, *self.extras, extra, above=self)

    def run(
        self, *command: str | Path, expect: int | None = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the working directory, with no network for those who ask for models."""
        name, *arguments = map(str, command)
        done = subprocess.run(
            [str(self.python.parent / name), *arguments],
            env=self.surroundings,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        return done

    def packages(self) -> tuple[list[str], int]:
        """The packages that are installed, and the bytes of their files, compiled as pip leaves them."""
        self.run("python", "-m", "compileall", "-q", self.python.parents[1] / "lib", expect=None)
        names, size = json.loads(self.run("python", "-c", _PACKAGES).stdout)
        return names, size

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment variables of somebody who works in it."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        path = f"{self.python.parent}{os.pathsep}{known['PATH']}"
        return {**known, "PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def _pins(self, *extras: str) -> list[str]:
        if self.versions == "oldest":
            return lower_bounds(*extras)
        return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
