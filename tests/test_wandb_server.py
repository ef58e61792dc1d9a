"""The test server, seen by the real wandb client."""

from __future__ import annotations

import http.client
import json
import math
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from waiting import wait_for
from wandb_server import SYNCS_IN_PYTHON, Fault, Run, WandBServer, run_client, run_sync, word_after

SYNCS_IN_CORE = pytest.mark.skipif(SYNCS_IN_PYTHON, reason="the 'wandb sync' of this wandb is the one in Python")

STAGES = ("operator", "diffusion_residual", "consistency_distill")

THREE_STAGES = """
    import wandb

    run = wandb.init(
        project="pde", id="three", name="three stages", group="g", notes="n", tags=["a", "b"],
        config={"lr": 0.1, "net": {"width": 32}},
    )
    for stage in ("operator", "diffusion_residual", "consistency_distill"):
        for step in range(100):
            run.log({f"training/{stage}/loss": 1 / (step + 1), f"training/{stage}/step": step})
    run.log({"odd": float("nan"), "wide": float("-inf")})
    run.alert("Title", "what happened", level="WARN")
    print("said on the console")
    run.finish()
"""

LOG_ROWS = """
    import sys
    import wandb

    first, count = int(sys.argv[1]), int(sys.argv[2])
    run = wandb.init(project="pde", id="rows", config={"lr": 0.1}, tags=["kept"])
    for number in range(first, first + count):
        run.log({"loss": number}, step=number, commit=True)
    run.finish()
"""

RESUME = """
    import wandb

    for exit_code in (0, 3):
        run = wandb.init(project="pde", id="resumed", resume="allow", config={"lr": 0.1}, tags=["kept"])
        print(f"STEPS{exit_code}", run.step, run.starting_step, run.resumed)
        for number in range(10):
            run.log({"loss": number})
        run.finish(exit_code)
    try:
        wandb.init(project="pde", id="unknown", resume="must")
    except wandb.errors.UsageError as error:
        print("RAISED", error)
"""

READ_BACK = """
    import json
    import wandb

    run = wandb.Api().run("tester/pde/three")
    print("READ", json.dumps({
        "state": run.state,
        "last": run.lastHistoryStep,
        "config": dict(run.config),
        "tags": run.tags,
        "summary": run.summary["training/operator/loss"],
        "keys": run.history_keys["keys"]["training/operator/loss"],
        "all": len(list(run.scan_history())),
        "some": list(run.scan_history(keys=["training/operator/loss", "training/operator/step"]))[-1],
        "page": [row["_step"] for row in run.scan_history(page_size=4, min_step=5, max_step=15)],
        "history": len(run.history(pandas=False)),
    }))
"""

MEDIA = """
    import time
    from pathlib import Path
    import numpy
    import wandb

    run = wandb.init(project="pde", id="media")
    run.log({"table": wandb.Table(columns=["x"], data=[[1], [2]]), "image": wandb.Image(numpy.zeros((4, 4)))})
    Path("weights.txt").write_text("weights")
    artifact = wandb.Artifact("checkpoint", "model")
    artifact.add_file("weights.txt")
    run.log_artifact(artifact, aliases=["best"]).wait(timeout=100)
    run.alert("Title", "text")
    started = time.time()
    run.finish()
    print("VERSION", artifact.version, "FINISHED", time.time() - started < 60)
"""


def losses(run: Run) -> list[int]:
    return [row["loss"] for row in run.history]


