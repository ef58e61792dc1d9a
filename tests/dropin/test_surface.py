"""Each public member of a run, and each private one that libraries use, has a decision, which is tried here."""

from __future__ import annotations

import gzip
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as pb

from alone import run_alone
from environments import ROOT
from ups.dropin.interface import _OF_DELIVERY, _OF_WANDB, JournalInterface
from wandb_server import WandBServer, start_process, word_after

JOURNALED = "journaled"
AT_ONCE = "answered at once"
ASKED = "asked of delivery or the server"
NOT_HAD = "not had"

DECISIONS = {
    **dict.fromkeys(
        ("log", "_log", "define_metric", "watch", "alert", "mark_preempting", "pin_config_keys"), JOURNALED
    ),
    **dict.fromkeys(("save", "_publish_file", "log_code", "log_artifact", "log_model", "write_logs"), JOURNALED),
    **dict.fromkeys(("upsert_artifact", "finish_artifact", "finish"), JOURNALED),
    **dict.fromkeys(("config=", "summary=", "name=", "notes=", "tags="), JOURNALED),
    **dict.fromkeys(("config", "config_static", "summary", "notes", "tags", "id", "project", "project_name"), AT_ONCE),
    **dict.fromkeys(("group", "job_type", "sweep_id", "settings", "dir", "sync_dir", "step"), AT_ONCE),
    **dict.fromkeys(("starting_step", "start_time", "resumed", "disabled", "offline", "status", "unwatch"), AT_ONCE),
    **dict.fromkeys(("_attach_id", "_is_finished", "_settings", "_torch", "_config", "_add_singleton"), AT_ONCE),
    **dict.fromkeys(("_config_callback", "_telemetry_callback", "_label"), AT_ONCE),
    **dict.fromkeys(("name", "entity", "path", "url", "project_url", "sweep_url", "to_html", "display"), ASKED),
    **dict.fromkeys(("get_url", "get_project_url", "get_sweep_url"), ASKED),
    **dict.fromkeys(("link_artifact", "link_model", "use_artifact", "use_model", "restore"), ASKED),
    **dict.fromkeys(("_tensorboard_callback", "_interface"), NOT_HAD),
}
"""By member; one that ends with ``=`` is set."""

PAGE = ROOT / "docs" / "reference" / "wandb-run.md"
SCRIPT = Path(__file__).with_name("every_member.py")
Answers = dict[str, dict[str, Any]]


def answers_in(printed: str) -> Answers:
    """The answers that the script has printed."""
    found: Answers = json.loads(printed.split("ANSWERS ", 1)[1].splitlines()[0])
    return found


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Answers]:
    """The answers of the members offline: with plain wandb, and with the drop-in."""
    found = []
    for under in ((), ("-m", "ups.guard")):
        folder = tmp_path_factory.mktemp("surface")
        done = run_alone(folder, *under, SCRIPT, "offline", NETRC=str(folder / "netrc"))
        found.append(answers_in(done.stdout))
    return found[0], found[1]


def test_every_public_member_is_decided() -> None:
    """A member that a wandb adds fails here until somebody has decided on it."""
    public = {name for name in dir(wandb.Run) if not name.startswith("_")}
    assert public - DECISIONS.keys() == set()


def test_every_record_is_decided() -> None:
    """No kind of record that a wandb client can send is lost silently."""
    kinds = {field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["record_type"].fields}
    journaled = {kind for kind in kinds if hasattr(JournalInterface, f"_journal_{kind}")}
    answered = {"request", "exit"}  # requests are answered; the end is a request, too
    raised = _OF_WANDB.keys() | {"history", "noop_link_artifact"}  # no client sends these two
    assert kinds - journaled - answered - raised - _OF_DELIVERY == set()


def test_the_page_has_the_same_table() -> None:
    """The page shows each decision, member by member."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {member: decision for members, decision in rows for member in re.findall(r"`([a-z_]+ ?=?)", members)}
    public = {name for name in DECISIONS if not name.startswith("_") and name not in dir_before_0_29()}
    assert {name.replace(" =", "="): decision for name, decision in shown.items()} == {
        name: DECISIONS[name] for name in public
    }


def dir_before_0_29() -> set[str]:
    """Members that wandb no longer has."""
    return {"project_name", "get_url", "get_project_url", "get_sweep_url"}


def test_each_decision_is_tried(offline: tuple[Answers, Answers]) -> None:
    """The script tries each member that this wandb has."""
    _, journaled = offline
    there = {name for name in DECISIONS if hasattr(wandb.Run, name.removesuffix("="))}
    assert there - journaled.keys() == set()


@pytest.mark.parametrize("member", DECISIONS)
def test_a_decision_holds(member: str, offline: tuple[Answers, Answers]) -> None:
    """The answer is plain wandb's, and the journal grows exactly where the decision is that it does."""
    plain, journaled = offline
    if member not in journaled:
        pytest.skip(f"wandb {wandb.__version__} has no {member}")
    decision, answer = DECISIONS[member], dict(journaled[member])
    grown = answer.pop("journaled")
    if decision == NOT_HAD:
        assert answer["raises"] == "UsageError"
        assert "ups.guard(run)" in answer["text"]
        return
    assert answer == {name: value for name, value in plain[member].items() if name != "journaled"}
    may_log_first = {"link_artifact", "link_model"}  # the artifact is logged, then linked
    assert member in may_log_first or (grown > 0) == (decision == JOURNALED), answer


