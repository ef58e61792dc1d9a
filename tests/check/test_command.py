"""``ups check`` as it is called: exit statuses, the JSON contract, and bad input."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runfile.real_runs import made_runs, wandb_file
from ups import create_wandb_context
from ups.check import CODES
from ups.cli import main

PAGES = Path(__file__).parents[2] / "docs" / "findings"


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: its exit status, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ups", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("name", "fail_on", "status"),
    [
        ("staged", "error", 0),
        ("frozen", "error", 1),
        ("not_finite", "error", 0),
        ("not_finite", "warning", 1),
        ("single_point", "warning", 0),
        ("killed", "warning", 0),
    ],
)
def test_the_exit_status_tells_what_was_found(ups: Command, name: str, fail_on: str, status: int) -> None:
    """0 without a finding at or above --fail-on, 1 with one."""
    assert ups("check", made_runs() / name, "--fail-on", fail_on)[0] == status


@pytest.mark.timeout(60)
def test_one_bad_run_hides_no_other(ups: Command, tmp_path: Path) -> None:
    """A pipe, a folder, a text and an empty file among the runs: each is one line, and every good run is checked."""
    for name in ("staged", "frozen"):
        shutil.copytree(made_runs() / name, tmp_path / name, symlinks=True)
    os.mkfifo(tmp_path / "run-pipe.wandb")
    (tmp_path / "run-device.wandb").symlink_to("/dev/zero")
    (tmp_path / "run-text.wandb").write_text("no run at all")
    (tmp_path / "run-empty.wandb").touch()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "run.json").write_text('{"stages": 5}')
    shutil.copytree(made_runs() / "stale" / "wandb", tmp_path / "made" / "wandb", symlinks=True)
    status, out, err = ups("check", tmp_path, "--format", "json")
    assert status == 2
    assert sorted(run["run_id"] for run in json.loads(out)["runs"]) == ["frozen", "staged"]
    assert len(err.splitlines()) == 5
    for said in (
        "run-pipe.wandb cannot be read: it is a named pipe",
        "run-device.wandb cannot be read: it is a device",
        "run-text.wandb is not a W&B run file",
        "run-empty.wandb is empty",
        "run.json cannot be read as a UPS run's manifest",
    ):
        assert said in err


def test_json_is_one_object_with_the_keys_of_the_contract(ups: Command) -> None:
    """The JSON of a run with every kind of value has exactly the keys and types that others build on."""
    status, out, err = ups("check", made_runs() / "every_value", made_runs() / "naive", "--format", "json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(out, parse_constant=refuse)
    assert (status, err, list(found), found["schema"]) == (1, "", ["schema", "runs"], 1)
    assert [run["run_id"] for run in found["runs"]] == ["every_value", "naive"]
    run = found["runs"][1]
    shapes = {"run_id": str, "path": str, "rows": int, "finished": bool, "stages": list, "charts": list}
    assert types(run) == {**shapes, "findings": list}
    assert (run["rows"], run["finished"], run["stages"]) == (100, True, ["operator", "diffusion_residual"])
    assert run["charts"][0] == {
        "metric": "training/operator/loss",
        "stage": "operator",
        "axis": "training/operator/step",
        "rows": 100,
        "points": 100,
        "verdict": "frozen",
    }
    assert {finding["code"] for finding in run["findings"]} == {"frozen", "never-logged", "lost-rows"}
    for finding in run["findings"]:
        shapes = {"code": str, "severity": str, "metric": str if finding["metric"] else type(None), "message": str}
        assert types(finding) == {**shapes, "cause": str, "fix": str, "repairable": bool, "count": int}


def types(value: dict[str, Any]) -> dict[str, type]:
    """The type of each value."""
    return {key: type(each) for key, each in value.items()}


def test_text_is_readable_in_a_pipe(tmp_path: Path) -> None:
    """In a pipe of an ASCII locale, a tree without colours, 80 columns wide, worst first, and a summary."""
    done = subprocess.run(
        [sys.executable, "-m", "ups", "check", made_runs() / "naive", made_runs() / "validated"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    lines = done.stdout.decode("ascii").splitlines()
    assert (done.returncode, done.stderr) == (1, b"")
    assert max(map(len, lines)) <= 80
    assert lines[0] == "naive run (naive)  0 of 2 charts full, 100 rows"
    assert "lost-rows  wandb dropped 50 calls of log()" in lines[1]
    assert "2 runs, 4 charts: 1 never-logged, 1 frozen, 2 full; 3 errors" in lines
    assert "ups check --explain" in lines[-2]


def test_markdown_has_a_table_of_charts(ups: Command) -> None:
    """Markdown holds the findings, and every chart in a table."""
    _, out, _ = ups("check", made_runs() / "naive", "--format", "markdown")
    assert out.startswith("## naive run\n")
    assert "| `training/operator/loss` | `training/operator/step` | 100 | 100 | frozen |\n" in out
    assert "- **frozen** (error): all 100 points of training/operator/loss" in out


def test_a_job_gets_an_annotation_per_finding_and_a_summary(
    ups: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --format github each finding is a workflow command, and the job's summary is the Markdown report."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    status, out, err = ups("check", made_runs() / "naive", tmp_path / "a\n::add-mask::b", "--format", "github")
    assert (status, err) == (2, "")
    *commands, last = out.splitlines()
    assert commands[0].startswith("::error title=ups check::")
    assert "::error title=frozen%3A training/operator/loss::all 100 points" in out
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in commands)
    assert len(commands) == 4
    assert last == "1 run, 2 charts: 1 never-logged, 1 frozen; 3 errors"
    assert summary.read_text() == ups("check", made_runs() / "naive", "--format", "markdown")[1]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    status, _, err = ups("check", made_runs() / "naive", "--format", "github")
    assert (status, err) == (2, f"ups: the job's summary {tmp_path} cannot be written: Is a directory\n")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    status, out, err = ups("check", made_runs() / "staged", "--format", "github")
    assert (status, out.splitlines()[-1], err) == (0, "1 run, 3 charts: 3 full; no errors", "")


def test_a_folder_is_checked_run_by_run_and_a_run_only_once(ups: Command, tmp_path: Path) -> None:
    """Every run below a wandb folder is checked; one that is named twice is checked once."""
    for name in ("staged", "frozen"):
        shutil.copytree(wandb_file(name).parent, tmp_path / "wandb" / wandb_file(name).parent.name, symlinks=True)
    _, out, _ = ups("check", tmp_path, tmp_path / "wandb", "--format", "json")
    assert {run["run_id"] for run in json.loads(out)["runs"]} == {"staged", "frozen"}
    assert len(json.loads(out)["runs"]) == 2


def test_a_folder_of_ups_runs_is_checked_run_by_run(ups: Command, tmp_path: Path) -> None:
    """The runs in a folder of UPS run directories are found; one without W&B's file says how to get it."""
    for name in ("staged", "frozen"):
        shutil.copytree(made_runs() / name, tmp_path / name, symlinks=True)
        (tmp_path / name / "run.json").write_text('{"stages": []}')
    status, out, _ = ups("check", tmp_path, "--format", "json")
    assert (status, [run["run_id"] for run in json.loads(out)["runs"]]) == (1, ["frozen", "staged"])
    shutil.rmtree(tmp_path / "staged" / "wandb")
    status, _, err = ups("check", tmp_path / "staged")
    assert (status, err.count("\n")) == (2, 1)
    assert f"ups deliver {tmp_path / 'staged'}" in err


