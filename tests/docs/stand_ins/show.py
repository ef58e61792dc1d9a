"""``ups show`` with any arguments: its page and its runs are asked for, and Ctrl-C ends it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from dashboard.server import show

port = ("--port", "0")  # that of the page may be in use here
arguments = sys.argv[1:]
while "--port" in arguments:
    at = arguments.index("--port")
    del arguments[at : at + 2]
with show(*(argument for argument in arguments if argument != "--no-open"), options=port) as shown:
    assert shown.client.get("/").text.startswith("<!doctype html>"), "no page"
    assert shown.runs(), "there is no run to show"
    print(shown.address)
