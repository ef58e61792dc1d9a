"""The progress of a training: bars on a terminal, a few plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

__all__ = ["Reporter"]

_LINES = 5
_SMOOTHING = 0.95


class Reporter:
    """Reports a training's progress to a person, by default on stdout; it prints nothing unless it is ``heard``."""

    def __init__(self, console: Console | None = None, *, heard: bool = True) -> None:
        self.console = console or Console(quiet=not heard)

    def line(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
        """Print a table, its numbers with three digits."""
        table = Table(box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in rows:
            table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
        self.console.print(table)

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Callable[[int, float], None]]:
        """Show a stage of ``steps`` steps while the block runs, ``done`` of them done already.

        Gives the function to call with each step and its loss. The loss shown is a moving average.
        """
        mean: float | None = None

        def advance(step: int, loss: float) -> None:
            nonlocal mean
            mean = loss if mean is None else _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            show(step, mean)

        if self.console.is_terminal:
            with self._bar(name, done, steps) as show:
                yield advance
        else:
            show = self._lines(name, done, steps)
            yield advance

    @contextmanager
    def _bar(self, name: str, done: int, steps: int) -> Iterator[Callable[[int, float], None]]:
        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Bars(*columns, console=self.console) as bars:
            bar = bars.add_task(name, total=steps, completed=done, loss="")
            yield lambda step, loss: bars.update(bar, completed=step, loss=f"{loss:.3e}")

    def _lines(self, name: str, done: int, steps: int) -> Callable[[int, float], None]:
        started = time.monotonic()

        def show(step: int, loss: float) -> None:
            if step * _LINES // steps > (step - 1) * _LINES // steps:
                per_step = (time.monotonic() - started) / (step - done)
                left = f"{(steps - step) * per_step:.0f} s left" if step < steps else "done"
                self.line(f"{name:<20} {step:>6}/{steps}  loss {loss:.3e}  {1e3 * per_step:.0f} ms per step, {left}")

        return show
