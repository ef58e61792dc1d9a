"""``ups run train.py …``: run a script, or ``-m module``, under ``ups.guard()``."""

import runpy
import sys
from pathlib import Path

from ups.errors import MissingDependency, UsageError
from ups.guard import guard
from ups.text import printable

_USAGE = "usage: ups run [-m module | script.py] [arguments of the script …]"


def main(arguments: list[str]) -> None:
    """Run the script or module that the arguments name, as Python itself would.

    Raises:
        UsageError: They name nothing that can be run.
    """
    module = arguments[:1] == ["-m"]
    program = arguments[module : module + 1]
    if not program or program[0].startswith("-"):
        raise UsageError(_USAGE)
    if not module and not Path(program[0]).exists():
        raise UsageError(f"{program[0]} does not exist; {_USAGE}")
    sys.argv = arguments[module:]
    sys.path[0] = str(Path.cwd()) if module else str(Path(program[0]).resolve().parent)
    guard()
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
