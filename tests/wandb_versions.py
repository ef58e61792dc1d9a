"""Runs the tests of all that touches wandb with each minor version of it: ``python tests/wandb_versions.py [OPTION]…``.

The options are pytest's. ``VERSIONS="0.19.11 0.31.0"`` chooses versions. Each has an environment above this one, with
that wandb and the protobuf that it wants. A line per version comes as it ends, and a table at the end; exit status: 1
where a test failed.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from time import monotonic

from environments import ROOT, environment
from held import reader_environment
from runfile.real_runs import VERSIONS as MADE_WITH
from runfile.real_runs import python_with_wandb

VERSIONS = "0.19.11 0.21.4 0.23.1 0.25.1 0.26.1 0.27.2 0.28.2 0.29.0 0.30.0 0.31.0"
AREAS = {
    "three stages": ["tests/delivery/test_wandb_versions.py"],
    "tracking": ["tests/tracking", "tests/journal"],
    "delivery": ["tests/delivery", "tests/test_wandb_client.py", "tests/test_wandb_server.py"],
    "guard": ["tests/guard"],
    "recorder": ["tests/testing"],
    "drop-in": [f"tests/dropin/test_{name}.py" for name in ("same_as_plain", "fall_back", "sweep", "lifetimes")],
    "reading": ["tests/runfile", "tests/runs"],
    "repair": ["tests/repair", "tests/check"],
}


def python_with(version: str) -> Path:
    """The interpreter of an environment above this one, with that wandb."""
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    python = environment(f"wandb-{version}", [f"wandb=={version}"], above=Path(sys.executable), content=constraints)
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    (packages / "source.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    return python


def main() -> int:
    versions = os.environ.get("VERSIONS", VERSIONS).split()
    reader_environment()  # made here, since the tests of two versions share them
    for made_with in MADE_WITH:
        python_with_wandb(made_with)
    table = {}
    for version in versions:
        began = monotonic()
        python = python_with(version)
        protobuf = subprocess.run(
            [python, "-c", "import google.protobuf; print(google.protobuf.__version__)"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        outcomes = run_tests(python, sys.argv[1:])
        failed = sum(counts["failed"] for counts in outcomes.values())
        table[version] = [version, protobuf, *(summary(outcomes.get(area, Counter())) for area in AREAS)]
        taken = f"{monotonic() - began:,.0f} s"
        print(f"wandb {version} with protobuf {protobuf}: {f'{failed:,} FAILED' if failed else 'passed'}, {taken}")
        sys.stdout.flush()
    print(f"\n| wandb | protobuf | {' | '.join(AREAS)} |\n|{'---|' * (len(AREAS) + 2)}")
    for row in table.values():
        print(f"| {' | '.join(row)} |")
    return int(any("failed" in cell for row in table.values() for cell in row))


def run_tests(python: Path, options: list[str]) -> dict[str, Counter[str]]:
    """Run the tests with an interpreter. Returns how many of each area passed, failed and were skipped."""
    paths = dict.fromkeys(path for area in AREAS.values() for path in area)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        arguments = ["-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={report}", *paths, *options]
        done = subprocess.run([python, *arguments], cwd=ROOT, stdout=sys.stderr, check=False)
        if not report.exists():
            return {next(iter(AREAS)): Counter(failed=1)}
        cases = ElementTree.parse(report).getroot().iter("testcase")
        outcomes: dict[str, Counter[str]] = {}
        for case in cases:
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            outcomes.setdefault(area_of(case.get("classname", "")), Counter())[outcome] += 1
        if done.returncode not in (0, 1):
            outcomes.setdefault(next(iter(AREAS)), Counter())["failed"] += 1
    return outcomes


def area_of(module: str) -> str:
    """The area of a test, by the name of its module or class."""
    path = module.replace(".", "/") + "/"
    for area, paths in AREAS.items():
        if any(path.startswith(f"{each.removesuffix('.py')}/") for each in paths):
            return area
    raise ValueError(f"{module} is in no area")


def summary(counts: Counter[str]) -> str:
    """Counts, as a cell of the table."""
    return ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ("failed", "passed", "skipped") if counts[outcome])


if __name__ == "__main__":
    sys.exit(main())