def test_members_online(tmp_path: Path, wandb_server: WandBServer) -> None:
    """Each question to delivery and the server has its answer: names, links, uses, downloads."""
    process = start_process(wandb_server, tmp_path, ["-m", "ups.guard", SCRIPT, "online"])
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    found = answers_in(printed)
    raised = {member: answer for member, answer in found.items() if "raises" in answer}
    assert raised.keys() == {name for name, decision in DECISIONS.items() if decision == NOT_HAD}, raised
    page = f"{wandb_server.url}/tester/p"
    for member, answer in {
        "url": f"{page}/runs/surface",
        "project_url": page,
        "path": "tester/p/surface",
        "entity": "tester",
        "name": "surface",
        "sweep_url": "",
        "use_artifact": "hello",
        "use_model": "hello",
        "restore": "TextIOWrapper",
    }.items():
        assert found[member]["answer"] == repr(answer), member
    assert page in found["to_html"]["answer"]
    artifacts = {artifact.name: artifact for artifact in wandb_server.artifacts if artifact.state == "COMMITTED"}
    assert artifacts.keys() >= {"model", "parts", "logged", "linked", "linked-model"}
    assert artifacts["linked"].links == [("tester/registry/collection", ["x"])]
    assert artifacts["linked-model"].links == [("tester/model-registry/models", [])]
    assert "surface" in artifacts["logged"].used_by
    assert "surface" in artifacts["linked-model"].used_by
    assert wandb_server.unknown_operations == []
    assert "the server holds" not in printed
    held = wandb_server.run("surface")
    assert (held.name, held.notes, held.tags) == ("named", "noted", ["t", "u"])
    assert held.files["f.txt"] == b"hello"


def test_artifacts_ask_nothing_in_the_training(tmp_path: Path, wandb_server: WandBServer) -> None:
    """A table and an artifact start no process of wandb's beside the training, and wait for no server."""
    script = """
        import time, psutil, wandb
        run = wandb.init(project="p", id="r")
        began = time.monotonic()
        run.log({"table": wandb.Table(columns=["a"], data=[[1]])})
        made = wandb.Artifact("mine", "dataset")
        with made.new_file("f.txt") as file:
            file.write("hello")
        run.log_artifact(made)
        print("TOOK", time.monotonic() - began)
        print("CHILDREN", [child.name() for child in psutil.Process().children() if "wandb" in child.name()])
        print("ID", made.wait(60).id)
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    with wandb_server.away():
        process = start_process(wandb_server, tmp_path, ["-m", "ups.guard", path])
        assert process.stdout is not None
        printed = ""
        while "CHILDREN" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed + rest
    assert float(word_after(printed, "TOOK")) < 3
    assert word_after(printed, "CHILDREN") == "[]"
    assert [each.id for each in wandb_server.artifacts if each.name == "mine"] == [word_after(rest, "ID")]


def test_a_saved_file_is_what_its_policy_promises(tmp_path: Path, wandb_server: WandBServer) -> None:
    """The server has a file as it was at the call with ``now``, and as it is at the end with ``live`` and ``end``."""
    script = """
        from pathlib import Path
        import wandb
        run = wandb.init(project="p", id="r")
        for policy in ("now", "live", "end"):
            folder = Path("outputs", policy)
            folder.mkdir(parents=True)
            (folder / "f.txt").write_text("before")
            run.save(f"outputs/{policy}/*", base_path="outputs", policy=policy)
            (folder / "f.txt").unlink()
            (folder / "f.txt").write_text("after")
        run.alert("title", "text", level="WARN")
        run.mark_preempting()
        run.finish()
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    process = start_process(wandb_server, tmp_path, ["-m", "ups.guard", path])
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    held = wandb_server.run("r")
    saved = {name: content for name, content in held.files.items() if name.endswith("/f.txt")}
    assert saved == {"now/f.txt": b"before", "live/f.txt": b"after", "end/f.txt": b"after"}
    assert [(alert.title, alert.text, alert.severity) for alert in held.alerts] == [("title", "text", "WARN")]


def test_an_artifact_of_very_many_files_arrives(tmp_path: Path, wandb_server: WandBServer) -> None:
    """Its manifest is a file: it is kept in the run's directory with the content, and the server has all of it."""
    script = Path(__file__).with_name("many_files.py")
    process = start_process(wandb_server, tmp_path, ["-m", "ups.guard", script])
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    (artifact,) = wandb_server.artifacts
    assert (artifact.name, artifact.state) == ("many", "COMMITTED")
    assert artifact.files == {f"folder/{name}": f"content of {name}".encode() for name in ("a.txt", "b.txt", "c.txt")}
    (manifest,) = (tmp_path / "ups-runs" / "r" / "artifacts").glob("*.manifest.gz")
    assert str(tmp_path).encode() not in gzip.decompress(manifest.read_bytes())


def test_a_second_init_and_a_folder_of_the_scripts_own_need_no_word(tmp_path: Path) -> None:
    """A run that is returned again is reported once, a disabled one never; and plain runs keep their last lines."""
    script = """
        import os, sys, wandb
        import ups
        settings = wandb.Settings(launch=True, x_files_dir=os.path.abspath("f"))
        first = wandb.init(project="p", mode="offline", settings=settings)
        assert wandb.init(project="p", mode="offline") is first
        first.log({"x": 1})
        first.finish()
        wandb.init(mode="disabled").finish()
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    done = run_alone(tmp_path, "-m", "ups.guard", path)
    assert done.stderr.count("guarded in this process") == 1
    assert "it was started by W&B Launch" in done.stderr
    assert "None" not in done.stderr
    assert "You can sync this run" in done.stderr
