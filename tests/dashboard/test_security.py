"""Who may ask the dashboard, and what they can get."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.server import PATIENCE, Shown, eventually, show
from runfile.real_runs import wandb_file

SECRET = "the password is swordfish"
SECRET_TABLE = json.dumps({"columns": ["secret"], "rows": [[SECRET]]})  # it would be shown, lay it in the run
SCRIPT = "<script>window.hit=1</script>"


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """A dashboard on one run, with a secret beside it."""
    (tmp_path / "secret.txt").write_text(SECRET)
    source = wandb_file("staged").parent
    shutil.copytree(source, tmp_path / "runs" / source.name, symlinks=True)
    with show(tmp_path / "runs") as dashboard:
        yield dashboard


def test_only_this_machine_by_default(shown: Shown) -> None:
    """It listens on the loopback address alone."""
    port = int(shown.address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no other address")
        other = probe.getsockname()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((other, port), timeout=5)


def test_the_host_header_must_name_this_machine(shown: Shown) -> None:
    """A name that somebody else pointed to this machine is refused, whatever is asked for."""
    port = shown.address.rpartition(":")[2]
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.168.0.7", "", "localhost@evil"):
        for path in ("/", "/api/runs", "/static/plotly.js"):
            assert shown.client.get(path, headers={"host": name}).status_code == 403, name
    for name in ("localhost", f"localhost:{port}", "127.0.0.1:1", "[::1]:80", "LOCALHOST"):
        assert shown.client.get("/api/runs", headers={"host": name}).status_code == 200, name


def test_headers_of_every_answer(shown: Shown) -> None:
    """Pages, data and errors have a strict content security policy, and nothing lets another site read them."""
    for path in ("/", "/api/runs", "/static/plotly.js", "/nothing", "/api/runs/nope"):
        headers = shown.client.get(path, headers={"origin": "http://evil.example"}).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(shown: Shown, method: str) -> None:
    """Methods other than GET and HEAD are refused."""
    assert shown.client.request(method, "/api/runs").status_code == 405


def test_no_path_leads_out(shown: Shown) -> None:
    """Paths with dots, encoded or not, as a key, a file or a number, never give what lies outside."""
    key = shown.runs()[0]["key"]
    port = int(shown.address.rpartition(":")[2])
    paths = [
        "/static/../security.py",
        "/static/..%2fsecurity.py",
        "/static/%2e%2e/security.py",
        "/static//etc/passwd",
        "/static/__init__.py",
        "/../../secret.txt",
        "/api/runs/..%2f..%2fsecret.txt",
        f"/api/runs/{key}/tables/..%2f..%2fsecret.txt",
        f"/api/runs/{key}/images/..%2f..%2fsecret.txt",
        f"/api/runs/{key}/tables/0/../../../../secret.txt",
    ]
    for path in paths:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:  # no client tidies the path
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(partial(raw.recv, 65536), b""))
        assert answer.split(b" ", 2)[1] in (b"404", b"400"), path
        assert SECRET.encode() not in answer
        assert b"import " not in answer


def hostile_run(folder: Path) -> Path:
    """A UPS run directory that was written by an attacker."""
    (folder / "journal").mkdir(parents=True)
    description = {
        "schema": 1,
        "run_id": "hostile",
        "mode": "local",
        "created": time.time(),
        "name": SCRIPT,
        "project": "../../secret.txt",
        "stages": [SCRIPT],
        "tags": [SCRIPT],
        "config": {SCRIPT: SCRIPT, "stages": SCRIPT, "deep": {"a": [1, {"b": SCRIPT}]}},
    }
    (folder / "run.json").write_text(json.dumps(description))
    (folder / "link.json").symlink_to(folder.parents[1] / "secret.txt")
    (folder / "page.png").write_text(f"<html>{SCRIPT}")
    records: list[Any] = [
        {"begin": {"pid": 1, "host": "elsewhere", "owner": True, "nth": 1}},
        {"stage": "a", "step": 1, "values": {SCRIPT: 1.0, "loss": 10**400, "text": SCRIPT}},
        {"stage": "a", "step": 2, "values": {SCRIPT: 2.0, "loss": 0.5}},
        {"stage": SCRIPT, "step": "x", "values": {"loss": 1.0}},
        {"values": 3},
        {"values": {"a": None}, "stage": None},
        {"step": 4, "stage": ["a"], "values": {"loss": 1}},
        {"summary": {SCRIPT: SCRIPT, "nan": float("nan")}},
        {"summary": 7},
        {"table": SCRIPT, "path": "../../secret.txt"},
        {"table": "link", "path": "link.json"},
        {"table": "absolute", "path": str(folder.parents[1] / "secret.txt")},
        {"table": "nul", "path": "a\0b"},
        {"image": SCRIPT, "path": "../../outside.png", "caption": SCRIPT},
        {"image": "page", "path": "page.png"},
        {"end": "now"},
        [],
    ]
    lines = [json.dumps({"time": 1e9, **record} if isinstance(record, dict) else record) for record in records]
    (folder / "journal" / "p.jsonl").write_text("\n".join(lines) + "\nno json\n")
    return folder


def test_a_hostile_run(tmp_path: Path) -> None:
    """A run whose journal holds script, path tricks and nonsense is shown as far as it makes sense; nothing leaks."""
    (tmp_path / "secret.txt").write_text(SECRET_TABLE)
    (tmp_path / "outside.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET.encode())
    hostile_run(tmp_path / "runs" / "hostile")
    with show(tmp_path / "runs") as shown:
        key = shown.runs()[0]["key"]
        run = shown.run(key)
        assert run["card"]["name"] == SCRIPT
        assert shown.points(key, f"training/a/{SCRIPT}") == [(1, 1), (2, 2)]
        assert shown.points(key, "training/a/loss") == [(2, 0.5)]
        assert run["summary"]["nan"] == "NaN"
        assert len(run["tables"]) == 4
        for table in run["tables"]:
            answer = shown.client.get(f"/api/runs/{key}/tables/{table['id']}")
            assert answer.status_code == 404
            assert SECRET not in answer.text
        for image in run["images"]:
            answer = shown.client.get(f"/api/runs/{key}/images/{image['id']}")
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/json"
        assert SECRET not in shown.client.get(f"/api/runs/{key}").text
        csv = shown.client.get(f"/api/runs/{key}/chart.csv", params={"metric": f"training/a/{SCRIPT}"})
        assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_.-]+"', csv.headers["content-disposition"])
        eventually(shown.runs, lambda runs: runs[0]["health"] is not None)


def test_others_need_the_token(tmp_path: Path) -> None:
    """Where other machines can reach it, nothing is answered without the token that is in the printed address."""
    with show(tmp_path, options=("--host", "0.0.0.0", "--port", "0")) as shown:
        base, _, token = shown.address.partition("/?token=")
        port = base.rpartition(":")[2]
        assert len(token) > 20
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, timeout=PATIENCE) as stranger:
            assert stranger.get("/api/runs").status_code == 403
            assert stranger.get("/?token=wrong").status_code == 403
            assert stranger.get(f"/?token={token}", headers={"host": "evil.example"}).status_code == 403
        with httpx.Client(base_url=address, timeout=PATIENCE) as browser:
            answer = browser.get(f"/compare?token={token}&run=a")
            assert (answer.status_code, answer.headers["location"]) == (303, "/compare?run=a")
            cookie = answer.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert browser.get("/api/runs").status_code == 200
            with show(tmp_path, options=("--host", "0.0.0.0", "--port", "0")) as other:
                base, _, token = other.address.partition("/?token=")
                beside = f"http://127.0.0.1:{base.rpartition(':')[2]}"
                assert browser.get(f"{beside}/?token={token}").status_code == 303
                assert {browser.get(f"{each}/api/runs").status_code for each in (address, beside)} == {200}
