"""``ups doctor`` on machines that have something and lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ups
from wandb_server import API_KEY, Fault, WandBServer


def doctor(expect: int = 0, **environment: str) -> tuple[dict[str, dict[str, Any]], str]:
    """What it found, by what it is about; and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ups", "doctor", "--format", "json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    told = json.loads(done.stdout)
    assert told["works"] is (expect == 0)
    return {one["about"]: one for one in told["found"]}, done.stdout + done.stderr


def test_without_account_and_network_ups_works() -> None:
    """No server and no credentials are worth a note; a run is tracked all the same, and a waiting one is told."""
    with ups.create_wandb_context({}, "waits", mode="local") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    found, _ = doctor(WANDB_BASE_URL="http://127.0.0.1:9")
    assert found["server"]["state"] == found["credentials"]["state"] == "note"
    assert found["credentials"]["do"] == "to see runs in W&B: wandb login --host http://127.0.0.1:9"
    assert found["mode"]["found"].endswith("is offline")
    assert found["run"]["do"] == f"ups deliver {ctx.dir}"
    assert found["trial"]["state"] == "ok"


def test_credentials_are_tried_and_never_shown(wandb_server: WandBServer) -> None:
    """A server that takes the credentials says whose they are; one that does not is told; the key is in no output."""
    address = wandb_server.url.replace("://", "://somebody:hunter2@")
    found, printed = doctor(WANDB_BASE_URL=wandb_server.url, WANDB_API_KEY=API_KEY, HTTPS_PROXY=address)
    assert found["server"]["state"] == "ok"
    assert found["credentials"]["found"] == "in WANDB_API_KEY, of tester"
    assert found["mode"]["found"].endswith("is online")
    wandb_server.fault = Fault(status=401)
    refused, printed_too = doctor(WANDB_BASE_URL=wandb_server.url, WANDB_API_KEY=API_KEY)
    assert refused["server"]["state"] == "ok"
    assert refused["credentials"]["state"] == "note"
    assert "does not take them" in refused["credentials"]["found"]
    assert API_KEY not in printed + printed_too
    assert "hunter2" not in printed


def test_what_keeps_ups_from_working_is_told(tmp_path: Path) -> None:
    """A folder that cannot be made and a mode that there is not are wrong: exit status 1, and what to do."""
    file = tmp_path / "file"
    file.touch()
    found, _ = doctor(expect=1, WANDB_DIR=str(file), WANDB_MODE="onlin")
    assert {name for name, one in found.items() if one["state"] == "wrong"} == {"runs", "mode"}
    assert "WANDB_DIR" in found["runs"]["do"]
    assert "'onlin'" in found["mode"]["found"]
