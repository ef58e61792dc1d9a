"""What ``ups repair`` writes, and where; and runs whose files are damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wandb

import ups
from held import read_held
from repair.broken_runs import LOSS, RANDOM_RUNS, STEP, VAL
from repair.repaired import broken_runs, fingerprint, original
from runfile.real_runs import made_runs, row_offsets, wandb_file
from ups.charts import Definitions
from ups.check import Verdict, check_run
from ups.dashboard.repaired_view import meant_run
from ups.errors import RunFileError, UsageError
from ups.repair import Plan, plan_lines, plan_repair, write_repair
from ups.repair.meant_axis import Keep
from ups.runfile import Run
from ups.runfile.framing import FrameReader, Writer
from ups.runfile.records import Record
from ups.runs import open_run
from wandb_server import SYNCS_IN_PYTHON, WandBServer, run_client, run_sync


def repair(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``ups repair``."""
    command = [sys.executable, "-m", "ups", "repair", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def points(folder: Path, metric: str = LOSS, axis: str = STEP) -> list[tuple[float, float]]:
    """The points of a chart, as wandb reads them."""
    return read_held(folder).points(metric, axis)


def test_the_command_shows_the_plan_and_writes_the_copy(tmp_path: Path) -> None:
    """The plan says what is changed in which chart and how many points come back; the copy can be synced as named."""
    done = repair(original("frozen"), "-o", tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert done.returncode == 0
    assert f"{LOSS}  frozen: 1 -> 5 points" in done.stdout
    assert f"{STEP} is rebuilt from the order of its 5 rows" in done.stdout
    assert "4 come back, 0 are left out" in done.stdout
    assert done.stdout.rstrip().endswith(f"wandb sync {folder}")
    assert folder.name.startswith("offline-run-20")
    copied = "-".join(folder.name.split("-")[3:])
    assert {path.name for path in folder.iterdir()} == {"files", "repair.txt", f"run-{copied}.wandb"}


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """With --dry-run the plan is shown, and not even the folder is made."""
    done = repair(original("resumed"), "-o", tmp_path / "out", "--dry-run")
    assert done.returncode == 0
    assert f"{LOSS}  backwards: 10 -> 10 points, 3 left out" in done.stdout
    assert not (tmp_path / "out").exists()


def test_an_existing_target_is_never_overwritten(tmp_path: Path) -> None:
    """Where the copy's folder exists, one line says so, the exit status is 2, and nothing changes."""
    assert repair(original("frozen"), "-o", tmp_path, "--run-id", "again").returncode == 0
    before = fingerprint(tmp_path)
    done = repair(original("frozen"), "-o", tmp_path, "--run-id", "again")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "exists already" in done.stderr
    assert fingerprint(tmp_path) == before


def test_a_copy_inside_the_run_is_refused(tmp_path: Path) -> None:
    """The folder of the run itself is no place for the copy."""
    shutil.copytree(original("frozen"), tmp_path / "run", symlinks=True)
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    with pytest.raises(UsageError, match="lies in the run itself"):
        write_repair(plan_repair(open_run(folder)), folder / "files")


@pytest.mark.parametrize("bare", [False, True])
def test_a_repair_that_fails_leaves_nothing(bare: bool, tmp_path: Path) -> None:
    """If the run's folder, or its file alone, is gone when it is to be copied, the error says so; no copy is left."""
    if bare:
        (tmp_path / "run").mkdir()
        shutil.copy(wandb_file("frozen"), tmp_path / "run")
    else:
        shutil.copytree(original("frozen"), tmp_path / "run", symlinks=True)
    plan = plan_repair(open_run(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RunFileError, match=r"run-frozen\.wandb"):
        write_repair(plan, tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_a_run_without_faults_is_not_copied(tmp_path: Path) -> None:
    """There is nothing to repair in a good run, and nothing is written."""
    done = repair(made_runs() / "staged", "-o", tmp_path / "out")
    assert (done.returncode, "nothing to repair" in done.stdout) == (0, True)
    assert not (tmp_path / "out").exists()


WRITES_RECORDS = pytest.mark.skipif(
    "x_transaction_log_flush_interval" not in wandb.Settings.model_fields,
    reason="this wandb writes whole blocks, so the file of a run that was killed ends within a record",
)


@pytest.mark.parametrize("name", ["nothing_to_draw", pytest.param("killed", marks=WRITES_RECORDS)])
def test_nothing_is_called_repairable_where_a_repair_changes_nothing(name: str) -> None:
    """Text, NaN, a result beside NaN, and a run without an end whose file is whole."""
    run = open_run(made_runs() / name)
    assert plan_repair(run).changes_nothing
    assert not any(found.repairable for found in check_run(run).findings)


@pytest.mark.parametrize("name", ["not_numeric", "never_logged", "not_finite", "lost"])
def test_what_cannot_be_repaired_is_listed_with_why(name: str) -> None:
    """Text, NaN, what was never logged and rows that were dropped are named, and no copy is promised."""
    plan = plan_repair(open_run(made_runs() / name))
    assert plan.changes_nothing
    assert {left.code for left in plan.unrepaired} == {name.replace("_", "-").replace("lost", "lost-rows")}
    assert all(left.why in "\n".join(plan_lines(plan)) for left in plan.unrepaired)


def test_rows_that_were_dropped_are_counted_as_gone() -> None:
    """Without a journal, the plan says how many rows are gone for good."""
    plan = plan_repair(open_run(made_runs() / "naive"))
    assert (plan.lost, plan.rows_back) == (50, 0)
    assert "50 rows were never written, and cannot be brought back" in "\n".join(plan_lines(plan))


def test_the_copy_has_an_id_of_its_own_unless_told() -> None:
    """The copy's id begins with the run's and differs each time; --run-id decides, and the same id is warned of."""
    run = open_run(original("frozen"))
    first, second = plan_repair(run), plan_repair(run)
    assert first.run_id != second.run_id
    assert first.run_id.startswith("frozen-repaired-")
    assert "a sync adds its rows to those on the server" in "\n".join(plan_lines(plan_repair(run, run_id="frozen")))
    with pytest.raises(UsageError, match="is not a run id"):
        plan_repair(run, run_id="../frozen")


@pytest.mark.parametrize(
    ("keep", "loss", "val"),
    [
        ("last", [*range(5), 105, 106, 107, 8, 9], [(0, 1000), (5, 1105)]),
        ("first", [*range(10)], [(0, 1000), (5, 1005)]),
        ("all", [*range(10), 105, 106, 107], [(0, 1000), (5, 1005), (10, 1105)]),
    ],
)
def test_keep_decides_where_a_chart_goes_back(
    keep: Keep, loss: list[int], val: list[tuple[int, int]], tmp_path: Path
) -> None:
    """The last attempt at each step is kept, or the first, or all of them with the axis counting on."""
    run = open_run(original("resumed"))
    write_repair(plan_repair(run, keep=keep), tmp_path)
    assert points(tmp_path) == list(zip(range(len(loss)), loss, strict=True))
    assert points(tmp_path, VAL) == val
    assert {chart.verdict for chart in check_run(open_run(tmp_path)).charts} == {Verdict.FULL}


def test_an_attempt_that_is_kept_is_alone_between_its_ends() -> None:
    """Steps that only the other attempt has are left out where they would make the line jump; the plan says so."""
    rows = [{LOSS: place, STEP: step} for place, step in enumerate([0, 1, 2, 3, 9, 1, 2, 6])]
    definitions = Definitions()
    definitions.define(LOSS, STEP)
    run = Run.from_rows(Path("run"), rows, run_id="run", definitions=definitions)
    cases: list[tuple[Keep, list[int]]] = [("last", [0, 5, 6, 7, 4]), ("first", [0, 1, 2, 3, 4])]
    for keep, kept in cases:
        plan = plan_repair(run, keep=keep)
        assert meant_run(plan).series(LOSS).y.tolist() == kept
        assert (plan.points_gone, plan.charts[0].what) == (
            3,
            (f"{STEP} goes back once: where attempts overlap, the {keep} is kept",),
        )


def test_another_metric_can_be_the_axis(tmp_path: Path) -> None:
    """With --axis, charts without a usable axis are drawn against a metric that was logged, W&B's own step too."""
    for name, count in (("frozen", 5), ("defined_late", 6)):
        done = repair(original(name), "-o", tmp_path / name, "--axis", "_step")
        assert done.returncode == 0
        (chart,) = check_run(open_run(tmp_path / name)).charts
        assert (chart.axis, chart.verdict, chart.points) == ("_step", Verdict.FULL, count)
    done = repair(original("in_two_calls"), "-o", tmp_path / "loss", "--axis", LOSS)
    assert done.returncode == 0
    charts = {chart.metric: chart for chart in check_run(open_run(tmp_path / "loss")).charts}
    assert {chart.axis for chart in charts.values()} == {LOSS}
    assert points(tmp_path / "loss", VAL, LOSS) == [(2, 22), (5, 25), (8, 28)]
    done = repair(original("frozen"), "--axis", "epoch", "--dry-run")
    assert (done.returncode, "'epoch' was never logged" in done.stderr) == (2, True)


def test_a_damaged_file_gives_a_copy_of_all_intact_rows(wandb_server: WandBServer, tmp_path: Path) -> None:
    """The copy of a damaged file has no damage, every row that was intact, and goes through ``wandb sync``."""
    data = bytearray(wandb_file("staged").read_bytes())
    rows = row_offsets(wandb_file("staged"))
    for place in (rows[60] + 20, rows[90] + 20):
        data[place] ^= 4
    (tmp_path / "run-staged.wandb").write_bytes(data)
    run = open_run(tmp_path / "run-staged.wandb")
    plan = plan_repair(run, run_id="mended")
    written = write_repair(plan, tmp_path / "out")
    run_sync(wandb_server, tmp_path, *written.folders)
    assert 170 < run.rows < 180
    assert written.rows == len(wandb_server.run("mended").history) == run.rows
    assert check_run(open_run(tmp_path / "out")).findings == ()
    assert "damaged-file" in "\n".join(plan_lines(plan))


def test_a_file_that_lost_its_beginning_is_named_anew(wandb_server: WandBServer, tmp_path: Path) -> None:
    """Where the records that say who the run is are unreadable, the copy says it, and can be synced."""
    data = bytearray(wandb_file("staged").read_bytes())
    data[20:600] = bytes(580)
    (tmp_path / "run-staged.wandb").write_bytes(data)
    run = open_run(tmp_path / "run-staged.wandb")
    written = write_repair(plan_repair(run, run_id="named"), tmp_path / "out")
    run_sync(wandb_server, tmp_path, "--project", "found", *written.folders)
    assert run.run_id == ""
    assert len(wandb_server.run("named").history) == run.rows > 100


def test_records_that_stand_twice_are_copied_once(tmp_path: Path) -> None:
    """Where a part of the file stands in it a second time, the copy holds each record once."""
    records = [record for batch in FrameReader(wandb_file("staged")) for record in batch.records()]
    with Writer(tmp_path / "run-staged.wandb") as writer:
        for record in (*records[:300], *records[200:]):
            writer.write(record)
    written = write_repair(plan_repair(open_run(tmp_path / "run-staged.wandb")), tmp_path / "out")
    assert written.rows == 180
    assert len(read_held(tmp_path / "out").records) == len(records)


def test_a_torn_end_is_closed(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A file cut off inside a record gives a copy that ends as a failed run, which ``wandb sync`` takes whole."""
    data = wandb_file("frozen").read_bytes()
    (tmp_path / "run-frozen.wandb").write_bytes(data[: row_offsets(wandb_file("frozen"))[-2] + 20])
    run = open_run(tmp_path / "run-frozen.wandb")
    assert run.segments[-1].torn
    plan = plan_repair(run, run_id="closed")
    assert f"torn end: the last {run.segments[-1].torn} bytes" in "\n".join(plan_lines(plan))
    written = write_repair(plan, tmp_path / "out")
    copy = open_run(tmp_path / "out")
    assert (copy.segments[-1].torn, copy.exit_code, check_run(copy).findings) == (0, 1, ())
    assert "incomplete" not in run_sync(wandb_server, tmp_path, *written.folders)
    if not SYNCS_IN_PYTHON:  # which takes a run without an end as finished
        assert (wandb_server.run("closed").state, wandb_server.run("closed").exit_code) == ("failed", 1)
    held = wandb_server.run("closed").points(STEP, LOSS)
    assert held == [(step, step) for step in range(run.rows)]


def test_rows_come_back_from_the_journal(wandb_server: WandBServer, tmp_path: Path) -> None:
    """Rows of a UPS run that its damaged files have lost are taken from its journal, each once and in its place.

    A later segment adds no row that the first one holds.
    """
    with ups.create_wandb_context({}, mode="offline", delivery="thread", dir=tmp_path) as ctx:
        for stage, steps in (("operator", 100), ("consistency_distill", 40)):
            for step in range(steps):
                ctx.log_training_metric(stage, "loss", 1 / (step + 1), step)
    (file,) = ctx.dir.glob("wandb/offline-run-*/run-*.wandb")
    data = bytearray(file.read_bytes())
    for place in range(len(data) // 10, len(data) * 3 // 5, len(data) // 20):
        data[place] ^= 255
    file.write_bytes(data[: len(data) * 4 // 5])
    repeat_segment(file, file.parent.with_name(f"offline-run-29991231_235959-{ctx.run.id}"))
    file.write_bytes(data[: len(data) * 2 // 5])
    before = fingerprint(ctx.dir)
    run = open_run(ctx.dir)
    plan = plan_repair(run, run_id="back")
    written = write_repair(plan, tmp_path / "out")
    assert run.rows + plan.rows_back == written.rows == 140
    assert plan.rows_back > 20
    assert f"{plan.rows_back} rows come back from the journal" in "\n".join(plan_lines(plan))
    run_sync(wandb_server, tmp_path, *written.folders)
    server = wandb_server.run("back")
    for stage, steps in (("operator", 100), ("consistency_distill", 40)):
        held = server.points(f"training/{stage}/step", f"training/{stage}/loss")
        assert held == [(step, 1 / (step + 1)) for step in range(steps)]
    times = [row["_timestamp"] for row in server.history]
    assert times == sorted(times)
    assert {chart.verdict for chart in check_run(open_run(tmp_path / "out")).charts} == {Verdict.FULL}
    assert fingerprint(ctx.dir) == before


JOINED = """
import ups
with ups.join_wandb_context() as ctx:
    for step in range(40):
        ctx.log_training_metric("b", "loss", step, step)
"""


def test_rows_of_several_journals_come_back_in_their_places(tmp_path: Path) -> None:
    """Where processes logged one between the rows of another, each chart's rows come back in order."""
    with ups.create_wandb_context({}, mode="offline", delivery="thread", dir=tmp_path) as ctx:
        for step in range(40):
            ctx.log_training_metric("a", "loss", step, step)
        subprocess.run([sys.executable, "-c", JOINED], env={**os.environ, "UPS_RUN_DIR": str(ctx.dir)}, check=True)
        for step in range(40, 80):
            ctx.log_training_metric("a", "loss", step, step)
    (file,) = ctx.dir.glob("wandb/offline-run-*/run-*.wandb")
    data = bytearray(file.read_bytes())
    for place in range(len(data) // 10, len(data) * 9 // 10, len(data) // 40):
        data[place] ^= 255
    file.write_bytes(data)
    plan = plan_repair(open_run(ctx.dir))
    assert plan.rows_back > 3
    write_repair(plan, tmp_path / "out")
    for stage, steps in (("a", 80), ("b", 40)):
        held = points(tmp_path / "out", f"training/{stage}/loss", f"training/{stage}/step")
        assert held == [(step, step) for step in range(steps)]


def test_every_attempt_comes_back_where_all_are_drawn(tmp_path: Path) -> None:
    """Of a run that draws each step each time that it is logged, the rows of a second attempt come back too."""
    with ups.create_wandb_context({}, mode="offline", delivery="thread", repeated="all", dir=tmp_path) as ctx:
        for step in (*range(60), *range(30, 90)):
            ctx.log_training_metric("a", "loss", step, step)
    (file,) = ctx.dir.glob("wandb/offline-run-*/run-*.wandb")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 3])
    run = open_run(ctx.dir)
    plan = plan_repair(run, keep="all")
    assert run.rows < 60
    assert run.rows + plan.rows_back == 120


def repeat_segment(file: Path, folder: Path) -> None:
    """A later segment with the records of another, as where delivery hands rows over again."""
    folder.mkdir()
    with Writer(folder / file.name) as writer:
        for batch in FrameReader(file):
            for record in batch.records():
                message = Record(record)
                if "run" in message:
                    message.run.start_time.seconds += 60
                writer.write(message.encode())


ONLINE = """
    import wandb

    run = wandb.init(project="online", id="online", config={"lr": 0.1})
    run.define_metric("training/operator/loss", step_metric="training/operator/step")
    for step in range(5):
        run.log({"training/operator/loss": step})
    run.summary["mine"] = 7
    run.finish()
"""


def test_the_copy_of_an_online_run_is_a_run_beside_it(wandb_server: WandBServer, tmp_path: Path) -> None:
    """The repaired copy of a run that is on the server becomes a second run there; the first stays as it was."""
    run_client(wandb_server, tmp_path, ONLINE)
    first = wandb_server.run("online")
    history = first.history
    written = write_repair(plan_repair(open_run(tmp_path / "wandb"), run_id="copy"), tmp_path / "out")
    run_sync(wandb_server, tmp_path, *written.folders)
    copy = wandb_server.run("copy")
    assert copy.points(STEP, LOSS) == [(step, step) for step in range(5)]
    assert (copy.summary["mine"], copy.summary[STEP], copy.config["lr"]) == (7, 4, 0.1)
    assert first.history == history


@pytest.mark.parametrize("keep", ["last", "first", "all"])
@pytest.mark.parametrize("seed", range(RANDOM_RUNS))
def test_runs_with_faults_at_random_are_full_as_promised(seed: int, keep: Keep, tmp_path: Path) -> None:
    """Whatever faults come together, every chart of the copy is full, with as many points as the plan says."""
    run = open_run(broken_runs() / f"random{seed}")
    plan = plan_repair(run, keep=keep)
    after = check_run(run if plan.changes_nothing else open_run(_written(plan, tmp_path)))
    assert {chart.verdict for chart in after.charts if chart.points != 1} == {Verdict.FULL}
    held = {chart.metric: chart.points for chart in after.charts}
    assert all(held[change.metric] == change.after for change in plan.charts)
    for change in plan.charts:
        column = run.column(change.metric)
        assert column is not None
        assert change.after + change.gone <= len(column.rows)
        assert keep != "all" or change.gone == 0


def _written(plan: Plan, folder: Path) -> Path:
    return write_repair(plan, folder).folders[0]
