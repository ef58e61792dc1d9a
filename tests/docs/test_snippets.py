"""Whoever follows a document word for word gets what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from wandb_server import API_KEY, WandBServer

from .follow import follow
from .given import Given
from .snippets import ROOT, Page, Snippet, commands, documents, inline_code, pages
from .warm_processes import WarmProcesses


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """What pages take for granted."""
    return Given(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmProcesses]:
    """Processes that commands and scripts are forks of."""
    started = WarmProcesses()
    yield started
    started.end()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_snippet_of_a_page_runs(page: Page, given: Given, warm: WarmProcesses, wandb_server: WandBServer) -> None:
    """Followed from the first snippet to the last, each command succeeds and prints what the page shows."""
    follow(page, Path.cwd(), given, warm, {"WANDB_BASE_URL": wandb_server.url, "WANDB_API_KEY": API_KEY})
    if any("wandb sync" in snippet.text for snippet in page.snippets if snippet.language in ("console", "bash")):
        assert wandb_server.runs, "nothing was synced"
        assert all(run.history for run in wandb_server.runs.values())


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("console", "$ ups check nowhere\n", "exit status 2"),
        ("console", "$ echo 1 of 2 charts full\n2 of 2 charts full\n", "did not print '2 of 2 charts full'"),
        ("console", "$ printf 'b\\na\\n'\na\n…\nb\n", "did not print 'b'"),
        ("console", "$ pip install 'ups-tracking[nothing]'\n", "there is no extra nothing"),
        ("console", "$ python benchmarks/nothing.py\n", "benchmarks/nothing.py"),
        ("console", "$ make nothing\n", "No rule to make target"),
        ("console", "$ ups show\n", "there is no run to show"),
        ("python", "import ups\nwandb.init()\n", "the import of wandb is missing"),
        ("python", "nobody.knows()\n", "nobody is not defined"),
        ("python", "# train.py\nraise SystemExit(3)\n", "exit status 3"),
        ("yaml", "jobs: {a: {steps: [{run: ups check}]}}\n", "exit status 2"),
        ("doctest", ">>> 1 + 1\n3\n", "Expected"),
        ("", "ups check wandb\n", "a block of no language is not run"),
    ],
)
def test_a_snippet_that_does_not_do_what_it_says_is_told(
    language: str, text: str, said: str, given: Given, warm: WarmProcesses
) -> None:
    """Of each kind of snippet, one that fails or prints something else fails its page, and the message says why."""
    with pytest.raises(AssertionError, match=re.escape(said)):
        follow(Page("page.md", (Snippet("page.md:1", language, text),)), Path.cwd(), given, warm, {})


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_in_a_sentence_exists(path: Path) -> None:
    """What stands as `ups …` in a text names a command and options that there are."""
    known = commands()
    for code in inline_code(path):
        words = shlex.split(code) if code.startswith("ups ") else []
        if len(words) < 2 or words[1].startswith("-") or words[1] == "COMMAND":
            continue
        command = known.get(f"ups {words[1]}")
        assert command is not None, f"`{code}`: there is no command {words[1]}"
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options |= set(command.get_help_option_names(click.Context(command)))
        for word in words[2:]:
            assert not word.startswith("-") or word.partition("=")[0] in options, f"`{code}`: there is no {word}"
