"""The provenance of a run: program, machine and checkout, as a plain wandb run has them.

The training process notes them itself, since delivery is another process, perhaps on another machine.
"""

import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ups.credentials import configured_server, without_user
from ups.journal.run_manifest import OF_THE_RUN
from ups.tracking.config import MASK, is_secret

__all__ = ["SECRET_VARIABLE", "provenance"]

SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PROXY|HEADER", re.IGNORECASE)


def provenance() -> dict[str, Any]:
    """The fields of :class:`~ups.journal.run_manifest.RunManifest` about where a run is made."""
    program, server = _program(), configured_server()
    root, commit, remote = _git()
    return {
        "host": socket.gethostname(),
        "program": program,
        "program_path": _relative(program, root),
        "arguments": tuple(_masked(sys.argv[1:])),
        "executable": sys.executable,
        "python": platform.python_version(),
        "working_directory": str(Path.cwd()),
        "git_root": root,
        "git_commit": commit,
        "git_remote": remote,
        "environment": {name: os.environ[name] for name in sorted(OF_THE_RUN & os.environ.keys())},
        "base_url": without_user(server) if server is not None else None,
    }


def _program() -> str | None:
    """The script, as wandb names it: its path, or ``-m module``."""
    named = os.environ.get("WANDB_PROGRAM")
    if named:
        return named
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return f"-m {spec.name.removesuffix('.__main__')}"
    file = getattr(main, "__file__", None)
    return str(Path(file).resolve()) if file else None


def _relative(program: str | None, root: str | None) -> str | None:
    if program is None or program.startswith("-m "):
        return None
    try:
        return str(Path(program).resolve().relative_to(root or Path.cwd()))
    except ValueError:
        return None


def _git() -> tuple[str | None, str | None, str | None]:
    """The root, commit and remote of the git checkout around the working directory."""
    if os.environ.get("WANDB_DISABLE_GIT", "").lower() in ("1", "true"):
        return None, None, None
    root = _ask_git("rev-parse", "--show-toplevel")
    if root is None:
        return None, None, None
    remote = _ask_git("remote", "get-url", os.environ.get("WANDB_GIT_REMOTE", "origin"))
    if remote is not None:
        remote = _without_secret(remote)
    return root, _ask_git("rev-parse", "HEAD"), remote


def _without_secret(remote: str) -> str:
    """A remote's address without a password; of HTTP also without the user's name, which may be a token."""
    remote = re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:@", remote)
    return re.sub(r"^(https?://)[^/@]*@", r"\1", remote)


def _masked(arguments: list[str]) -> Iterator[str]:
    """The command line's arguments, with the values masked whose name is a secret's (:func:`is_secret`)."""
    name = ""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and is_secret(key, value):
            yield f"{key}={MASK}"
        elif name and not argument.startswith("-") and is_secret(name, argument):
            yield MASK
        else:
            yield argument
        name = argument if argument.startswith("-") and not equals else ""


def _ask_git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
