"""``ups doctor``: the parts that UPS needs here, tested, and what to do about those that fail."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import click

import ups
from ups import terminal
from ups.errors import MissingDependency, RunDirectoryError, RunFileError, UPSError
from ups.extras import installation
from ups.terminal import has_unicode, styled
from ups.text import printable

__all__ = ["command"]

_DISTRIBUTION = "ups-tracking"
_TIMEOUT = 10.0  # seconds that the server may take to answer
_TRIAL_TIMEOUT = 120.0  # seconds
_UNTIL_THEN = "WANDB_MODE=offline"
_LITTLE_ROOM = 1_000_000_000  # bytes
_OPTIONAL = re.compile(r"""([A-Za-z0-9._-]+).*;\s*extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")
_SHOWN = ("WANDB_", "UPS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

_MARKS = {"ok": ("✓", "+"), "note": ("•", "-"), "wrong": ("✗", "x")}  # the second where there is only ASCII
_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}

_TRIAL = """
import sys, ups
with ups.create_wandb_context({}, mode=sys.argv[1], dir=sys.argv[2], stages=["first", "second"]) as ctx:
    for name in ("first", "second"):
        for step in range(3):
            ctx.stage(name).log(step, loss=1 / (step + 1))
print(ctx.dir)
"""


@dataclass(frozen=True)
class _Fact:
    """The result of one test.

    Attributes:
        state: ``ok``; ``note``, something to know; ``wrong``, something that keeps UPS from working.
        do: What to do about it; "" for nothing.
    """

    about: str
    state: Literal["ok", "note", "wrong"]
    found: str
    do: str = ""


@click.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people or programs.")
def command(form: str) -> None:
    """Test the versions, folders, W&B server and credentials that UPS needs, and a small run.

    Credentials are never shown. The run is offline, or local where wandb is missing, in a temporary folder, and is
    read back. Exit status: 0 if UPS works here, with W&B's server or without; 1 if not.

    \b
    Example:
      ups doctor
      ups doctor --format json
    """
    looks: tuple[Callable[[], Iterator[_Fact]], ...] = (
        _versions,
        _extras,
        _folder,
        _environment,
        _server,
        _undelivered,
        _trial,
    )
    facts: list[_Fact] = []
    for look in looks:
        for fact in look():
            facts.append(fact)
            if form == "text":
                _print(fact)
    wrong = any(fact.state == "wrong" for fact in facts)
    if form == "json":
        click.echo(json.dumps({"works": not wrong, "found": [asdict(fact) for fact in facts]}, indent=1))
    else:
        see = f"UPS does not work here: see {_mark('wrong')} above."
        click.echo(f"\n{see if wrong else 'UPS works here.'}")
    sys.exit(int(wrong))  # wandb looks at an exit's code, and takes a truth value for none


def _print(fact: _Fact) -> None:
    terminal.echo(f"{styled(_mark(fact.state), _STYLES[fact.state])} {fact.about:<12} {printable(fact.found)}")
    if fact.do:
        terminal.echo(styled(f"{'':15}{printable(fact.do)}", "bold" if fact.state == "wrong" else "dim"))


def _mark(state: str) -> str:
    drawn, plain = _MARKS[state]
    return drawn if has_unicode(sys.stdout) else plain


