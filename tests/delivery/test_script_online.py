"""A script's journal at a server: files, artifacts, and the answer that a script waits for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from delivery.test_script import journaled, lines, plain, records_of
from wandb_server import WandBServer, start_process

__all__ = ["plain"]


def test_a_server_has_the_files_and_artifacts_of_a_journal(
    plain: Path, tmp_path: Path, wandb_server: WandBServer
) -> None:
    """Each media file byte for byte, the artifacts committed, and the answer written."""
    records: list[dict[str, Any]] = records_of(plain)
    for record in records:
        if record.get("artifact_record", {}).get("artifact", {}).get("name") == "mine":
            record["artifact_record"]["answer"] = "the-answer"
    run = journaled(plain, tmp_path, lines(records))
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "mode": "online"}))
    process = start_process(wandb_server, tmp_path, ["-m", "ups", "deliver", run])
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    held = wandb_server.run("same")
    kept = {record["kept"]["path"] for record in records if "kept" in record}
    for path in kept:
        assert held.files[path] == (run / "files" / path).read_bytes()
    artifacts = [each for each in wandb_server.artifacts if each.name == "mine"]
    assert [artifact.state for artifact in artifacts] == ["COMMITTED"]
    assert artifacts[0].files == {"data.txt": b"hello"}
    answer = json.loads((run / "delivery" / "answers" / "the-answer.json").read_text())
    assert answer["response"]["logArtifactResponse"]["artifactId"] == artifacts[0].id
    assert (held.name, held.notes, held.tags) == ("renamed", "noted", ["more"])
