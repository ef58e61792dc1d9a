"""A stranger's run of a script that calls wandb itself is data: nothing in its records reads or writes outside it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from held import read_held
from run_directories import PROCESS, deliver, write_run
from wandb_server import WandBServer

SECRET = "BEGIN OPENSSH PRIVATE KEY"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
COMMANDS = (
    ("check", "RUN"),
    ("check", "RUN", "--format", "json"),
    ("export", "RUN", "--to", "csv", "-o", "OUT.csv"),
    ("export", "RUN", "--to", "json", "-o", "OUT.json"),
    ("report", "RUN", "-o", "OUT.html"),
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the person who has the run, with a file."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "id_ed25519").write_text(SECRET)
    return folder


def artifact(name: str, **more: Any) -> dict[str, Any]:
    """A record of an artifact."""
    return {"artifact_record": {"artifact": {"type": "t", "name": name, "digest": "d", **more}}}


def of_file(name: str, path: str) -> dict[str, Any]:
    """A record of an artifact whose one file lies at a path."""
    return artifact(name, manifest={"contents": [{"path": "f", "digest": "d", "local_path": path}]})


def with_files(run: Path, outside: Path) -> list[dict[str, Any]]:
    """Records that name files outside the run, with the links and manifests that they need."""
    secret = outside / "id_ed25519"
    relative = os.path.relpath(secret, run)
    for folder in ("files/media/images", "artifacts", "media"):
        (run / folder).mkdir(parents=True, exist_ok=True)
    (run / "files" / "link.txt").symlink_to(secret)
    (run / "files" / "folder").symlink_to(outside)
    os.mkfifo(run / "files" / "fifo")
    (run / "artifacts" / "link.txt").symlink_to(secret)
    (run / "artifacts" / "folder").symlink_to(outside)
    lines = [json.dumps({"path": "f", "digest": "d", "local_path": str(secret)})]
    for name, content in {"outward.gz": lines, "number.gz": ["7"], "long.gz": ["[" * 2_000_000]}.items():
        with gzip.open(run / "artifacts" / name, "wt") as file:
            file.write("\n".join(content))
    (run / "artifacts" / "text.gz").write_text("no gzip")
    kept = ["link.txt", "folder/id_ed25519", "fifo", "gone.txt", "media"]
    paths = [str(secret), relative, "artifacts/link.txt", "artifacts/folder/id_ed25519", "run.json", "/etc/passwd"]
    manifests = [str(secret), *(f"artifacts/{name}.gz" for name in ("outward", "number", "long", "text", "gone"))]
    return [
        *({"kept": {"path": path, "policy": policy}} for path in kept for policy in ("now", "live", "end")),
        *(of_file(f"file{number}", path) for number, path in enumerate(paths)),
        *(
            artifact(f"manifest{number}", manifest={"manifest_file_path": path})
            for number, path in enumerate(manifests)
        ),
        {
            "image": "i",
            "path": "media/none.png",
            "caption": None,
            "more": [{"path": relative}],
            "stage": "a",
            "step": 1,
        },
        {"table": "t", "path": str(secret), "stage": "a", "step": 1},
    ]


def of_wrong_form() -> Iterator[dict[str, Any] | bytes]:
    """Records that are not as a script's wandb writes them, or larger than any."""
    deep: Any = 1
    for _ in range(5_000):
        deep = {"d": deep}
    deep_text = "[" * 100_000 + "]" * 100_000
    for path in ("/etc/passwd", "../../run.json", "a/../../b", "", "a\0b", "x" * 5_000, 7, None):
        yield {"kept": {"path": path, "policy": "now"}}
    for name in ("../../x", "/etc/x", "a/b", "..", "", "x" * 500, 7, None):
        yield {"artifact_record": {"artifact": {"type": "t", "name": "n"}, "answer": name}}
    for kind in ("metric", "config_item", "summary_items", "run", "alert", "use_artifact", "artifact_record", "kept"):
        wrongs: list[Any] = [None, 7, "x", [], {}, [[]], {"name": 7, "path": 7, "update": 7, "title": 7}]
        for wrong in wrongs:
            yield {kind: wrong}
    long_path = ["p"] * 3_000
    yield {"config_item": {"path": long_path, "value": 1}}
    yield {"summary_items": {"update": [[long_path, 1]], "remove": [long_path]}}
    yield f'{{"time": 1, "log": {{"deep": {deep_text}}}}}\n'.encode()
    yield f'{{"time": 1, "config_item": {{"path": ["a"], "value": {deep_text}}}}}\n'.encode()
    yield f'{{"time": 1, "stage": "a", "step": 0, "values": {{}}, "media": {{"m": {deep_text}}}}}\n'.encode()
    yield {"metric": {"name": "*", "step_metric": "s", "summary": "max"}}
    yield {"metric": {"name": "x*", "summary": "everything"}}
    for number in (10**400, -(10**400), 2**63, 1e308, float("nan"), float("inf")):
        yield {"log": {"n": number}, "step": number}
        yield {"log": {"n": number}}
        yield {"summary_items": {"update": [[["n"], number]], "remove": []}}
        yield {"alert": {"title": "t", "text": "x", "level": "INFO", "wait_duration": number}}
        yield artifact("numbers", ttl_duration_seconds=number)
    yield {"log": {"_step": 7, "_timestamp": "soon", "_runtime": -1, "_wandb": {"x": 1}, "": 1, "\ud800": 1}}
    yield {"log": {"m": {"_type": "image-file", "path": "media/../../../../etc/passwd"}, "t": {"_type": "table-file"}}}
    yield {"log": {"m": {"_type": "table-file", "path": "/etc/passwd", "nrows": 10**30, "ncols": -1}}}
    yield {"log": {"m": {"_type": "images/separated", "filenames": 7, "captions": {"a": 1}}}}
    yield {"log": {"m": {"_type": {"x": 1}}, "n": {"_type": "histogram", "bins": "x"}}}
    yield {"stage": "a", "step": 0, "values": {}, "media": {"m": {"_type": "image-file", "path": "/etc/passwd"}}}
    yield {"use_artifact": {"id": ESCAPE, "type": ESCAPE, "name": ESCAPE}}
    yield {"run": {"name": ESCAPE, "notes": ESCAPE, "tags": [ESCAPE]}}
    yield {"kept": {"path": f"{ESCAPE}.txt", "policy": "now"}}
    yield of_file(ESCAPE, f"artifacts/{ESCAPE}")
    yield {"alert": {"title": ESCAPE, "text": ESCAPE, "level": "WARN"}}
    yield {"config_item": {"path": [ESCAPE], "value": ESCAPE}}
    yield {"config_item": {"path": ["_wandb"], "value": {"t": "x"}}}
    yield {"log": {ESCAPE: 1, "text": ESCAPE}}
    yield {"preempting": 7}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_leaked(run: Path, secret: Path) -> bool:
    """True where the secret stands in what delivery or wandb has written, links followed."""
    for below in ("wandb", "delivery"):
        for place, _, names in os.walk(run / below, followlinks=True):
            for path in (Path(place, name) for name in names):
                if path.resolve() == secret.resolve() or (path.is_file() and SECRET.encode() in path.read_bytes()):
                    return True
    return False


