"""``python -m ups.guard train.py …``: run a script, or ``-m module``, with every wandb run of it guarded."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from ups.errors import MissingDependency, UsageError
from ups.guard import guard
from ups.text import printable

_USAGE = "usage: python -m ups.guard [-m module | script.py] [arguments of the script …]"


def main(arguments: list[str], usage: str = _USAGE, begin: Callable[[], object] = guard) -> None:
    """Run the script or module that the arguments name, as Python itself would, once ``begin`` was called.

    Raises:
        UsageError: They name nothing that can be run; the message has ``usage``.
    """
    module = arguments[:1] == ["-m"]
    program = arguments[module : module + 1]
    if not program or program[0].startswith("-"):
        raise UsageError(usage)
    if not module and not Path(program[0]).exists():
        raise UsageError(f"{program[0]} does not exist; {usage}")
    sys.argv = arguments[module:]
    sys.path[0] = str(Path.cwd()) if module else str(Path(program[0]).resolve().parent)
    begin()
    if module:
        runpy.run_module(program[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(str(Path(program[0]).absolute()), run_name="__main__")  # __file__ holds also after os.chdir


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (MissingDependency, UsageError) as error:
        print(f"ups: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