def test_no_run_below_a_folder_is_left_out(ups: Command, tmp_path: Path) -> None:
    """W&B's and UPS's runs are checked, one that is only journaled, a lone file, and those of a linked folder too."""
    with create_wandb_context({}, "local", mode="local", dir=tmp_path / "here" / "ups-runs") as ctx:
        for step in range(3):
            ctx.stage("operator").log(step, loss=step)
    shutil.copytree(made_runs() / "staged", tmp_path / "here" / "ups-runs" / "staged", symlinks=True)
    (tmp_path / "here" / "ups-runs" / "staged" / "run.json").write_text('{"stages": []}')
    shutil.copytree(made_runs() / "frozen" / "wandb", tmp_path / "other-disk", symlinks=True)
    (tmp_path / "here" / "wandb").symlink_to(tmp_path / "other-disk")
    shutil.copy(wandb_file("two_points"), tmp_path / "here" / "x.wandb")
    for path, expected in (
        ("here", {"local", "staged", "frozen", "two_points"}),
        ("here/ups-runs", {"local", "staged"}),
        ("here/ups-runs/local", {"local"}),
    ):
        status, out, _ = ups("check", tmp_path / path, "--format", "json")
        assert status == int("frozen" in expected)
        assert sorted(run["run_id"] for run in json.loads(out)["runs"]) == sorted(expected)