def lines_of(records: list[dict[str, Any] | bytes]) -> list[dict[str, Any] | bytes]:
    """Records with a time, as lines; half a surrogate pair as Python writes it."""
    return [record if isinstance(record, bytes) else {"time": 1.0, **record} for record in records]


def last_row(step: int) -> dict[str, Any]:
    """A row that is right."""
    return {"time": 2.0, "log": {"right": 1.0}, "step": step}


def test_no_file_outside_is_given_to_wandb(tmp_path: Path, outside: Path) -> None:
    """Paths, links, a FIFO and manifests that lead outward are refused with a line each, and cost nothing else."""
    run = tmp_path / "r"
    run.mkdir()
    records = with_files(run, outside)
    held = tmp_path / "held"
    run.rename(held)
    write_run(run, lines_of([*records, last_row(5)]))
    for folder in ("files", "artifacts", "media"):
        (held / folder).rename(run / folder)
    before = contents(outside)
    printed = deliver(run)
    assert not is_leaked(run, outside / "id_ed25519")
    assert contents(outside) == before
    for what in ("a file behind a link", "the file 'fifo'", "the artifact 'file0'", "an artifact", "the table"):
        assert what in printed
    assert [row["right"] for row in read_held(run).rows if "right" in row] == [1]
    for command in COMMANDS:
        run_command(command, run, tmp_path)
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.glob("OUT*"))
    assert contents(outside) == before


