"""Follows a page: runs its snippets in order, as a reader would, in one folder."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from .given import INSTEAD, MAY_FIND, NAMES, STAND_INS, Given
from .snippets import ROOT, Page, Snippet
from .warm_processes import WarmProcesses

__all__ = ["follow"]

_TIMEOUT = 400  # seconds for a snippet; the machine may be busy
_TRAINING = re.compile(r"\$ ups (train|evaluate)\b")
_SIMULATOR = ("torch._dynamo", "ups.simulator.pipeline")  # what trainings import
_FRAMEWORKS = {
    "lightning": "lightning.pytorch.loggers",
    "transformers": "transformers.trainer",
    "accelerate": "accelerate",
}
_FILE = re.compile(r"# ([\w./-]+\.\w+)\n")  # the first line of a snippet that is a file


def follow(page: Page, folder: Path, given: Given, warm: WarmProcesses, server: dict[str, str]) -> None:
    """Run all snippets of a page.

    A block of Python that begins with a comment ``# name.py`` is that file, and run unless another uses it. Any
    other goes on where the block of Python before it ended, unless it begins with an import; all that belong together
    run as one script. A ``console`` block's commands must succeed, and print the lines that stand below them. A
    ``bash`` block is a script; of ``yaml``, the steps of a workflow and the hooks of pre-commit run.

    Args:
        page: What to follow.
        folder: Where; what commands write stays there.
        given: Files and runs that the page takes for granted.
        warm: Processes that commands and scripts are forks of.
        server: Environment variables that lead the wandb client to a W&B server.

    Raises:
        AssertionError: a snippet failed or printed other lines than it shows.
    """
    _Reader(page, folder, given, warm, server).follow()


class _Reader:
    def __init__(self, page: Page, folder: Path, given: Given, warm: WarmProcesses, server: dict[str, str]) -> None:
        self._page = page
        self._folder = folder  # moves with `cd`
        self._given = given
        self._warm = warm
        self._script: list[Snippet] = []  # blocks of Python that belong together
        beside = Path(sys.executable).parent
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(STAND_INS), str(beside), os.environ["PATH"]]),
            "BESIDE": str(beside),
            "ROOT": str(ROOT),
            "SERVER": " ".join(f"{name}={value}" for name, value in server.items()),
            "WANDB_MODE": "offline",  # no account, and no network
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1,localhost",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "agg",
        }

    def follow(self) -> None:
        run: dict[str, Callable[[Snippet], object]] = {
            "python": self._python,
            "console": self._console,
            "bash": lambda snippet: self._bash(snippet, snippet.text),
            "yaml": self._yaml,
            "json": lambda snippet: json.loads(snippet.text),
            "toml": lambda snippet: tomllib.loads(snippet.text),
            "doctest": self._doctest,
            "text": lambda snippet: None,
        }
        trainings = [line for each in self._page.snippets for line in each.commands() if _TRAINING.match(line)]
        scripts = [each.text for each in self._page.snippets if each.language == "python"]
        imports = [
            module
            for name, module in _FRAMEWORKS.items()
            if sum(re.search(rf"^(from|import) {name}\b", text, re.MULTILINE) is not None for text in scripts) > 1
        ]
        if len(trainings) > 2:
            imports += _SIMULATOR
        self._environment["WARM"] = str(self._warm.process(imports, self._environment))
        for snippet in self._page.snippets:
            assert snippet.language in run, (
                f"{snippet.where}: a block of {snippet.language or 'no language'} is not run; "
                f"say which it is: {', '.join(run)}"
            )
            if snippet.language != "python":
                self._run_script()
            if snippet.language not in ("text", "json", "toml"):
                self._given.give(snippet.text, self._folder, self._environment)
            run[snippet.language](snippet)
        self._run_script()

    def _python(self, snippet: Snippet) -> None:
        named = _FILE.match(snippet.text)
        body = ast.parse(snippet.text).body
        if named or (body and isinstance(body[0], (ast.Import, ast.ImportFrom))):
            self._run_script()
        if named is None:
            self._script.append(snippet)
            return
        self._write(named[1], snippet)
        used = rf"{re.escape(named[1])}|^(from|import) {Path(named[1]).stem}\b"
        others = [_FILE.sub("", other.text, count=1) for other in self._page.snippets]
        if not any(re.search(used, other, re.MULTILINE) for other in others):
            self._bash(snippet, f"python {named[1]}")

    def _run_script(self) -> None:
        """Run the blocks so far, after definitions of the names that they take for granted."""
        if not self._script:
            return
        snippets, self._script = self._script, []
        source = "\n".join(snippet.text for snippet in snippets)
        tree = ast.parse(source)
        imports = any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(tree))
        lines = []
        for name, line in _taken_for_granted(tree):
            assert line is not None, f"{snippets[0].where}: {name} is not defined"
            assert not (imports and line == f"import {name}"), f"{snippets[0].where}: the import of {name} is missing"
            lines.append(line)
        (self._folder / "snippet.py").write_text("\n".join([*lines, source]), encoding="utf-8")
        self._bash(snippets[0], "python snippet.py")

    def _doctest(self, snippet: Snippet) -> None:
        (self._folder / "example.txt").write_text(snippet.text, encoding="utf-8")
        self._bash(snippet, "python -m doctest -o ELLIPSIS example.txt")

    def _console(self, snippet: Snippet) -> None:
        """Run the commands of a block, each in the folder where the one before ended."""
        commands: list[tuple[str, list[str]]] = []
        for line in snippet.text.splitlines():
            if line.startswith("$ "):
                commands.append((line.removeprefix("$ "), []))
            elif commands and commands[-1][0].endswith("\\"):
                commands[-1] = (f"{commands[-1][0]}\n{line}", [])
            else:
                assert commands, f"{snippet.where}: a console block begins with a command: $ …"
                commands[-1][1].append(line)
        for command, shown in commands:
            printed = self._bash(snippet, command, may_find=MAY_FIND.match(command) is not None)
            missing = _first_missing(shown, printed)
            assert missing is None, f"{snippet.where}: $ {command}\ndid not print {missing!r} in its place:\n{printed}"

    def _yaml(self, snippet: Snippet) -> None:
        """Run what a CI workflow or pre-commit would run."""
        read = yaml.safe_load(snippet.text)
        if named := _FILE.match(snippet.text):
            self._write(named[1], snippet)
        jobs = read.get("jobs", {}).values()
        steps = [step for job in jobs for step in job["steps"]]
        hooks = [hook for repository in read.get("repos", []) for hook in repository["hooks"]]
        commands = [(step["run"], step.get("env", {})) for step in steps if "run" in step]
        commands += [(shlex.join([*shlex.split(hook["entry"]), *hook.get("args", ())]), {}) for hook in hooks]
        assert commands, f"{snippet.where}: neither a workflow's steps nor pre-commit's hooks"
        for command, environment in commands:
            exports = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in environment.items())
            self._bash(snippet, exports + command)

    def _write(self, name: str, snippet: Snippet) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text, encoding="utf-8")

    def _bash(self, snippet: Snippet, command: str, *, may_find: bool = False) -> str:
        """Run a command, go where it has gone to, and return what it printed."""
        for pattern, instead in INSTEAD:
            command = re.sub(pattern, instead, command)
        here = self._folder / ".here"
        process = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", f"trap 'pwd >{shlex.quote(str(here))}' EXIT\n{command}"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        expected = (0, 1) if may_find else (0,)
        assert process.returncode in expected, (
            f"{snippet.where}: exit status {process.returncode} of\n{command}\n\n{printed}"
        )
        self._folder = Path(here.read_text(encoding="utf-8").rstrip("\n"))
        here.unlink()
        return printed


def _taken_for_granted(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """The names that a script uses before it defines them, each with the lines that do; None if nothing is known of it.

    A name that is defined further down, as a function's may be, counts only if something is known of it.
    """
    last = {name: at for at, statement in enumerate(tree.body) for name in _defined(statement)}
    granted: set[str] = set(dir(builtins)) | {"__name__", "__file__"}
    for at, statement in enumerate(tree.body):
        granted |= _defined(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id not in granted:
                granted.add(node.id)
                lines = NAMES.get(node.id)
                if lines is not None or last.get(node.id, -1) < at:
                    yield node.id, lines


def _defined(statement: ast.AST) -> set[str]:
    """The names that a statement defines, also within itself."""
    defined = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            defined.add(node.id)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {(name.asname or name.name).partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
    return defined


def _first_missing(shown: Sequence[str], printed: str) -> str | None:
    """The first line shown that was not printed after those before it. ``…`` stands for anything, spaces for spaces."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown:
        parts = re.split(r" ?(?:…|\.\.\.) ?", " ".join(line.split()))
        pattern = ".*".join(re.escape(part) for part in parts)
        if line.strip() not in ("", "…", "...") and not any(re.fullmatch(pattern, one) for one in lines):
            return line
    return None
