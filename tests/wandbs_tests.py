"""wandb's own tests, plainly and with ``ups.guard()`` on: how many pass, and which only without it.

``python tests/wandbs_tests.py CHECKOUT`` takes a checkout of wandb's repository, and runs its tests with the installed
wandb. Those that need a server get the loopback server of these tests. Words after the checkout go to pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ups
from environments import ROOT, kept, pip

__all__: list[str] = []

UNIT = ("config", "define_metric", "init", "log", "run", "save", "summary")
OFFLINE = [f"tests/unit_tests/test_wandb_{name}.py" for name in UNIT]
OFFLINE += [f"tests/unit_tests/test_{name}.py" for name in ("library_public", "mode_disabled", "tables", "torch")]
SYSTEM = "tests/system_tests/test_core"
OFFLINE += [f"{SYSTEM}/test_{name}.py" for name in ("resume_auto", "wandb_init_reinit", "wandb_setup", "console")]
ONLINE = [
    f"{SYSTEM}/test_{name}.py"
    for name in ("data_types_full", "metric_full", "resume", "torch_full", "wandb_init", "wandb_run")
]
WANTED = (
    "bokeh",
    "fastapi",
    "hypothesis",
    "moviepy",
    "pytest<9",  # wandb's fixtures have marks
    "pytest-asyncio",
    "pytest-mock",
    "pytest-timeout",
    "pyte",
    "responses",
    "respx",
    "soundfile",
)
_RESULT = re.compile(r"(tests/\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)")


def python() -> Path:
    """The interpreter of an environment that has what wandb's tests want, before what these tests have."""
    with kept("wandbs-tests", "\n".join([sys.version, *WANTED])) as (home, new):
        if new:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
            pip("--python", home / "bin" / "python", "install", "--no-compile", *WANTED)
            (packages,) = home.glob("lib/python*/site-packages")
            (below,) = Path(sys.prefix).glob("lib/python*/site-packages")
            (packages / "below.pth").write_text(f"{below}\n", encoding="utf-8")
    return home / "bin" / "python"


def results(checkout: Path, files: list[str], *options: str, journaled: bool) -> dict[str, str]:
    """The outcome of each test, by its name."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
    paths = os.pathsep.join([str(Path(ups.__file__).parents[1]), str(ROOT / "tests")])
    done = subprocess.run(
        [python(), "-m", "pytest", "-p", "wandbs_tests_plugin", "-p", "no:cacheprovider", *options, *files],
        cwd=checkout,
        env=inherited | {"PYTHONPATH": paths, "JOURNALED": str(journaled), "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = {name: outcome for name, outcome in _RESULT.findall(done.stdout) if outcome in ("PASSED", "FAILED")}
    Path(f"wandbs-tests-{'journaled' if journaled else 'plain'}.txt").write_text(done.stdout, encoding="utf-8")
    if not found:
        raise SystemExit(done.stdout[-3000:])
    return found


def main() -> None:
    """Print a table, and the names of the tests that pass only plainly."""
    checkout, *options = sys.argv[1:]
    for kind, files in (("offline", OFFLINE), ("online", ONLINE)):
        plain = results(Path(checkout), files, *options, journaled=False)
        journaled = results(Path(checkout), files, *options, journaled=True)
        passed = {name for name, outcome in plain.items() if outcome == "PASSED"}
        lost = sorted(name for name in passed if journaled.get(name) != "PASSED")
        print(f"{kind}: {len(passed)} of {len(plain)} pass plainly, {len(passed) - len(lost)} of them with ups.guard()")
        for name in lost:
            print(f"  {name}")


if __name__ == "__main__":
    main()
