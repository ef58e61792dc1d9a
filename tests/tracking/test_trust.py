"""A run's directory that somebody else made is data: nothing in it runs, leaks or is written over."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import ups
from held import read_held
from run_directories import PROCESS, deliver, row, write_run
from ups.errors import RunDirectoryError, UsageError
from ups.journal import liveness
from ups.journal.run_manifest import manifest_from
from waiting import wait_for
from wandb_server import WandBServer, run_client, start_process

SECRET = "BEGIN OPENSSH PRIVATE KEY"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the person who delivers, outside of every run."""
    path = tmp_path / "id_ed25519"
    path.write_text(json.dumps({"columns": [SECRET], "rows": [[SECRET]]}))
    return path


def holds_secret(folder: Path, secret: Path) -> list[Path]:
    """The files below a run's ``wandb`` folder in which the secret stands, links followed."""
    found = []
    for place, _, names in os.walk(folder / "wandb", followlinks=True):
        for name in names:
            path = Path(place, name)
            if path.resolve() == secret or SECRET.encode() in path.read_bytes():
                found.append(path)
    return found


# ---------------------------------------------------------------------- what run.json may set


def test_variables_of_a_run_do_not_reach_the_deliverers_processes(tmp_path: Path) -> None:
    """A loader's variable, a key or a path in ``run.json`` is in the environment of nothing that delivers it."""
    hostile = {
        "LD_PRELOAD": "/nowhere/theirs.so",
        "WANDB_API_KEY": "t" * 40,
        "WANDB_CONFIG_DIR": "/nowhere",
        "HOME": "/",
    }
    run = write_run(tmp_path / "r", [row(0)], environment={**hostile, "WANDB_NOTES": "theirs to give"})
    (run / "journal" / f"{PROCESS}.jsonl").write_bytes(
        (run / "journal" / f"{PROCESS}.jsonl").read_bytes().rpartition(b'{"time"')[0]  # without its end
    )
    with ups.create_wandb_context({}, "holder", mode="local") as ctx:  # a process that lives keeps delivery there
        own = next((ctx.dir / "journal").glob("*.alive"))
        os.link(own, run / "journal" / f"{PROCESS}.alive")
        process = subprocess.Popen(
            [sys.executable, "-m", "ups", "deliver", str(run)], stderr=subprocess.PIPE, text=True
        )
        try:
            environments = wait_for(lambda: backend_environments(process.pid))
        finally:
            process.kill()
            process.communicate()
    for environment in environments:
        assert "LD_PRELOAD" not in environment
        assert environment.get("HOME") != "/"
        assert not {"WANDB_API_KEY", "WANDB_CONFIG_DIR"} & environment.keys()


def backend_environments(pid: int) -> list[dict[str, str]]:
    """The environments of the processes that a delivery has started."""
    with contextlib.suppress(psutil.Error):
        return [child.environ() for child in psutil.Process(pid).children(recursive=True) if "wandb" in child.name()]
    return []


def test_only_variables_about_the_run_are_taken() -> None:
    """The allow-list: what names the run is taken, nothing that names a place, a key or a program."""
    held = {
        "environment": {
            "WANDB_PROJECT": "p",
            "WANDB_NOTES": "n",
            "WANDB_TAGS": "a,b",
            "WANDB_BASE_URL": "https://user:pass@theirs.example",
            "WANDB_API_KEY": "k",
            "WANDB_X_EXTRA_HTTP_HEADERS": "{}",
            "LD_PRELOAD": "x",
        }
    }
    description = manifest_from(json.dumps(held).encode(), run_id="r", created=0.0, source="run.json")
    assert description.environment == {"WANDB_PROJECT": "p", "WANDB_NOTES": "n", "WANDB_TAGS": "a,b"}
    assert description.base_url == "https://theirs.example"
    assert "LD_PRELOAD" in description.problems[0]


