"""The linter of prose finds what reads as translated, and points at the place; ``make lint`` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .snippets import ROOT

LINT = ROOT / "prose" / "lint.py"

PLAIN = '''
"""The journal of a run, read from its first row to its last."""

MESSAGE = f"Port {80} needs root; choose one above 1023 with --port"
told, no_more = "told", ["go on"]  # resume where W&B stands
'''

ODD = '''
"""What a delivery is told of a run.

The second paragraph of it goes
on over two lines.
"""

def log(port):  # a row a row
    raise ValueError(f"port {port} is no port: "
                     "say another one anew")
'''


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter on these files; skip the test where it is not installed, but for CI."""
    if shutil.which("node") is None or not (ROOT / "prose" / "node_modules").exists():
        assert "CI" not in os.environ, "CI has to install the linter of prose: make lint"
        pytest.skip("the linter of prose is not installed: make lint")
    return subprocess.run([sys.executable, LINT, *paths], capture_output=True, text=True, check=False)


def test_odd_prose_is_found_where_it_stands(tmp_path: Path) -> None:
    """In a docstring, over two lines, in a comment, in strings side by side, and in a page's text but not its code."""
    odd, page = tmp_path / "odd.py", tmp_path / "page.md"
    odd.write_text(ODD)
    page.write_text("# Go on\n\nRun `go on`, and the run is told.\n")
    done = lint(odd, page)
    assert done.returncode == 1
    assert [line.removeprefix(f"{tmp_path}/").partition(" => ")[0] for line in done.stdout.splitlines()] == [
        "odd.py:2:1: What …",
        "odd.py:2:23: told",
        "odd.py:4:28: goes on",
        "odd.py:8:19: a row a row",
        "odd.py:9:36: is no",
        "odd.py:10:39: anew",
        "page.md:1:3: Go on",
        "page.md:3:29: told",
    ]


def test_plain_prose_passes(tmp_path: Path) -> None:
    """Neither names nor short strings are prose, and what is plain is not reported."""
    plain = tmp_path / "plain.py"
    plain.write_text(PLAIN)
    done = lint(plain)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