class TestOnline:
    def test_three_stages_arrive_whole(self, wandb_server: WandBServer, tmp_path: Path) -> None:
        """Every row, and all that stands beside the rows, is on the server when `finish` returns."""
        run_client(wandb_server, tmp_path, THREE_STAGES, WANDB_X_SAVE_REQUIREMENTS="true")
        run = wandb_server.run("three")
        for stage in STAGES:
            wanted = [(1 / (step + 1), step) for step in range(100)]
            points = run.points(f"training/{stage}/loss", f"training/{stage}/step")
            assert points == [(pytest.approx(loss), step) for loss, step in wanted]
        assert [row["_step"] for row in run.history] == list(range(301))
        assert math.isnan(run.history[-1]["odd"])
        assert run.history[-1]["wide"] == -math.inf
        assert run.config == {"lr": 0.1, "net": {"width": 32}}
        assert run.summary["training/consistency_distill/step"] == 99
        assert (run.name, run.group, run.notes, run.tags) == ("three stages", "g", "n", ["a", "b"])
        assert (run.entity, run.project, run.last_step) == ("tester", "pde", 300)
        assert (run.state, run.exit_code, run.complete) == ("finished", 0, True)
        assert "said on the console\n" in run.output
        assert [(alert.title, alert.text, alert.severity) for alert in run.alerts] == [
            ("Title", "what happened", "WARN")
        ]
        assert {"config.yaml", "wandb-metadata.json", "requirements.txt"} <= set(run.files)
        assert wandb_server.unknown_operations == []

        read = json.loads(word_after(run_client(wandb_server, tmp_path, READ_BACK), "READ"))
        assert read == {
            "state": "finished",
            "last": 300,
            "config": {"lr": 0.1, "net": {"width": 32}},
            "tags": ["a", "b"],
            "summary": 0.01,
            "keys": {"typeCounts": [{"type": "number", "count": 100}]},
            "all": 301,
            "some": {"training/operator/loss": 0.01, "training/operator/step": 99} | read["some"],
            "page": list(range(5, 15)),
            "history": 301,
        }
        assert wandb_server.unknown_operations == []

    def test_resume_goes_on(self, wandb_server: WandBServer, tmp_path: Path) -> None:
        """A resumed run continues at `starting_step`; `run.step` says 0 until the first row."""
        output = run_client(wandb_server, tmp_path, RESUME)
        run = wandb_server.run("resumed")
        assert word_after(output, "STEPS0") == "0 0 False"
        assert word_after(output, "STEPS3") in (
            "0 10 True",
            "10 10 True",
        )  # before wandb 0.23 or so, `step` says it too
        assert [row["_step"] for row in run.history] == list(range(20))
        assert (run.config, run.tags, run.state, run.exit_code) == ({"lr": 0.1}, ["kept"], "failed", 3)
        assert "RAISED" in output

    def test_media_and_artifacts_arrive(self, wandb_server: WandBServer, tmp_path: Path) -> None:
        """Tables, images, artifacts and alerts are uploaded, and `finish` waits for no answer in vain."""
        output = run_client(wandb_server, tmp_path, MEDIA)
        run = wandb_server.run("media")
        assert word_after(output, "VERSION") == "v0 FINISHED True"
        assert any(name.startswith("media/images/image_0") for name in run.files)
        assert any(name.startswith("media/table/table_0") for name in run.files)
        table, checkpoint = sorted(wandb_server.artifacts, key=lambda artifact: artifact.type, reverse=True)
        assert (table.type, table.state, list(table.files)) == ("run_table", "COMMITTED", ["table.table.json"])
        assert (checkpoint.name, checkpoint.state) == ("checkpoint", "COMMITTED")
        assert checkpoint.files == {"weights.txt": b"weights"}
        assert "best" in checkpoint.aliases
        assert b"weights.txt" in checkpoint.manifest
        assert len(run.alerts) == 1
        assert wandb_server.unknown_operations == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two offline sessions of one run: rows 0 to 99, and 100 to 149."""
    directory = tmp_path_factory.mktemp("offline")
    nowhere = WandBServer()
    for first, count in ((0, 100), (100, 50)):
        run_client(nowhere, directory / str(first), LOG_ROWS, str(first), str(count), WANDB_MODE="offline")
    one, two = (next((directory / name / "wandb").glob("offline-run-*-rows")) for name in ("0", "100"))
    # Segments are told apart, and put in order, by the second in their names.
    return one.rename(one.with_name("offline-run-20260101_000000-rows")), two


@pytest.fixture
def segments(recorded: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    first, second = (Path(shutil.copytree(one, tmp_path / "wandb" / one.name)) for one in recorded)
    return first, second


class TestSync:
    def test_every_row_lands_once(self, wandb_server: WandBServer, tmp_path: Path, segments: tuple[Path, Path]) -> None:
        """Two segments of one run are joined, and a marker beside each keeps a second sync from doubling it."""
        first, second = segments
        run_sync(wandb_server, tmp_path, first, second)
        run = wandb_server.run("rows")
        assert losses(run) == list(range(150))
        assert [row["_step"] for row in run.history] == list(range(150))
        assert (run.state, run.exit_code, run.config, run.tags) == ("finished", 0, {"lr": 0.1}, ["kept"])
        if not SYNCS_IN_PYTHON:  # which sends what it is given by name, whatever the marker
            assert "Skipped 2 synced run(s)" in run_sync(wandb_server, tmp_path, first, second)
            assert len(run.history) == 150

    @SYNCS_IN_CORE
    def test_the_marker_is_all_that_keeps_rows_from_doubling(
        self, wandb_server: WandBServer, tmp_path: Path, segments: tuple[Path, Path]
    ) -> None:
        """`wandb sync` appends to what the server has, and never looks at what that is."""
        first, _ = segments
        run_sync(wandb_server, tmp_path, first)
        (first / "run-rows.wandb.synced").unlink()
        run_sync(wandb_server, tmp_path, first)
        assert losses(wandb_server.run("rows")) == [*range(100), *range(100)]

    @SYNCS_IN_CORE
    def test_a_segment_that_ends_between_records_is_taken_as_failed(
        self, wandb_server: WandBServer, tmp_path: Path, segments: tuple[Path, Path]
    ) -> None:
        """Without its exit record, a whole segment is synced, the run has failed, and the next one follows."""
        first, second = segments
        damaged = first / "run-rows.wandb"
        ends = list(record_ends(damaged.read_bytes()))
        damaged.write_bytes(damaged.read_bytes()[: ends[len(ends) // 2]])
        run_sync(wandb_server, tmp_path, first)
        run = wandb_server.run("rows")
        kept = len(run.history)
        assert 0 < kept < 100
        assert (run.state, run.exit_code) == ("failed", 1)
        run_sync(wandb_server, tmp_path, first, second)
        assert losses(run) == [*range(kept), *range(100, 150)]

    @SYNCS_IN_CORE
    @pytest.mark.parametrize("cut", [3, 12], ids=["in the header", "in the payload"])
    def test_a_torn_segment_blocks_the_next(
        self, cut: int, wandb_server: WandBServer, tmp_path: Path, segments: tuple[Path, Path]
    ) -> None:
        """A record that is cut short ends the sync with an error, a status of 0, and nothing of the rest."""
        first, second = segments
        torn = first / "run-rows.wandb"
        ends = list(record_ends(torn.read_bytes()))
        torn.write_bytes(torn.read_bytes()[: ends[len(ends) // 2] + cut])
        assert "ends with an incomplete record" in run_sync(wandb_server, tmp_path, first, second)
        run = wandb_server.run("rows")
        assert losses(run) == list(range(len(run.history)))
        assert 0 < len(run.history) < 100

    @SYNCS_IN_CORE
    def test_a_fatal_answer_is_marked_as_synced(
        self, wandb_server: WandBServer, tmp_path: Path, segments: tuple[Path, Path]
    ) -> None:
        """With the server answering 403 to the rows, it gets none, and the next sync skips the segment."""
        first, _ = segments
        with wandb_server.faulty(Fault(status=403, match="file_stream")):
            assert "Fatal error while uploading data" in run_sync(wandb_server, tmp_path, first)
        assert "Skipped 1 synced run(s)" in run_sync(wandb_server, tmp_path, first)
        assert wandb_server.run("rows").history == []


class TestFaults:
    """Each fault, against a bare connection."""

    def test_status_for_a_number_of_requests(self, wandb_server: WandBServer) -> None:
        wandb_server.fault = Fault(status=409, requests=2)
        assert [ask(wandb_server) for _ in range(3)] == [409, 409, 200]
        assert [(request.status, request.faulty) for request in wandb_server.requests] == [
            (409, True),
            (409, True),
            (200, False),
        ]

    def test_status_for_a_while(self, wandb_server: WandBServer) -> None:
        wandb_server.fault = Fault(status=500, seconds=3)
        assert ask(wandb_server) == 500
        time.sleep(3)
        assert ask(wandb_server) == 200

    def test_a_route_and_an_operation(self, wandb_server: WandBServer) -> None:
        with wandb_server.faulty(Fault(status=403, match="file_stream")):
            assert ask(wandb_server) == 200
            assert ask(wandb_server, "/files/tester/pde/nobody/file_stream") == 403
        with wandb_server.faulty(Fault(status=403, operation="UpsertBucket")):
            assert ask(wandb_server) == 200
            assert ask(wandb_server, operation="UpsertBucket") == 403

    def test_delay(self, wandb_server: WandBServer) -> None:
        wandb_server.fault = Fault(delay=0.2)
        started = time.monotonic()
        assert ask(wandb_server) == 200
        assert time.monotonic() - started >= 0.2

    def test_drop(self, wandb_server: WandBServer) -> None:
        with wandb_server.faulty(Fault(drop=True)):
            assert ask(wandb_server, operation="UpsertBucket") is None
        assert wandb_server.runs == {}

    def test_lost_answer(self, wandb_server: WandBServer) -> None:
        with wandb_server.faulty(Fault(drop=True, lost_answer=True)):
            assert ask(wandb_server, operation="UpsertBucket") is None
        assert list(wandb_server.runs) == ["made"]

    @pytest.mark.parametrize("release", ["clear", "stop", "expire"])
    def test_hang(self, release: str, wandb_server: WandBServer) -> None:
        """It answers when the fault is cleared or over, and is cut off when the server stops."""
        answers: list[int | None] = []
        wandb_server.fault = Fault(hang=True, seconds=3 if release == "expire" else None)
        waiting = threading.Thread(target=lambda: answers.append(ask(wandb_server)))
        waiting.start()
        wait_for(lambda: wandb_server.faults.struck == 1)
        waiting.join(0.2)
        assert waiting.is_alive()
        if release == "clear":
            wandb_server.fault = None
        if release == "stop":
            wandb_server.stop()
        waiting.join(60)
        assert answers == [None if release == "stop" else 200]
        wait_for(lambda: [request.status for request in wandb_server.requests] == answers)

    def test_absence_keeps_port_and_state(self, wandb_server: WandBServer) -> None:
        ask(wandb_server, operation="UpsertBucket")
        idle = http.client.HTTPConnection("127.0.0.1", wandb_server.port, timeout=5)
        idle.request("POST", "/graphql", "{}")
        idle.getresponse().read()
        with wandb_server.away():
            assert idle.sock.recv(1) == b""
            assert ask(wandb_server) is None
        assert ask(wandb_server) == 200
        assert list(wandb_server.runs) == ["made"]

    def test_lines_that_are_sent_again_replace_themselves(self, wandb_server: WandBServer) -> None:
        ask(wandb_server, operation="UpsertBucket")
        for offset, steps in ((0, [0, 1, 2]), (1, [1, 2, 3]), (4, [4])):
            lines = [json.dumps({"_step": step}) for step in steps]
            body = {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}}
            ask(wandb_server, "/files/tester/pde/made/file_stream", body=body)
        run = wandb_server.run("made")
        assert [row["_step"] for row in run.history] == [0, 1, 2, 3, 4]
        assert (run.line_count("wandb-history.jsonl"), run.resent_lines) == (5, 2)


def ask(server: WandBServer, path: str = "/graphql", operation: str = "Viewer", body: object = None) -> int | None:
    """The status of one request; None when the connection is refused or cut."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    query = {"operationName": operation, "variables": {"name": "made", "project": "pde"}}
    try:
        connection.request("POST", path, json.dumps(body or query))
        return connection.getresponse().status
    except (ConnectionError, http.client.RemoteDisconnected):
        return None
    finally:
        connection.close()


def record_ends(data: bytes) -> Iterator[int]:
    """Where the records of a `.wandb` file end. It is LevelDB's log: blocks of 32 KiB, chunks with 7-byte headers."""
    offset = 7
    while offset + 7 <= len(data):
        left_in_block = 32768 - offset % 32768
        if left_in_block < 7:
            offset += left_in_block
            continue
        kind = data[offset + 6]
        offset += 7 + int.from_bytes(data[offset + 4 : offset + 6], "little")
        if kind in (1, 4):  # full, last
            yield offset
