"""Runs whose files were made to stop the dashboard, or to take its memory: it shows them as far as it can."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import ups.dashboard.run_index
from dashboard.server import PATIENCE, Shown, eventually, show
from run_directories import row, write_run
from runfile.real_runs import wandb_file
from ups.dashboard.encoding import as_json, plain
from ups.dashboard.html_report import write_report
from ups.dashboard.media_files import Unknown, read_image, read_table
from ups.dashboard.opened_run import health_of
from ups.dashboard.run_index import RunIndex
from ups.runfile.chunks import BLOCK
from ups.runs import FoundRun
from ups.runs.source import Medium

PNG = b"\x89PNG\r\n\x1a\n"
MEGABYTE = 1024 * 1024


def journaled(folder: Path, *records: dict[str, Any]) -> Path:
    """A run directory with one row and some more records."""
    (folder / "journal").mkdir(parents=True)
    description = {"schema": 1, "run_id": folder.name, "mode": "local", "created": time.time()}
    (folder / "run.json").write_text(json.dumps(description))
    begin: dict[str, Any] = {"begin": {"pid": 1, "host": "elsewhere", "owner": True, "nth": 1}}
    logged = {"stage": "a", "step": 1, "values": {"loss": 1.0}}
    lines = [begin, logged, *records, {"end": {"exit_code": 0}}]
    (folder / "journal" / "p.jsonl").write_text("".join(json.dumps({"time": 1e9, **line}) + "\n" for line in lines))
    return folder


def with_deep_summary(target: Path) -> None:
    """A run of wandb whose summary has a key of thousands of parts."""
    from wandb.proto import wandb_internal_pb2

    shutil.copytree(wandb_file("staged").parent, target, symlinks=True)
    (file,) = target.glob("*.wandb")
    record = wandb_internal_pb2.Record()  # wandb's stub leaves it out
    item = record.summary.update.add()
    item.nested_key.extend(["a"] * 3000)
    item.value_json = "1"
    data = record.SerializeToString()
    content = file.read_bytes()
    assert len(data) + 7 < BLOCK
    if BLOCK - len(content) % BLOCK < len(data) + 7:
        content += bytes(BLOCK - len(content) % BLOCK)
    import zlib

    header = zlib.crc32(b"\x01" + data).to_bytes(4, "little") + len(data).to_bytes(2, "little") + b"\x01"
    file.write_bytes(content + header + data)


def test_a_summary_that_is_nested_deep(tmp_path: Path) -> None:
    """A run with such a summary is shown, judged in the background and reported."""
    with_deep_summary(tmp_path / "runs" / "deep")
    with show(tmp_path / "runs") as shown:
        (card,) = eventually(shown.runs, lambda runs: runs[0]["health"] is not None)
        run = shown.run(card["key"])
        assert run["card"]["state"] == "finished"
        assert run["card"]["health"]["full"] == 3
        (deep,) = [value for name, value in run["summary"].items() if name.startswith("a.a.a")]
        assert deep == 1  # under one long name
    done = subprocess.run(
        [sys.executable, "-m", "ups", "report", str(tmp_path / "runs" / "deep"), "-o", "report.html"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_json_that_is_nested_deep() -> None:
    """Whatever is nested however deep becomes JSON."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert b"\\u2026" in as_json({"deep": plain(deep), "big": 2**70})


def test_a_fault_in_one_run_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run over which the check stumbles gets a card that says so; the runs after it are judged."""
    for name in ("one", "two", "three"):
        shutil.copytree(wandb_file("staged").parent, tmp_path / name, symlinks=True)

    def stumbles(found: FoundRun, stop: Callable[[], bool]) -> Any:
        if "two" in str(found.path):
            raise RecursionError("too deep")
        return health_of(found, stop)

    monkeypatch.setattr(ups.dashboard.run_index, "health_of", stumbles)

    async def cards() -> dict[str, dict[str, Any]]:
        run_index = RunIndex([tmp_path])
        run_index.start()
        until = time.monotonic() + PATIENCE
        try:
            while True:
                cards = {Path(card["path"]).parent.name: card for card in await run_index.cards()}
                if all(card["health"] or card["state"] == "unreadable" for card in cards.values()):
                    return cards
                assert time.monotonic() < until, cards
                await asyncio.sleep(0.1)
        finally:
            await run_index.stop()

    shown = asyncio.run(cards())
    assert {name: card["state"] for name, card in shown.items()} == {
        "one": "finished",
        "two": "unreadable",
        "three": "finished",
    }
    assert "RecursionError: too deep" in shown["two"]["message"]


@pytest.mark.parametrize("created", ["yesterday", [1], {"a": 1}, None])
def test_a_description_of_wrong_types(created: Any, tmp_path: Path) -> None:
    """A run whose description holds what it must not is on a card of its own, and the others are shown."""
    path = journaled(tmp_path / "odd") / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": created}))
    journaled(tmp_path / "good")
    with show(tmp_path) as shown:
        states = {Path(card["path"]).name: card["state"] for card in shown.runs()}
        assert states.keys() == {"odd", "good"}
        assert states["good"] == "finished"


def test_a_name_with_half_a_surrogate_pair_is_in_the_report(tmp_path: Path) -> None:
    """A run's name that no UTF-8 can hold is written out; the report is made."""
    run = write_run(tmp_path / "r", [row(0)], name="half \ud800")
    write_report(run, tmp_path / "report.html")
    assert "<title>half \\ud800" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pipes_and_links_are_not_read(tmp_path: Path) -> None:
    """A run whose images and tables are pipes, devices or links out of it: each is refused at once, all together."""
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    home = tmp_path / "runs" / "hostile"
    names = ["pipe.png", "link.png", "folder.png", "through/secret.png", "zero.png", "table.json"]
    home.mkdir(parents=True)
    journaled(
        home / "run",
        *({"image": name, "path": name} for name in names[:-1]),
        {"table": names[-1], "path": names[-1]},
    )
    run = home / "run"
    os.mkfifo(run / "pipe.png")
    os.mkfifo(run / "table.json")
    (run / "link.png").symlink_to(tmp_path / "secret.png")
    (run / "folder.png").mkdir()
    (run / "through").symlink_to(tmp_path)
    (run / "zero.png").symlink_to("/dev/zero")
    with show(tmp_path / "runs") as shown:
        key = shown.runs()[0]["key"]
        media = shown.run(key)
        addresses = [f"/api/runs/{key}/images/{image['id']}" for image in media["images"]]
        addresses += [f"/api/runs/{key}/tables/{table['id']}" for table in media["tables"]]
        assert len(addresses) == len(names)
        with ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda address: shown.client.get(address, timeout=20), addresses * 15))
        assert {answer.status_code for answer in answers} == {404}
        assert not any(b"secret" in answer.content for answer in answers if "error" not in answer.json())


