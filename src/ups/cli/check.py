"""``ups check``: the charts of a run that show a line, and why the others do not."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ups import terminal
from ups.check import CODES, RunCheck, Severity, check_run, explain, worst
from ups.cli.output import echo
from ups.errors import RunFileError, UPSError, UsageError
from ups.report import annotation, as_annotations, as_data, as_markdown, render_tree, summary_line, write_summary
from ups.runs import FoundRun, find_runs, read_run
from ups.terminal import bar, has_unicode, redrawn_line, styled, width
from ups.text import command_line

_WORTH_A_BAR = 50_000_000  # bytes; less is read before a bar is seen


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "github"]),
    default="text",
    show_default=True,
    help="A tree for people, one JSON object for programs, Markdown for a report, or annotations of a GitHub Actions"
    " job, whose summary gets the Markdown.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    help="Exit with status 1 at a finding of at least this severity.",
)
@click.option(
    "--explain", "code", metavar="CODE", type=click.Choice(CODES), help="Print the page on a finding, and stop."
)
def command(paths: tuple[Path, ...], form: str, fail_on: str, code: str | None) -> None:
    """Report which charts of the runs at PATH show a line, and why the others do not.

    PATH is a .wandb file, a run's directory (W&B's or UPS's), or a folder of runs. A run may still be training.
    Exit status: 0 nothing found, 1 something found, 2 something could not be read.

    \b
    Example:
      ups check wandb/latest-run
      ups check wandb --format json --fail-on warning
      ups check --explain frozen
    """
    if code is not None:
        click.echo(explain(code), nl=False)
        return
    if not paths:
        raise click.UsageError("name at least one PATH: a .wandb file, a run's directory or a folder of runs")
    unreadable: list[str] = []
    waiting: list[Path] = []
    checks = list(_check(_find(paths, unreadable), waiting, unreadable))
    if form == "json":
        click.echo(json.dumps(as_data(checks), indent=1, allow_nan=False))
    elif checks and form == "markdown":
        click.echo(as_markdown(checks), nl=False)
    elif checks and form == "text":
        _print_trees(checks)
    lacking = "is read from its journal, since W&B lacks rows. To deliver them:"
    notes = [f"{path} {lacking} {command_line('ups', 'deliver', path)}" for path in waiting]
    if form == "github":
        _annotate(checks, notes, unreadable)
    else:
        for message in (*notes, *unreadable):
            echo(f"ups: {message}", err=True)
    severity = worst(finding for check in checks for finding in check.findings)
    found = severity is not None and severity.rank >= Severity(fail_on).rank
    sys.exit(2 if unreadable else 1 if found else 0)


def _find(paths: tuple[Path, ...], unreadable: list[str]) -> list[FoundRun]:
    """The runs at all paths, each once; errors are added to ``unreadable``."""
    runs: dict[tuple[Path, ...], FoundRun] = {}
    errors: list[RunFileError] = []
    for path in paths:
        try:
            for run in find_runs(path, unreadable=errors):
                runs.setdefault(tuple(file.resolve() for file in run.files or (run.path,)), run)
        except RunFileError as error:
            errors.append(error)
    unreadable += dict.fromkeys(map(str, errors))
    return list(runs.values())


def _check(found: list[FoundRun], waiting: list[Path], unreadable: list[str]) -> Iterator[RunCheck]:
    """The checks of the runs; ``waiting`` takes the paths of runs of which W&B may lack rows."""
    with _progress(sum(each.size for each in found)) as advance:
        for each in found:
            try:
                run = read_run(each, advance)
                yield check_run(run)
            except UPSError as error:
                unreadable.append(str(error))
            else:
                waiting += [run.path] if run.is_journaled else []


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on a terminal's stderr while many bytes are read, removed at the end."""
    if size < _WORTH_A_BAR or not sys.stderr.isatty():
        yield None
        return
    done, began, unicode = 0, time.monotonic(), has_unicode(sys.stderr)
    with redrawn_line(sys.stderr) as draw:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            left = (time.monotonic() - began) * (size - done) / max(done, 1)
            share = f"{done / 1e6:,.0f} of {size / 1e6:,.0f} MB, {max(left, 0):.0f} s left"
            draw(f"reading {bar(done / size, unicode=unicode)} {share}")

        yield advance


def _annotate(checks: list[RunCheck], notes: list[str], unreadable: list[str]) -> None:
    """Print workflow commands only: a name in any other line could be one, too."""
    lines = [annotation(Severity.ERROR, "ups check", message) for message in unreadable]
    lines += as_annotations(checks)
    lines += [annotation(Severity.INFO, "ups check", message) for message in notes]
    for line in lines:
        click.echo(line)
    click.echo(summary_line(checks))
    if checks and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        try:
            write_summary(checks, Path(summary))
        except OSError as error:
            raise UsageError(f"the job's summary {summary} cannot be written: {error.strerror}") from None


def _print_trees(checks: list[RunCheck]) -> None:
    for check in checks:
        terminal.echo(render_tree(check, width=width(), unicode=has_unicode(sys.stdout)))
        terminal.echo()
    terminal.echo(styled(summary_line(checks), "bold"))
    found = [finding for check in checks for finding in check.findings]
    if found:
        terminal.echo(styled(f"Read more: ups check --explain {found[0].code}", "dim"))
    if repairable := sum(finding.repairable for finding in found):
        terminal.echo(styled(f"{repairable:,} can be repaired in a copy: ups repair RUN -o DIR", "dim"))
