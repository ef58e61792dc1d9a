"""``run.summary`` while a script trains answers what plain wandb answers offline, and W&B ends with the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alone import run_alone
from held import read_held

SCRIPT = Path(__file__).with_name("summary_answers.py")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the script run plainly, and with the drop-in; each with what it has printed."""
    made = []
    for under in ((), ("-m", "ups.guard")):
        folder = tmp_path_factory.mktemp("summary")
        (folder / "printed").write_text(run_alone(folder, *under, SCRIPT).stdout)
        made.append(folder)
    return made[0], made[1]


def answers(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The answer to each reading of the summary, as text: 4 is another answer than 4.0."""
    found = json.loads((folder / "printed").read_text().split("ANSWERS ", 1)[1].splitlines()[0])
    return [(what, {name: json.dumps(value, sort_keys=True) for name, value in held.items()}) for what, held in found]


def test_the_summary_answers_as_plain_wandbs_does(folders: tuple[Path, Path]) -> None:
    """Last values, aggregates by definition, nested values, what the script sets and removes; their types too."""
    plain, journaled = map(answers, folders)
    assert [what for what, _ in journaled] == [what for what, _ in plain]
    for (what, one), (_, other) in zip(plain, journaled, strict=True):
        assert other == one, what


def test_wandb_ends_with_the_same_summary(folders: tuple[Path, Path]) -> None:
    """Of the plain run, and of the journaled one."""
    plain, journaled = (
        {name: value for name, value in read_held(folder).summary.items() if not name.startswith("_")}
        for folder in folders
    )
    assert str(journaled) == str({name: plain[name] for name in journaled})
    assert journaled.keys() == plain.keys()