def test_a_link_that_is_put_there_meanwhile(tmp_path: Path) -> None:
    """However a folder is exchanged for a link while it is looked at, what lies outside is not read."""
    home, outside = tmp_path / "run", tmp_path / "outside"
    for folder in (home / "inner", outside):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(PNG + folder.name.encode())
    (home / "link").symlink_to(outside)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            for old, new in (("inner", "kept"), ("link", "inner"), ("inner", "link"), ("kept", "inner")):
                (home / old).rename(home / new)

    thread = threading.Thread(target=exchange)
    thread.start()
    got = set()
    try:
        for _ in range(3000):
            try:
                got.add(read_image(Medium("image", "a", home / "inner" / "a.png", 0.0), [home])[0])
            except Unknown:
                continue
    finally:
        stop.set()
        thread.join()
    assert got <= {PNG + b"inner"}


def memory_of(shown: Shown) -> float:
    """The most memory that a dashboard has had, in megabytes."""
    status = Path(f"/proc/{shown.process.pid}/status")
    if not status.exists():
        return float(psutil.Process(shown.process.pid).memory_info().rss) / MEGABYTE
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("kind", ["lists", "one row", "text"])
def test_a_table_that_takes_memory(kind: str, tmp_path: Path) -> None:
    """A table of 60 MB, whatever is in it, is shown in part, and takes no more than some hundred megabytes."""
    size = 60 * MEGABYTE
    cells = {
        "lists": "[[]]," * (size // 5),
        "one row": "[" + "[]," * (size // 3) + "0],",
        "text": '["' + "😀" * (size // 4) + '"],',
    }[kind]
    home = journaled(tmp_path / "run", {"table": "large", "path": "large.json"})
    (home / "large.json").write_text('{"columns": ["a"], "data": [' + '["first"],' + cells + '["last"]]}')
    with show(tmp_path) as shown:
        key = shown.runs()[0]["key"]
        eventually(lambda: shown.get(f"/api/runs/{key}"), lambda run: run["read"] == 1)
        before = memory_of(shown)
        (about,) = shown.get(f"/api/runs/{key}")["tables"]
        with ThreadPoolExecutor(2) as pool:
            address = f"/api/runs/{key}/tables/{about['id']}"
            tables = list(pool.map(lambda _: shown.get(address), range(2)))
        assert memory_of(shown) < 1000, f"{before:.0f} MB before"
    for table in tables:
        assert (table["columns"], table["rows"][0], table["partial"]) == (["a"], ["first"], True)
        assert table["rows"][-1] != ["last"]
    assert about["partial"]
    assert about["rows"] == len(tables[0]["rows"])


def test_the_first_rows_of_a_long_table(tmp_path: Path) -> None:
    """The rows that are read are whole, and the first ones; a table that is not too long is read to its end."""
    path = tmp_path / "t.json"
    medium = Medium("table", "t", path, 0.0)
    rows = [[number, str(number) * 60, None, float("nan")] for number in range(90_000)]
    for columns, key in ((["a", "b", "c", "d"], "data"), (['"data": [', "rows", "[", "é"], "rows")):
        path.write_text(json.dumps({"columns": columns, key: rows}))
        table = read_table(medium, [tmp_path])
        assert table.partial
        assert table.columns == columns
        assert 30_000 < len(table.rows) < 90_000
        assert [row[:3] for row in table.rows] == [row[:3] for row in rows[: len(table.rows)]]
        path.write_text(json.dumps({"columns": columns, key: rows[:1000]}))
        table = read_table(medium, [tmp_path])
        assert (len(table.rows), table.partial) == (1000, False)
    path.write_text(json.dumps({"data": list(range(2_000_000)), "columns": ["late"]}))
    with pytest.raises(Unknown, match="too long"):
        read_table(medium, [tmp_path])
