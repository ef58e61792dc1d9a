"""The commands on runs and folders whose names were chosen to command the terminal, the shell or a spreadsheet."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import ups
from runfile.real_runs import made_runs

ESCAPE = "\x1b]0;owned\x07"
IMAGE = "![x](https://evil.example/x.png)"
FORMULA = "=HYPERLINK(A1)"
NAMES = [f"a``{IMAGE}", f"b\\|{IMAGE}", f"c```d``{IMAGE}`", f"{ESCAPE}red", FORMULA, "fine, too"]
HOSTILE = """
import sys, wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", project="hostile", name=sys.argv[1], settings=settings)
for step in range(3):
    run.log({name: float(step) for name in sys.argv[2:]})
run.finish()
"""


@pytest.fixture
def hostile(script: Any) -> Path:
    """The folder of a run with hostile names, made by wandb."""
    script(HOSTILE, f"{IMAGE}{ESCAPE}", *NAMES)
    (folder,) = Path("wandb").glob("offline-run-*")
    return folder


def run_ups(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, as a user runs it."""
    command = [sys.executable, "-m", "ups", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_harmless(done: subprocess.CompletedProcess[str]) -> None:
    """Nothing that was printed commands a terminal."""
    for text in (done.stdout, done.stderr):
        assert all(line.isprintable() for line in text.splitlines()), text


def test_markdown_shows_names_as_text(hostile: Path) -> None:
    """In a job's summary no name is an image or a link, and each row of the table has its five cells."""
    done = run_ups("check", hostile, "--format", "markdown")
    assert_harmless(done)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(done.stdout)
    inside = [each for token in tokens for each in token.children or ()]
    assert not {"image", "link_open", "html_inline"} & {each.type for each in inside}
    codes = {each.content for each in inside if each.type == "code_inline"}
    assert {*NAMES[:3], *NAMES[4:]} <= codes
    cells = sum(token.type == "td_open" for token in tokens)
    assert cells == 5 * len(NAMES)


@pytest.mark.parametrize("command", ["check", "repair", "report", "export", "show", "evaluate"])
def test_no_path_commands_the_terminal(command: str, tmp_path: Path) -> None:
    """What a command says of a path that it cannot read, or of an argument that it does not take, is harmless."""
    folder = tmp_path / ESCAPE
    folder.mkdir()
    (folder / "run-x.wandb").write_bytes(b"no run")
    options = {"repair": ["--dry-run"], "report": ["-o", "out"], "export": ["--to", "csv", "-o", "out"]}
    unreadable = [str(folder / "run-x.wandb")] if command != "show" else []  # there it has a card
    for path in (*unreadable, str(folder / "nowhere"), f"--{ESCAPE}"):
        done = run_ups(command, *options.get(command, ()), path)
        assert done.returncode == 2, done
        assert "x1b]0;owned" in done.stderr
        assert_harmless(done)
    if command in ("report", "export"):
        done = run_ups(command, made_runs() / "staged", *options[command][:-1], folder / "out")
        assert done.returncode == 0, done
        assert_harmless(done)


def test_what_is_printed_of_a_hostile_run(hostile: Path) -> None:
    """The tree, the plan of a repair and its result hold no control character."""
    for arguments in ([], ["--dry-run"], ["-o", f"to{ESCAPE}"]):
        assert_harmless(run_ups("repair" if arguments else "check", hostile, *arguments))


def test_a_command_that_is_printed_can_be_pasted(tmp_path: Path) -> None:
    """The command after a repair, of a folder with blanks and a command in its name, syncs that folder alone."""
    into = tmp_path / "a b; $(touch owned)\x1b"
    done = run_ups("repair", made_runs() / "frozen", "-o", into)
    assert done.returncode == 0, done
    command = next(line.strip() for line in done.stdout.splitlines() if "wandb sync" in line)
    assert_harmless(done)
    said = subprocess.run(
        ["bash", "-c", f"wandb() {{ printf '%s\\n' \"$@\"; }}; {command}"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "\n".join(["sync", *map(str, into.iterdir())]) + "\n"
    assert not Path("owned").exists()


def test_the_command_for_a_run_that_waits_can_be_pasted() -> None:
    """A run in a folder with a blank, checked before it is delivered: the command that is printed delivers it."""
    with ups.create_wandb_context({}, mode="local", dir="a b") as ctx:
        ctx.stage("first").log(0, loss=1.0)
    done = run_ups("check", "a b")
    (command,) = [line.partition("deliver them: ")[2] for line in done.stderr.splitlines() if "deliver them" in line]
    pasted = command.replace("ups", f"{sys.executable} -m ups", 1) + " --mode offline"
    assert subprocess.run(["bash", "-c", pasted], env=os.environ, check=False, timeout=300).returncode == 0


def test_csv_holds_no_formula(hostile: Path) -> None:
    """A metric's name that a spreadsheet would compute is text in the table; the numbers are as they were."""
    assert run_ups("export", hostile, "--to", "csv", "-o", "run.csv").returncode == 0
    with Path("run.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {f"'{FORMULA}", "fine, too", "\\x1b]0;owned\\x07red"} <= rows[0].keys()
    assert [float(row[f"'{FORMULA}"]) for row in rows] == [0, 1, 2]
    assert "\x1b" not in Path("run.csv").read_text(encoding="utf-8")
