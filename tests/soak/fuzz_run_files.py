"""Mutated ``.wandb`` files, through every part of UPS that reads one.

``python -m soak.fuzz_run_files FIRST COUNT FOLDER`` tries a range of seeds, writes each file in the folder, and prints
what did not hold.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from memory import peak_memory
from soak.mutants import HISTORY, KEY, NESTED_KEY, SOURCES, STEP, VALUE_JSON, fields_of, mutant, records_of, write_case
from ups.check import check_run
from ups.dashboard.html_report import report_html
from ups.dashboard.opened_run import open_path
from ups.errors import UPSError
from ups.repair import plan_lines, plan_repair, write_repair
from ups.report import as_data, as_markdown, render_tree
from ups.runfile import Run
from ups.runfile.items import Form
from ups.runfile.table import write_csv
from ups.runs import open_run

LONGEST = 20.0  # seconds that a file may take
MOST_MEMORY = 1 << 30  # bytes above what the process has when it begins


def read_all_ways(file: Path, scratch: Path) -> Iterator[tuple[str, Run | None]]:
    """Go through everything that reads a ``.wandb`` file: what it was, then the run where that is what it gives."""
    run = open_run(file)
    check = check_run(run)
    as_data([check])
    yield "check", run
    if len(check.findings) < 50:
        as_markdown([check])
        render_tree(check)
    _ = run.summary, run.config, run.lost_rows
    write_csv(run, scratch / "run.csv")
    yield "export", None
    opened = open_path(file)
    try:
        opened.read_all()
        report_html(opened)
    finally:
        opened.close()
    yield "report", None
    plan = plan_repair(run, run_id="copy")
    plan_lines(plan)
    written = write_repair(plan, scratch / "repaired")
    yield "repair", None
    check_run(open_run(written.folders[0]))
    yield "check of the copy", None


def unread(run: Run, intact: list[bytes]) -> Counter[tuple[int, str, str]]:
    """The values of intact rows that the run does not hold, by step and name."""
    wanted: Counter[tuple[int, str, str]] = Counter()
    for record in dict.fromkeys(intact):
        wanted.update(_values_of(record))
    held: Counter[tuple[int, str, str]] = Counter()
    steps = run._columns.steps()
    for name in {name for _, name, _ in wanted}:
        column = run.column(name)
        if column is not None:
            numbers = column.forms == Form.NUMBER
            rows, values = steps[column.rows[numbers]], column.values[numbers]
            held.update(
                (step, name, repr(float(value))) for step, value in zip(rows.tolist(), values.tolist(), strict=True)
            )
    return wanted - held


def _values_of(record: bytes) -> Iterator[tuple[int, str, str]]:
    """The numbers in a history record: its step, their names and values; read without UPS."""
    for number, _, row in fields_of(record) or ():
        if number != HISTORY or not isinstance(row, bytes):
            continue
        step, values = 0, []
        for kind, _, content in fields_of(row) or ():
            assert isinstance(content, bytes)
            inside = fields_of(content) or []
            if kind == STEP:
                step = next((each.content for each in inside if isinstance(each.content, int)), 0)
                continue
            names = [
                each.content.decode()
                for each in inside
                if each.number in (KEY, NESTED_KEY) and isinstance(each.content, bytes)
            ]
            text = next((each.content for each in inside if each.number == VALUE_JSON), b"null")
            assert isinstance(text, bytes)
            value = json.loads(text)
            if isinstance(value, int | float) and names and not names[0].startswith("_"):
                values.append((".".join(names), float(value)))
        yield from ((step, name, repr(value)) for name, value in values)


def run_seed(seed: int, folder: Path) -> str | None:
    """Try the file of one seed; what did not hold, or None."""
    case = mutant(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = write_case(case, seed, folder)
    began, done = time.monotonic(), "opening"
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    print(f"seed {seed}", file=sys.stderr)  # the last line, where the process is ended
    try:
        for done, run in read_all_ways(file, folder):  # noqa: B007 - said where it ends early
            if run is not None and seed % 5 and (missing := unread(run, case.intact)):
                return f"{case.how}: {missing.total()} intact values were not read: {list(missing)[:3]}"
    except UPSError as error:
        return f"{case.how}: {type(error).__name__} after {done}: {str(error)[:200]}" if case.intact else None
    except Exception:  # noqa: BLE001 - any at all is what is looked for
        return f"{case.how}, after {done}:\n{traceback.format_exc()[-2500:]}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    took = time.monotonic() - began
    return f"{case.how}: took {took:.1f} s" if took > LONGEST / 4 else None


def main(first: int, count: int, folder: Path) -> int:
    """Try the files of a range of seeds; how many did not hold."""
    for name in SOURCES:
        records_of(name)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_MEMORY, hard))
    failed = 0
    for seed in range(first, first + count):
        problem = run_seed(seed, folder)
        if problem is not None:
            failed += 1
            print(f"seed {seed}: {problem}", flush=True)
    most = peak_memory() >> 10
    print(f"{count} files, {failed} did not hold; at most {most} MB")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
