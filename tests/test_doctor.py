"""``ups doctor`` on machines that have something and lack something."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ups
import ups.cli.doctor as doctor_command
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
    assert done.stderr == ""
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
    assert found["mode"]["found"].endswith("are offline by default")
    assert found["run"]["do"] == f"ups deliver {ctx.dir}"
    assert found["trial"]["state"] == "ok"


def test_credentials_are_tried_and_never_shown(wandb_server: WandBServer) -> None:
    """A server that takes the credentials says whose they are; one that does not is told; the key is in no output."""
    address = wandb_server.url.replace("://", "://somebody:hunter2@")
    found, printed = doctor(WANDB_BASE_URL=wandb_server.url, WANDB_API_KEY=API_KEY, HTTPS_PROXY=address)
    assert found["server"]["state"] == "ok"
    assert found["credentials"]["found"] == "in WANDB_API_KEY, of tester"
    assert found["mode"]["found"].endswith("are online by default")
    wandb_server.fault = Fault(status=401)
    refused, printed_too = doctor(WANDB_BASE_URL=wandb_server.url, WANDB_API_KEY=API_KEY)
    assert refused["server"]["state"] == "ok"
    assert refused["credentials"]["state"] == "note"
    assert "refuses them" in refused["credentials"]["found"]
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


@pytest.mark.parametrize(
    ("address", "key", "expected"),
    [
        ("127.0.0.1:9", API_KEY, ["server: wrong", "write http:// or https:// before it"]),
        (
            "http://127.0.0.1:9",
            API_KEY,
            ["server: note", "until then: WANDB_MODE=offline", "credentials: ok", "not tried"],
        ),
        ("http://127.0.0.1:9", "short", ["credentials: wrong", "API key must have 40+ characters"]),
    ],
)
def test_an_online_run_that_could_not_begin_is_told(address: str, key: str, expected: list[str]) -> None:
    """An address without its scheme and a key that wandb takes for none are wrong; a server that is down is not."""
    looks = "import ups.cli.doctor as d; print(*[f'{t.about}: {t.state} {t.found} {t.do}' for t in d._server()])"
    environment = os.environ | {"WANDB_BASE_URL": address, "WANDB_API_KEY": key}
    done = subprocess.run(
        [sys.executable, "-c", looks], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    assert [words for words in expected if words not in done.stdout] == []


def test_marks_and_a_missing_installation_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only ASCII can be printed, the marks are ASCII; UPS that is on the path alone has no list of extras."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(doctor_command, "_DISTRIBUTION", "ups-is-not-installed")
    (told,) = doctor_command._extras()
    doctor_command._print(told)
    stdout.flush()
    assert stdout.buffer.getvalue().startswith(b"- extras")
