"""The process of one tracker: opens a run, and logs rows on command.

    python -m peers.worker TRACKER FOLDER        commands on stdin, answers on stdout, one JSON object per line
    python -m peers.worker --held TRACKER FOLDER prints the steps of the rows that the folder holds

Commands: ``{"do": "log", "rows": N, "compute": SECONDS}`` logs rows with that much arithmetic before each, and answers
the ``seconds`` of each call; with ``"silent": true`` only how many have been ``logged``. ``{"do": "loop", "steps": N,
"work": M, "log": BOOL}`` takes steps of M matrix products each, and answers ``seconds``. ``{"do": "finish"}`` closes
the run.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from peers.trackers import HELD, OPEN, Log

MATRIX = np.random.default_rng(0).random((64, 64))


def timed(log: Log, first: int, rows: int, compute: float) -> list[float]:
    """Seconds that each of ``rows`` calls took, with ``compute`` seconds of arithmetic before each."""
    values = [(random.random(), random.random() * 1e-3, random.random() * 5) for _ in range(rows)]
    matrix = MATRIX
    clock = time.perf_counter
    taken = []
    for step, (loss, lr, grad_norm) in enumerate(values, first):
        until = clock() + compute
        while clock() < until:
            matrix @ matrix
        start = clock()
        log(step, loss, lr, grad_norm)
        taken.append(clock() - start)
    return taken


def loop(log: Log | None, first: int, steps: int, work: int) -> float:
    """Seconds that ``steps`` steps took, each ``work`` matrix products, and a row where there is ``log``."""
    values = [(random.random(), random.random() * 1e-3, random.random() * 5) for _ in range(steps)]
    matrix = MATRIX
    start = time.perf_counter()
    for step, (loss, lr, grad_norm) in enumerate(values, first):
        for _ in range(work):
            matrix @ matrix
        if log is not None:
            log(step, loss, lr, grad_norm)
    return time.perf_counter() - start


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a tracker prints does not come between the answers

    def answer(content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    *options, name, folder = sys.argv[1:]
    if options == ["--held"]:
        answer(HELD[name](Path(folder)))
        return
    tracker = OPEN[name](Path(folder))
    answer({"opened": name})
    logged = 0
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "log":
            taken = timed(tracker.log, logged, command["rows"], command["compute"])
            logged += command["rows"]
            answer({"logged": logged} if command.get("silent") else {"logged": logged, "seconds": taken})
        elif command["do"] == "loop":
            seconds = loop(tracker.log if command["log"] else None, logged, command["steps"], command["work"])
            logged += command["steps"] if command["log"] else 0
            answer({"logged": logged, "seconds": seconds})
        else:
            tracker.finish()
            answer({"logged": logged})
            return


if __name__ == "__main__":
    main()
