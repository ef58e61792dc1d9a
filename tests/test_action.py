"""The action and the workflows: what a job that uses them runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runfile.real_runs import made_runs

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "action.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]


def steps(file: Path) -> list[dict[str, Any]]:
    """The steps of an action, or of all jobs of a workflow."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    jobs = [content["runs"]] if "runs" in content else content["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize(("name", "status"), [("staged", 0), ("frozen", 1), ("-x\n::add-mask::y", 2)])
def test_the_action_fails_where_a_chart_is_wrong(name: str, status: int, tmp_path: Path) -> None:
    """Its last step annotates the job, writes the summary, and takes any path as nothing but a path."""
    folder = tmp_path / "ups-check" / "bin"
    folder.mkdir(parents=True)
    (folder / "ups").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ups "$@"\n', encoding="utf-8")
    (folder / "ups").chmod(0o755)
    step = steps(ROOT / "action.yml")[-1]
    path = str(made_runs() / name) if status < 2 else name
    given = {"inputs.path": path, "inputs.fail-on": "error"}
    variables = {key: given[value.removeprefix("${{ ").removesuffix(" }}")] for key, value in step["env"].items()}
    summary = tmp_path / "summary.md"
    job = {**os.environ, "RUNNER_TEMP": str(tmp_path), "GITHUB_STEP_SUMMARY": str(summary), **variables}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, env=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert ("\n::add-mask::" in done.stdout, done.stdout.count("::error title=")) == (False, int(status > 0))
    assert summary.exists() == (status < 2)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_value_is_pasted_into_a_script_and_every_action_is_pinned(file: Path) -> None:
    """A script gets its values as variables; an action is named by its full commit, with its version beside it."""
    assert not [step for step in steps(file) if "${{" in step.get("run", "")]
    used = re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)
    assert len(used) == sum("uses" in step for step in steps(file))


def test_what_ci_runs_is_what_a_developer_runs() -> None:
    """Each job of the tests is one target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [step["run"] for step in steps(ROOT / ".github" / "workflows" / "tests.yml") if "run" in step]
    assert len(commands) >= 7
    assert all(command.split()[0] == "make" and command.split()[1] in targets for command in commands)
