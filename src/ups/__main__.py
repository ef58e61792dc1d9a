"""``python -m ups``: the command line."""

from ups.cli import main

main()
