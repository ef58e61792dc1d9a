"""``ups run train.py …``: run a script, or ``-m module``, with every wandb run of it journaled and delivered by UPS."""

import sys

from ups.dropin.turn_on import turn_on
from ups.errors import UsageError
from ups.guard.__main__ import main
from ups.text import printable

_USAGE = "usage: ups run [-m module | script.py] [arguments of the script …]"

if __name__ == "__main__":
    try:
        main(sys.argv[1:], _USAGE, turn_on)
    except UsageError as error:
        print(f"ups: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