def _versions() -> Iterator[_Fact]:
    yield _Fact("UPS", "ok", f"{ups.__version__}, in {Path(ups.__file__).parent}")
    yield _Fact("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield _Fact("machine", "ok", f"{platform.platform()}, {os.cpu_count()} cores")


def _extras() -> Iterator[_Fact]:
    """The packages of each extra that are installed, and those that are missing."""
    extras: dict[str, dict[str, str | None]] = {}
    try:
        requirements = requires(_DISTRIBUTION) or ()
    except PackageNotFoundError:
        found = f"not known: {_DISTRIBUTION} is on the path, but not installed"
        yield _Fact("extras", "note", found, "pip install . in the clone")
        return
    for requirement in requirements:
        if named := _OPTIONAL.match(requirement):
            extras.setdefault(named[2], {})[named[1]] = _version(named[1])
    extras.pop("all", None)
    for extra, packages in sorted(extras.items()):
        if None in packages.values():
            lacking = ", ".join(name for name, has in packages.items() if has is None)
            yield _Fact(extra, "note", f"without {lacking}", f"if you want it: {installation(extra)}")
        else:
            yield _Fact(extra, "ok", ", ".join(f"{name} {has}" for name, has in packages.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _folder() -> Iterator[_Fact]:
    from ups.journal.run_directory import runs_folder

    folder = runs_folder().absolute()
    exists = next(path for path in (folder, *folder.parents) if path.exists())
    do = "change to a folder that you can write to, or set WANDB_DIR to one"
    if not os.access(exists, os.W_OK | os.X_OK):
        yield _Fact("runs", "wrong", f"{folder} cannot be written", do)
        return
    free = shutil.disk_usage(exists).free
    found = f"go into {folder}, {free / 1e9:,.1f} GB free"
    yield _Fact("runs", "note", found, do) if free < _LITTLE_ROOM else _Fact("runs", "ok", found)


def _environment() -> Iterator[_Fact]:
    """The variables that change what UPS and wandb do; the value of one that may hold a secret is left out."""
    from ups.credentials import without_user
    from ups.tracking.provenance import SECRET_VARIABLE

    shown = []
    for name, value in sorted(os.environ.items()):
        if name.upper().startswith(_SHOWN):  # a proxy's address may have a password in it
            shown.append(f"{name} is set" if SECRET_VARIABLE.search(name) else f"{name}={without_user(value)}")
    yield _Fact("environment", "ok", ", ".join(shown) or "no variable changes what UPS or wandb do")


def _server() -> Iterator[_Fact]:
    from ups.credentials import credentials_source, server_address, without_user
    from ups.installed_wandb import check_wandb
    from ups.tracking.mode import resolve_mode

    try:
        mode = resolve_mode(None)
        mode_fact = _Fact("mode", "ok", f"runs are {mode} by default")
        if mode in ("online", "offline"):
            check_wandb()
    except MissingDependency as error:
        mode_fact = _Fact("mode", "note", f"runs are {mode} by default, and {error}")
    except UPSError as error:
        mode = None
        mode_fact = _Fact("mode", "wrong", str(error), "correct WANDB_MODE, or unset it")
    address, source = without_user(server_address()), credentials_source()
    if not address.startswith(("http://", "https://")):  # wandb refuses any other, and no run would begin
        do = "write http:// or https:// before it, where it is set: WANDB_BASE_URL, or wandb's settings file"
        yield _Fact("server", "wrong", f"{address} is not a server's address", do)
        yield mode_fact
        return
    answer = _ask(server_address())
    if answer is None:
        yield _Fact("server", "ok", f"{address} answers")
    else:
        do = "until then: runs are offline or mode='local', for 'wandb sync' or 'ups deliver' later"
        if mode == "online":
            do = f"until then: {_UNTIL_THEN}; the rows of an online run wait in its journal for 'ups deliver'"
        yield _Fact("server", "note", f"{address} does not answer: {answer}", do)
    if source is None:
        do = f"to see runs in W&B: wandb login{'' if address.endswith('coreweave.com') else ' --host ' + address}"
        yield _Fact("credentials", "note", f"none for {address}", do)
    elif _version("wandb") is None:
        yield _Fact("credentials", "ok", f"in {source}, not tried")
    else:
        yield _credentials(source, answers=answer is None, used=mode == "online")
    yield mode_fact


def _ask(address: str) -> str | None:
    """Ask a server: return None if it answers, also with a refusal, else the error."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)


def _credentials(source: str, *, answers: bool, used: bool) -> _Fact:
    """Test the credentials' form with wandb, and ask the server, if it answers, for their owner.

    Args:
        source: The place of the credentials.
        answers: True where the server answers.
        used: True where a run would need them.
    """
    from ups.delivery.server import WrongCredentials, account_name

    do = f"wandb login --relogin; until then: {_UNTIL_THEN}"
    try:
        name = account_name(int(_TIMEOUT) if answers else 1)
    except WrongCredentials as error:
        found = f"in {source}, but wandb refuses them: {error}"
        return _Fact("credentials", "wrong" if used else "note", found, do)
    if name is not None:
        return _Fact("credentials", "ok", f"in {source}, of {name}")
    if not answers:
        return _Fact("credentials", "ok", f"in {source}, not tried")
    return _Fact("credentials", "note", f"in {source}, but the server refuses them", do)


def _undelivered() -> Iterator[_Fact]:
    """Runs here of which W&B lacks rows, and that no process delivers."""
    from ups.journal import MANIFEST
    from ups.journal.run_directory import RunDirectory, runs_folder
    from ups.journal.waiting import waits

    for manifest in sorted(runs_folder().absolute().glob(f"*/{MANIFEST}")):
        directory = RunDirectory(manifest.parent)
        try:
            if directory.delivery_is_running() or directory.living() or not waits(directory):
                continue
        except (RunDirectoryError, OSError) as error:
            yield _Fact("run", "note", f"{directory.path}: {error}")
        else:
            yield _Fact("run", "note", f"{directory.path} is not in W&B", directory.deliver_command())


def _trial() -> Iterator[_Fact]:
    """Track a small run without a server, in a process of its own, and read it back."""
    from ups.check import check_run
    from ups.installed_wandb import check_wandb
    from ups.runs import open_run

    mode, done_to_it = "offline", "tracked, delivered and read back"
    try:
        check_wandb()
    except MissingDependency:
        mode, done_to_it = "local", "tracked and read back"
    with tempfile.TemporaryDirectory(prefix="ups-doctor-", ignore_cleanup_errors=True) as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
        try:
            done = subprocess.run(
                [sys.executable, "-c", _TRIAL, mode, folder],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_TRIAL_TIMEOUT,
                check=True,
            )
            checked = check_run(open_run(Path(done.stdout.strip())))
        except subprocess.CalledProcessError as error:
            yield _Fact("trial", "wrong", f"a small {mode} run failed", error.stderr.strip().rpartition("\n")[2])
            return
        except (subprocess.TimeoutExpired, RunFileError) as error:
            yield _Fact("trial", "wrong", f"a small {mode} run failed: {error}")
            return
    full = sum(chart.verdict == "full" for chart in checked.charts)
    found = f"a small {mode} run was {done_to_it}: {full} of 2 charts full"
    yield _Fact("trial", "ok" if full == 2 else "wrong", found)
