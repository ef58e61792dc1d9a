"""The actions of a guard on each call of a run, decided from the calls alone.

Nothing here knows wandb, reads or writes: the same calls give the same actions. ``guarded_run`` performs them.
"""

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

from ups.guard.axes import Axes, Definition
from ups.guard.drawable import flat, same
from ups.guard.notices import Notices
from ups.guard.place import ALONE, Place
from ups.guard.row_plan import Rows
from ups.guard.wandb_step import WandbStep, leaves_open
from ups.text import shown

__all__ = ["Actions", "Decisions"]

_DEFINITION = ("step_metric", "step_sync", "hidden", "summary", "overwrite")  # the order of define_metric's arguments


class Actions(NamedTuple):
    """The actions on one call, in this order.

    Attributes:
        definitions: Calls of ``define_metric`` to make.
        row, step, commit: The arguments of ``log``.
        notices: The lines to print.
        filled: The axes that wandb fills in for the row.
        judged: False where wandb will refuse the call, which then passes unchanged.
    """

    row: dict[str, Any]
    step: int | None
    commit: bool | None
    definitions: tuple[Definition, ...] = ()
    notices: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()
    judged: bool = True


class Decisions:
    """A run as a guard knows it.

    When the guard came, the run had ``begun`` rows (None where W&B takes no ``step=``), and perhaps a summary. Unless
    the guard came ``from_init``, definitions may have been made before.

    Attributes:
        beside_others: True once other processes log to the run.
    """

    def __init__(
        self, begun: int | None = 0, summary: Mapping[str, Any] | None = None, *, from_init: bool = True
    ) -> None:
        self._notices = Notices()
        self._wandb_step = WandbStep(begun)
        self._axes = Axes(self._notices, summary or {}, from_init=from_init)
        self._rows = Rows(self._axes, self._notices, from_start=not begun)
        self.beside_others = False

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> Actions:
        """Decide on a call of ``log``. Call :meth:`logged` when wandb has taken it."""
        if not _can_judge(data, step):
            return Actions(data, step, commit, judged=False)
        if step is None and commit is not False and (self._wandb_step.is_between or self.beside_others):
            actions = Actions(self._rows.row(data, ALONE), None, commit)
        elif self.beside_others:
            actions = self._beside_others(data, step, commit)
        else:
            actions = self._numbered(data, None if step is None else operator.index(step), commit)
        return self._complete(actions)

    def define_metric(self, name: str, *args: Any, **options: Any) -> Actions:
        """Decide on a call of ``define_metric`` that the script has made; the actions have no row to log."""
        self._axes.script_defined(name, **dict(zip(_DEFINITION, args, strict=False)), **options)
        self._rows.forget_plans()
        return self._complete(Actions({}, None, None))

    def logged(self, actions: Actions, data: dict[str, Any], step: int | None, commit: bool | None) -> None:
        """Note that wandb has taken the row of a call, which the script made with these arguments."""
        wandb_step = self._wandb_step
        if actions.step is None and step is None and commit is not False and wandb_step.is_between and actions.judged:
            wandb_step.skip()
            return
        if not actions.judged or self.beside_others:
            return
        if leaves_open(actions.step, actions.commit):
            row, given = flat(actions.row), flat(data)
        else:
            row = given = {}  # the row is closed with this call
        wandb_step.logged(
            actions.step, step, actions.commit, row, given, filled=actions.filled, ended=not leaves_open(step, commit)
        )

    def other_processes(self, *, known: bool = False) -> None:
        """Note that other processes log to the run from here on, so that its numbers are no longer known.

        ``known``: One of them has reported it.
        """
        self.beside_others = True
        if known:
            self._notices.silence("processes")

    def fault(self, error: Exception) -> tuple[str, ...]:
        """The lines to print where wandb could not take a call."""
        self._notices.add(
            "fault", lambda: f"wandb takes no more rows ({error}): the run ends here, and the training continues"
        )
        return self._notices.take()

    def summary(self) -> str:
        """All counts as one line; empty where nothing was counted."""
        return self._notices.summary()

    def _numbered(self, data: dict[str, Any], step: int | None, commit: bool | None) -> Actions:
        """A call with ``step=``, or one that may not be a row by itself."""
        wandb_step = self._wandb_step
        beside, belongs = wandb_step.beside(step)
        late = wandb_step.is_late(step, flat(data) if wandb_step.moved else data)
        moved, cut = wandb_step.moved_to(step), wandb_step.cut_from(step)
        place = Place(belongs, late, beside, leaves_open(step, commit), moved, cut)
        row = self._rows.row(data, place)
        number = step
        if wandb_step.values or late:
            names = flat(row)
            if step is None:
                if wandb_step.is_taken(names):
                    assert wandb_step.current is not None
                    number = wandb_step.current + 1
                    commit = None if commit is False else True
            elif late or wandb_step.is_late(step, names):  # by an axis that was put into the row
                number = wandb_step.free(step, names)
                commit = None  # so that the loop's next row can have this number
                self._kept(step, number)
            if number is None or number == wandb_step.current:
                self._written_over(names)
        return Actions(row, number, commit, filled=frozenset(self._rows.filled))

    def _beside_others(self, data: dict[str, Any], step: int | None, commit: bool | None) -> Actions:
        """A call where other processes log too: W&B counts, and ``step=`` is an axis."""
        number = None if step is None else operator.index(step)
        if number is not None:
            self._notices.add(
                "processes",
                lambda: (
                    f"several processes log to this run, and W&B would drop what comes with step={number}: "
                    "its rows are logged without it, and the step is an axis of its own"
                ),
            )
        place = Place(number, number is not None, {}, commit is False)
        return Actions(self._rows.row(data, place), None, commit)

    def _kept(self, step: int, number: int) -> None:
        current = self._wandb_step.current
        self._notices.add(
            "kept",
            lambda: f"W&B is at step {current} and would drop the row of step={step}; it is kept as row {number}",
        )

    def _written_over(self, names: Mapping[str, Any]) -> None:
        """Note values that the open row holds and that are given again, so that the first is gone."""
        values = self._wandb_step.values
        for name, value in names.items():
            if name in values and not same(values[name], value):
                self._overwritten(name, values[name], value)

    def _overwritten(self, name: str, first: object, second: object) -> None:
        def message() -> str:
            plain = all(isinstance(value, (int, float, str)) for value in (first, second))
            kept = f"{shown(second)}, not {shown(first)}" if plain else "only the last"
            return f"{name} is logged twice in a row that is still open: W&B keeps {kept}"

        self._notices.add("overwritten", message)

    def _complete(self, actions: Actions) -> Actions:
        axes, notices = self._axes, self._notices
        if axes.waiting or notices.waiting:
            return actions._replace(definitions=axes.take(), notices=notices.take())
        return actions


def _can_judge(data: object, step: object) -> bool:
    """True where wandb will take these arguments; otherwise wandb itself reports the error."""
    if type(data) is not dict and not isinstance(data, Mapping):
        return False
    for name in data:  # a loop, since this is on the way of every row
        if not isinstance(name, str):
            return False
    if step is not None and type(step) is not int:
        if isinstance(step, bool):
            return False
        try:
            operator.index(step)  # type: ignore[arg-type]
        except TypeError:
            return False
    return True
