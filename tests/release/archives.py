"""The wheel and the source archive, as ``python -m build`` makes them of this source tree."""

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from environments import ROOT, kept

__all__ = ["Archives", "built", "package_files"]


class Archives(NamedTuple):
    """What was built: the source archive, the wheel that was built from it, and one built from the source tree."""

    sdist: Path
    wheel: Path
    wheel_of_the_tree: Path

    @property
    def wheel_hash(self) -> str:
        return hashlib.sha256(self.wheel.read_bytes()).hexdigest()


def package_files() -> list[Path]:
    """Every file of the package, from the folder ``src``."""
    files = (path for path in (ROOT / "src" / "ups").rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return sorted(path.relative_to(ROOT / "src") for path in files)


@cache
def built() -> Archives:
    """They are built once for all test processes, and again when a file that goes into the wheel has changed."""
    about = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    content = hashlib.sha256()
    for path in [*about, *(ROOT / "src" / name for name in package_files())]:
        content.update(f"{path}\n".encode() + path.read_bytes())
    with kept("built", content.hexdigest()) as (folder, new):
        if new:
            for options in (("--outdir", folder), ("--wheel", "--outdir", folder / "tree")):
                done = subprocess.run(
                    [sys.executable, "-m", "build", *options, ROOT],
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,), (of_the_tree,) = (folder.glob(name) for name in ("*.tar.gz", "*.whl", "tree/*.whl"))
    return Archives(sdist, wheel, of_the_tree)