def test_a_run_that_names_another_server_is_sent_nowhere(
    wandb_server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliverer's key goes to the server that the deliverer has configured, or to the one of ``--base-url``."""
    with WandBServer() as theirs:
        run = write_run(tmp_path / "r", [row(0)], mode="online", environment={"WANDB_BASE_URL": theirs.url})
        for name, value in wandb_server.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        printed = deliver(run, expect=1)
        assert theirs.url in printed
        assert wandb_server.url in printed
        assert "nothing is sent" in printed
        assert theirs.requests == []
        assert wandb_server.requests == []
        deliver(run, "--base-url", wandb_server.url)
        assert len(wandb_server.run("r").history) == 1
        assert theirs.requests == []


def test_a_run_of_another_server_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``resume=True`` says at once which server the run is on."""
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "https://own.example")
    write_run(tmp_path / "r", [row(0)], mode="online", base_url="https://theirs.example")
    with pytest.raises(UsageError, match=r"https://theirs\.example.*https://own\.example"):
        ups.create_wandb_context({}, "r", resume=True, dir=tmp_path)


def test_the_program_that_a_run_names_is_not_saved(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the deliverer lets W&B save code, that is not the file that a stranger's run names as its program."""
    monkeypatch.setenv("WANDB_SAVE_CODE", "true")
    repository = tmp_path / "checkout"
    repository.mkdir()
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]):
        (repository / "f").touch()
        subprocess.run(["git", *command], cwd=repository, check=True)
    (repository / "f").write_text(SECRET)
    run = write_run(
        tmp_path / "r", [row(0)], program=str(secret), program_path="p.py", git_root=str(repository), git_commit="c"
    )
    deliver(run)
    assert holds_secret(run, secret) == []


# ---------------------------------------------------------------------- paths


