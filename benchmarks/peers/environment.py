"""The environment of the peers: the trackers of the dependency group ``peers``, which want older libraries than UPS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

__all__ = ["peers"]

_ROOT = Path(__file__).parents[2]
_HOME = _ROOT / ".peers"


def peers() -> dict[str, Path | str]:
    """Each peer's name → its interpreter, or why it could not be installed. Made when it is first needed.

    Names are as in ``pyproject.toml``, without the version.
    """
    groups = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    wanted: list[str] = groups["peers"]
    python = _HOME / "bin" / "python"
    note = _HOME / "installed.json"
    failures: dict[str, str] = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    if set(failures) != set(wanted) or any(failures.values()):
        print(f"installing {', '.join(wanted)} in {_HOME} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", _HOME], check=True)
        failures = {requirement: _install(python, requirement) for requirement in wanted}
        note.write_text(json.dumps(failures), encoding="utf-8")
    names = {requirement: re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in wanted}
    return {names[requirement]: failure or python for requirement, failure in failures.items()}


def _install(python: Path, requirement: str) -> str:
    """Install a requirement. Returns why it could not be; empty where it could."""
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy", requirement]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return lines[-1] if lines else f"pip ended with {done.returncode}"