def run_command(command: tuple[str, ...], run: Path, folder: Path) -> str:
    """Run a command of UPS on a run; it ends by itself, with no traceback and no escape for a terminal."""
    arguments = [
        str(run) if word == "RUN" else str(folder / word) if word.startswith("OUT") else word for word in command
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ups", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    printed = done.stdout + done.stderr
    assert done.returncode in (0, 1, 2), printed
    assert "Traceback" not in printed, printed
    assert "\x1b]" not in printed
    assert "\x1b[2J" not in printed
    return printed


def test_records_of_wrong_form_cost_themselves_alone(tmp_path: Path) -> None:
    """Wrong types, huge numbers, deep nesting and terminal escapes: the row after them arrives, and nothing crashes."""
    run = write_run(tmp_path / "r", [*lines_of(list(of_wrong_form())), last_row(10**6)])
    for command in COMMANDS:
        run_command(command, run, tmp_path)
    printed = deliver(run)
    assert "\x1b]" not in printed
    assert [row["right"] for row in read_held(run).rows if "right" in row] == [1]
    assert "damaged lines" in printed
    for command in COMMANDS:
        run_command(command, run, tmp_path)


@pytest.mark.parametrize("folder", ["answers", "manifests"])
def test_a_folder_of_deliverys_that_is_a_link_is_not_written_to(tmp_path: Path, outside: Path, folder: str) -> None:
    """Where an answer or a manifest would be written."""
    given = artifact("n", manifest={"manifest_file_path": "artifacts/m.gz"})
    given["artifact_record"]["answer"] = "the-answer"
    run = write_run(tmp_path / "r", lines_of([given, last_row(1)]))
    (run / "artifacts").mkdir()
    with gzip.open(run / "artifacts" / "m.gz", "wt") as file:
        file.write("{}\n")
    (run / "delivery" / folder).symlink_to(outside)
    before = contents(outside)
    assert "is a link" in deliver(run)
    assert contents(outside) == before


def test_a_configuration_asks_no_other_server(
    tmp_path: Path, wandb_server: WandBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that names an artifact of another server is text: nobody there is sent a key."""
    with WandBServer() as theirs:
        named = f"wandb-artifact://{theirs.url}/e/p/name:v0"
        records: list[dict[str, Any] | bytes] = [
            {"config_item": {"path": ["own"], "value": named}},
            {"config_item": {"path": ["a", "b"], "value": {"c": named}}},
            {"config": {"of_ups": named, "below": {"c": named}}},
        ]
        config = {"given": named, "nested": {"x": named}, "lr": 1}
        run = write_run(tmp_path / "r", lines_of([*records, last_row(1)]), mode="online", config=config)
        for name, value in wandb_server.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        deliver(run)
        assert theirs.requests == []
        held = wandb_server.run("r").config
        assert held["given"] == held["own"] == held["of_ups"] == named
        assert held["nested"] == {"x": named}
        assert held["lr"] == 1


def test_a_run_names_no_folder_to_link_in(tmp_path: Path, outside: Path) -> None:
    """``wandb_folder`` is for the delivery that a script itself has started."""
    run = write_run(tmp_path / "r", [last_row(1)], wandb_folder=str(outside))
    before = sorted(outside.iterdir())
    deliver(run)
    assert sorted(outside.iterdir()) == before
    assert (run / "journal" / f"{PROCESS}.jsonl").exists()