def outward(secret: Path, run: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records that name a file outside the run, each with what it is called in the message."""
    relative = os.path.relpath(secret, run)
    (run / "media").mkdir(exist_ok=True)
    (run / "media" / "link").symlink_to(secret)
    folder = run / "media" / "folder"
    folder.mkdir()
    (folder / "inner").symlink_to(secret)
    for path in (relative, str(secret), "media/link"):
        yield "the table", {"table": "t", "path": path}
        yield "the image", {"image": "i", "path": path, "caption": None}
        yield "the artifact", {"artifact": {"path": path, "name": "a", "type": "file"}}
    yield "the artifact", {"artifact": {"path": "media/folder", "name": "a", "type": "file"}}
    yield "the file", {"file": {"base": "media", "name": "link"}}
    yield "the file", {"file": {"base": os.path.dirname(relative), "name": secret.name}}  # noqa: PTH120
    yield "the file", {"file": {"base": "media", "name": os.path.relpath(secret, run / "media")}}


def test_files_outside_the_run_are_not_given_to_wandb(tmp_path: Path, secret: Path) -> None:
    """A path or a link that leads out of the run is refused with a word, and costs no other record."""
    run = tmp_path / "r"
    run.mkdir()
    records = list(outward(secret, run))
    (run / "media").rename(tmp_path / "media")
    run.rmdir()
    write_run(run, [*({"time": 1.0, **record} for _, record in records), row(0), row(1)])
    (tmp_path / "media").rename(run / "media")
    printed = deliver(run)
    for what, _ in records:
        assert what in printed
    assert holds_secret(run, secret) == []
    assert [x for x, _ in read_held(run).stage("a")] == [0, 1]


def test_a_console_log_that_is_a_link_is_not_read(tmp_path: Path, secret: Path) -> None:
    """What a stranger's link leads to is in no console log."""
    run = write_run(tmp_path / "r", [row(0)])
    (run / "console").mkdir()
    (run / "console" / f"{PROCESS}.log").symlink_to(secret)
    deliver(run)
    assert holds_secret(run, secret) == []
    assert [x for x, _ in read_held(run).stage("a")] == [0]


@pytest.mark.parametrize("folder", ["delivery", "wandb", "journal"])
def test_a_folder_that_leads_out_of_the_run_is_not_written_to(tmp_path: Path, folder: str) -> None:
    """A run whose own folder is a link to somewhere else is refused, and nothing is written there."""
    run = write_run(tmp_path / "r", [row(0)])
    outside = tmp_path / "outside"
    if (run / folder).exists():
        (run / folder).rename(outside)
    else:
        outside.mkdir()
    (run / folder).symlink_to(outside)
    before = sorted(outside.iterdir())
    assert "leads out of the run" in deliver(run, expect=2)
    assert sorted(outside.iterdir()) == before


def test_a_linked_ledger_is_not_written_through(tmp_path: Path) -> None:
    """A ``sequence.jsonl`` or a W&B file that is a link to another file leaves that file as it is."""
    run = write_run(tmp_path / "r", [row(0)])
    victim = tmp_path / "victim"
    victim.write_text("theirs\n")
    (run / "delivery" / "sequence.jsonl").symlink_to(victim)
    deliver(run, expect=None)
    assert victim.read_text() == "theirs\n"
    (run / "delivery" / "sequence.jsonl").unlink()
    segment = run / "wandb" / "offline-run-20260101_000000-r"
    segment.mkdir(parents=True)
    (segment / "run-r.wandb").symlink_to(victim)
    deliver(run)
    assert victim.read_text() == "theirs\n"


def test_a_fifo_does_not_hold_delivery_up(tmp_path: Path) -> None:
    """A FIFO in place of a journal, a mark, the description or the console log is passed over."""
    run = write_run(tmp_path / "r", [row(0)])
    (run / "console").mkdir()
    for path in ("journal/other-1.jsonl", f"journal/{PROCESS}.alive", f"console/{PROCESS}.log", "delivery/cursor.json"):
        os.mkfifo(run / path)
    deliver(run)
    assert [x for x, _ in read_held(run).stage("a")] == [0]


# ---------------------------------------------------------------------- secrets, and other users


def test_no_secret_of_the_surroundings_is_in_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the server's address, a proxy's, extra headers: the run's directory has none of them."""
    monkeypatch.setenv("WANDB_BASE_URL", "https://user:PASSWORD@own.example")
    monkeypatch.setenv("WANDB_HTTPS_PROXY", "http://user:PASSWORD@proxy.example")
    monkeypatch.setenv("WANDB_X_EXTRA_HTTP_HEADERS", '{"Cookie": "PASSWORD"}')
    with ups.create_wandb_context({}, "r", mode="local", dir=tmp_path):
        pass
    written = (tmp_path / "r" / "run.json").read_text()
    assert "PASSWORD" not in written
    assert json.loads(written)["base_url"] == "https://own.example"


def test_nobody_else_can_lock_a_run(tmp_path: Path) -> None:
    """Who may open a mark may lock it for ever: each is its owner's alone, also one that an older UPS had made."""
    before = os.umask(0o022)
    try:
        write_run(tmp_path / "r", [row(0)])
        (tmp_path / "r" / "delivery" / "running").touch(mode=0o644)
        deliver(tmp_path / "r")
        with ups.create_wandb_context({}, "s", mode="local", dir=tmp_path) as ctx:
            marks = [*(ctx.dir / "journal").glob("*.alive"), ctx.dir / "journal" / ".beginning"]
            modes = [stat.S_IMODE(mark.stat().st_mode) for mark in (*marks, tmp_path / "r" / "delivery" / "running")]
    finally:
        os.umask(before)
    assert modes == [0o600] * 3


def test_the_right_server_is_used_however_its_address_is_written(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A training's own delivery, which has the same settings, is not held up by the name of its server."""
    address = f"{wandb_server.url.upper().replace('HTTP', 'http')}/"
    run_client(
        wandb_server,
        tmp_path,
        'import ups\nwith ups.create_wandb_context({}, "r") as ctx:\n    ctx.stage("a").log(0, loss=1.0)',
        WANDB_BASE_URL=wandb_server.url,
    )
    process = start_process(
        wandb_server,
        tmp_path,
        ["-m", "ups", "deliver", str(tmp_path / "ups-runs" / "r")],
        WANDB_BASE_URL=address.lower(),
    )
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "W&B holds all 1 rows" in printed


def test_a_wandb_folder_that_leads_out_of_the_run_is_not_searched(tmp_path: Path) -> None:
    """``ups check`` of a UPS run reads that run alone, and says what it has not read."""
    other = tmp_path / "other"
    with ups.create_wandb_context({}, "mine", mode="offline", delivery="thread", dir=other) as ctx:
        ctx.stage("a").log(0, loss=1.0)
    run = write_run(tmp_path / "r", [row(0)])
    (run / "wandb").symlink_to(other)
    done = subprocess.run([sys.executable, "-m", "ups", "check", str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "leads out of the run's directory" in done.stderr
    assert "mine" not in done.stdout


@pytest.mark.parametrize("leads_to", ["itself", "another file"])
def test_a_mark_that_is_a_link_is_an_error_with_a_word(tmp_path: Path, secret: Path, leads_to: str) -> None:
    """A mark of life that a stranger made a link, also one in a circle, is not followed, and ends in no traceback."""
    run = write_run(tmp_path / "r", [row(0)])
    mark = run / "delivery" / "running"
    mark.parent.mkdir(exist_ok=True)
    mark.symlink_to(mark if leads_to == "itself" else secret)
    before = secret.read_bytes()
    ended = subprocess.run([sys.executable, "-m", "ups", "deliver", run], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, "Traceback" in ended.stderr, str(mark) in ended.stderr) == (2, False, True)
    with pytest.raises(RunDirectoryError, match="running"):
        liveness.is_held(mark)
    assert secret.read_bytes() == before