def bad_input(path: Path) -> dict[str, tuple[Path, str]]:
    """What can be wrong with a path, and what is said about it."""
    (path / "folder").mkdir()
    (path / "empty.wandb").touch()
    (path / "notes.txt").write_text("not a run\n" * 10)
    (path / "loop").symlink_to(path / "loop")
    (path / "broken").mkdir()
    shutil.copy(wandb_file("staged"), path / "broken" / "run-staged.wandb")
    (path / "broken" / "run.json").write_text("{")
    return {
        "absent": (path / "absent", "does not exist"),
        "empty": (path / "empty.wandb", "is empty"),
        "not a run": (path / "notes.txt", "is not a W&B run file"),
        "no run": (path / "folder", "holds no .wandb file"),
        "below a file": (path / "notes.txt" / "run", "cannot be read: Not a directory"),
        "loop": (path / "loop", "cannot be read: Too many levels"),
        "description": (path / "broken", "run.json cannot be read"),
        "device": (Path(os.devnull), "is neither a file nor a directory"),
    }


@pytest.mark.parametrize(
    "what", ["absent", "empty", "not a run", "no run", "below a file", "loop", "description", "device"]
)
def test_what_cannot_be_read_is_one_line_and_status_2(ups: Command, tmp_path: Path, what: str) -> None:
    """Bad input is one clear line that names the path, and exit status 2."""
    path, message = bad_input(tmp_path)[what]
    status, out, err = ups("check", path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("ups: ")
    assert str(path) in err
    assert message in err


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", ["file", "folder"])
def test_no_permission_is_one_line_and_status_2(ups: Command, tmp_path: Path, locked: str) -> None:
    """A file or folder that may not be read is one clear line, and exit status 2."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "run-staged.wandb"
    shutil.copy(wandb_file("staged"), file)
    for above in (tmp_path, *tmp_path.parents):
        if above != Path(above.root) and os.geteuid() == 0 and above.stat().st_uid == 0:
            above.chmod(above.stat().st_mode | 0o755)
    assert ups("check", tmp_path)[0] == 0  # what Python has to import for it may be root's
    path = {"file": file, "folder": folder}[locked]
    path.chmod(0)
    with as_nobody():
        status, out, err = ups("check", path)
        from_above = ups("check", tmp_path)
    path.chmod(0o700)
    assert (status, out, err) == (2, "", f"ups: {path} cannot be read: Permission denied\n")
    assert from_above == (status, out, err)


def test_the_other_runs_are_checked_all_the_same(ups: Command, tmp_path: Path) -> None:
    """One path that cannot be read does not keep the others from being checked."""
    status, out, err = ups("check", tmp_path / "absent", made_runs() / "staged", "--format", "json")
    assert (status, err) == (2, f"ups: {tmp_path / 'absent'} does not exist\n")
    assert [run["run_id"] for run in json.loads(out)["runs"]] == ["staged"]


@pytest.mark.parametrize("arguments", [[], ["--explain", "nothing"], ["x", "--format", "yaml"]])
def test_wrong_usage_is_status_2(ups: Command, arguments: list[str]) -> None:
    """Wrong usage says how it is meant, and exits with 2."""
    status, out, err = ups("check", *arguments)
    assert (status, out) == (2, "")
    assert "Usage: ups check" in err


@pytest.mark.parametrize("code", CODES)
def test_every_finding_has_a_page(ups: Command, code: str) -> None:
    """--explain prints the page on a finding, and the same page is in the documentation."""
    status, out, _ = ups("check", "--explain", code)
    assert status == 0
    assert out.startswith(f"# {code}\n")
    assert all(f"\n## {part}\n" in out for part in ("Why", "Fix", "Repair"))
    assert out == (PAGES / f"{code}.md").read_text(encoding="utf-8")
    assert f"({code}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")


def test_no_page_is_about_something_else() -> None:
    """The documentation has no page on a finding that does not exist."""
    assert {page.stem for page in PAGES.glob("*.md")} == {*CODES, "README"}
