"""The command line as a whole: its tour, mistyped commands, completion."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import ups.cli

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def bash(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in bash, where ``ups`` is on the path."""
    return subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PATH": PATH}, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_help_tours_every_command() -> None:
    """``ups --help`` lists each module that has a command, once."""
    told = bash("ups --help").stdout
    folder = Path(ups.cli.__file__).parent
    commands = {path.stem for path in folder.glob("*.py") if "\ndef command(" in path.read_text()} - {"__init__"}
    listed = [line.split()[0] for line in told.splitlines() if line[:2] == "  " and line[2:3].isalpha()]
    assert len(commands) > 5
    assert {name: listed.count(name) for name in commands} == dict.fromkeys(commands, 1)


def test_a_mistyped_command_is_told_the_nearest() -> None:
    """``ups chek`` fails with the name of the command that was meant."""
    done = bash("ups chek wandb")
    assert done.returncode == 2
    assert "there is no command 'chek'; did you mean 'check'?" in done.stderr


def test_bash_completes_commands_options_and_choices() -> None:
    """With what ``ups completion bash`` prints, bash completes what is typed."""
    typed = {
        "ups re": ["report", "repair"],
        "ups chekc re": ["report", "repair"],  # mistyped: no complaint into the prompt
        "ups check --fa": ["--fail-on"],
        "ups check --fail-on w": ["warning"],
        "ups train --problem b": ["burgers"],
    }
    for line, expected in typed.items():
        words = line.split()
        done = bash(
            f'eval "$(ups completion bash)"; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1};'
            ' _ups_completion ups; echo "${COMPREPLY[@]}"'
        )
        assert (done.stdout.split(), done.stderr) == (expected, "")


def test_ctrl_c_ends_a_command_with_130() -> None:
    """Interrupted while it waits for a server, ``ups doctor`` says so and exits as shells have it.

    What it found until then it has told, with numbers for what cannot be printed.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        doctor = subprocess.Popen(
            [sys.executable, "-m", "ups", "doctor"],
            env=os.environ | {"WANDB_BASE_URL": address, "WANDB_DIR": "größer", "PYTHONIOENCODING": "ascii"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            doctor.send_signal(signal.SIGINT)
            told, errors = doctor.communicate(timeout=300)
    assert (doctor.returncode, errors) == (130, "\nAborted!\n")
    assert "+ runs         go into" in told
    assert "gr\\xf6\\xdfer" in told
