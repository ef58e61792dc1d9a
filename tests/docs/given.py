"""What a snippet takes for granted: names, files and runs of the reader's training; and what is run in its place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .snippets import ROOT

__all__ = ["INSTEAD", "MAY_FIND", "NAMES", "STAND_INS", "Given"]

STAND_INS = Path(__file__).parent / "stand_ins"
"""Commands that need a network, a cluster or hours; each says why, and what it does instead."""

INSTEAD = [
    (r"\bCOMMAND\b", "check"),  # a placeholder for any of them
    (r'eval "\$\((ups completion zsh)\)"', r"\1 | grep -q compdef"),  # in bash, zsh's is only looked at
    (r"(ups completion fish) \| source", r"\1 | grep -q complete"),
]
"""Parts of a command line, and what stands in for them where a command of another name cannot."""

MAY_FIND = re.compile(r"^((uvx --from ups-tracking )?ups check\b(?!.*--fail-on never)|ups doctor\b|pytest\b)")
"""Commands whose exit status 1 says that they found something, which is what a page shows them for."""

NAMES = {
    "loss": "loss = 0.5",
    "step": "step = 1",
    "offset": "offset = 10",
    "last": "last = 10",
    "torch": "import torch",
    "wandb": "import wandb",
    "run": 'import wandb\nrun = wandb.init(project="snippets")',
    "train": 'train = lambda run: run.log({"loss": 0.5})',
    "model": "import torch\nmodel = torch.nn.Linear(1, 1)\nmodel(torch.ones(1)).backward()",
}
"""Names that a snippet of a line or two uses and does not define, and the lines that do."""

_TRAIN = '''
"""The reader's own script: logs to wandb, and takes any arguments."""
import wandb
with wandb.init(project="snippets") as run:
    run.define_metric("training/operator/*", step_metric="training/operator/step")
    for step in range(30):
        run.log({"training/operator/loss": 1 / (step + 1), "training/operator/step": step})
'''

_RUN = r"ups-runs/(?=[a-z]*\d)[a-z0-9]{8}\b"  # as W&B would call one; a page calls its own run by a word


class Given:
    """Puts what a snippet names, and no snippet before has made, into the reader's folder.

    Runs are made by the real client, once for all pages where they need not be the page's own.

    Args:
        store: A folder to keep them in.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._environment: dict[str, str] = {}

    def give(self, text: str, folder: Path, environment: dict[str, str]) -> None:
        """Look through a snippet that is to run in ``folder`` and ``environment``."""
        self._environment = environment
        table: list[tuple[str, Callable[[Path], object]]] = [
            (rf"(?<=--resume ){_RUN}|(?<=evaluate ){_RUN}", self._trained),
            (_RUN, self._tracked),
            (r"\bwandb(?=/(?:latest-run|offline-run|\s|$)| --)", self._broken),
            (r"\brun-[a-z0-9]{8}\.wandb\b", self._one_file),
            (r"\btrain\.py\b", lambda path: path.write_text(_TRAIN, encoding="utf-8")),
            (r"\bmy\.training\b", lambda path: path.write_text(_TRAIN, encoding="utf-8")),
            (r"\b(?:train\.sbatch|deliver\.sh)\b", self._of_the_slurm_example),
        ]
        for pattern, make in table:
            for found in re.findall(pattern, text, re.MULTILINE):
                path = folder / (found if found != "my.training" else "my/training.py")
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    make(path)

    def _tracked(self, path: Path) -> None:
        """A run of UPS."""
        made = self._store / "tracked"
        if not made.exists():
            self._run([sys.executable, ROOT / "examples" / "plain_loop.py"], self._store / "tracking")
            (run_dir,) = (self._store / "tracking" / "ups-runs").glob("[!.]*")
            run_dir.rename(made)
        shutil.copytree(made, path, symlinks=True)

    def _trained(self, path: Path) -> None:
        """The run of the simulator that the page has trained, or one that is trained now."""
        if not any(path.parent.glob("*/checkpoints")):
            self._run([STAND_INS / "ups", "train"], path.parents[1])
        newest = max(path.parent.glob("*/checkpoints"), key=lambda checkpoints: checkpoints.stat().st_mtime)
        shutil.copytree(newest.parent, path, symlinks=True)

    def _broken(self, path: Path) -> None:
        """Runs of a training that counts ``step=`` from 0 in each stage and never logs its axis."""
        made = self._store / "broken"
        if not made.exists():
            self._run([sys.executable, ROOT / "tests" / "runfile" / "made_runs.py", made, "naive"], self._store)
        shutil.copytree(made / "naive" / "wandb", path, symlinks=True)

    def _one_file(self, path: Path) -> None:
        """A run's .wandb file alone."""
        self._broken(path.parent / ".broken")
        (file,) = path.parent.glob(".broken/offline-run-*/*.wandb")
        shutil.copyfile(file, path)

    def _run(self, command: list[str | Path], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, cwd=folder, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _of_the_slurm_example(path: Path) -> None:
        shutil.copytree(ROOT / "examples" / "slurm_array", path.parent, dirs_exist_ok=True)
