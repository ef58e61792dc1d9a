"""What the dashboard's server answers, on runs made by the real client."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.server import Shown, eventually, show
from repair.broken_runs import LOSS
from repair.repaired import broken_runs
from runfile.real_runs import made_runs, wandb_file
from ups.check import check_run
from ups.dashboard.modules import page_file
from ups.runs import open_run
from ups.runs.discovery import find_below

TRAINING = """
import sys, ups
config = {"lr": 1e-3, "stages": {"operator": {"steps": 40}}, "huge": 10**30}
with ups.create_wandb_context(config, mode=sys.argv[1], project="shown", stages=["operator", "distill"]) as ctx:
    stage = ctx.stage("operator")
    for step in range(40):
        stage.log(step, loss=float("nan") if step == 7 else 1 / (step + 1), lr=1e-3)
    ctx.log_eval_summary({"l2": 0.5})
    ctx.log_table("samples", ["input", "error"], [["NaNa", 0.1], ["b", float("nan")], ["c", float("inf")]])
    ctx.log_image("picture", sys.argv[2], caption="a dot")
    print(ctx.dir)
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
OPERATOR_LOSS = "training/operator/loss"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A dashboard on every broken run and some more."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(broken_runs(), folder / "broken", symlinks=True)
    for name in ("staged", "every_value", "described", "killed"):
        shutil.copytree(made_runs() / name, folder / name, symlinks=True)
    with show(folder) as dashboard:
        yield dashboard


@pytest.mark.parametrize("mode", ["offline", "local"])
def test_a_run_that_ups_made(mode: str, script: Any, tmp_path: Path) -> None:
    """A finished run has its state, stages, charts, points, marks, summary, configuration, table and image."""
    (tmp_path / "dot.png").write_bytes(PNG)
    script(TRAINING, mode, str(tmp_path / "dot.png"))
    with show(".") as shown:
        (card,) = shown.runs()
        key = card["key"]
        run = shown.run(key)
        card = eventually(lambda: shown.runs()[0], lambda card: card["health"] is not None)
        assert (card["state"], card["project"], card["message"]) == ("finished", "shown", None)
        assert card["rows"] == 42  # with those of the table and the image, as W&B counts them
        assert card["stages"] == [
            {"name": "operator", "rows": 40, "last_step": 39.0, "steps_total": 40},
            {"name": "distill", "rows": 0, "last_step": None, "steps_total": None},
        ]
        assert card["health"] == {"full": 1, "charts": 3, "worst": "error"}
        charts = {chart["metric"]: chart for chart in run["views"]["wandb"]}
        assert charts[OPERATOR_LOSS] == {
            "metric": OPERATOR_LOSS,
            "stage": "operator",
            "axis": "training/operator/step",
            "rows": 40,
            "points": 39,
            "verdict": "not-finite",
            "codes": ["not-finite"],
            "not_finite": 1,
        }
        assert charts["training/distill/*"]["verdict"] == "never-logged"
        assert not run["differs"]
        points = shown.points(key, OPERATOR_LOSS)
        assert points == [(step, 1 / (step + 1)) for step in range(40) if step != 7]
        (line,) = shown.get(f"/api/runs/{key}/series", metric=OPERATOR_LOSS, x="time")["series"]
        assert line["x"][0] == 0
        assert line["x"] == sorted(line["x"])
        assert [mark["kind"] for mark in line["marks"]] == ["nan"]
        assert run["summary"]["eval/l2"] == 0.5
        assert run["summary"]["training/operator/lr"] == 1e-3
        assert run["config"]["lr"] == 1e-3
        ((table,), (image,)) = run["tables"], run["images"]
        assert (table["name"], table["rows"]) == ("samples", 3)
        for _ in range(2):  # however often it is asked for
            assert shown.run(key)["tables"][0]["columns"] == ["input", "error"]
        content = shown.get(f"/api/runs/{key}/tables/{table['id']}")
        assert content["columns"] == ["input", "error"]
        assert content["rows"] == [["NaNa", 0.1], ["b", "NaN"], ["c", "Infinity"]]
        answer = shown.client.get(f"/api/runs/{key}/images/{image['id']}")
        assert (answer.headers["content-type"], answer.content[:8]) == ("image/png", PNG[:8])
        assert image["name"] == "picture"
        if mode == "local":
            assert image["caption"] == "a dot"


def test_runs_of_every_kind_have_their_cards(shown: Shown) -> None:
    """Every run below the folder is listed once, with how it ended, and gets its health in the background."""
    cards = eventually(shown.runs, lambda cards: all(card["health"] for card in cards))
    by_name = {Path(card["path"]).parents[1].name: card for card in cards}
    assert len(by_name) == len(cards) == 4 + len(list(broken_runs().iterdir()))
    assert by_name["staged"]["state"] == "finished"
    assert by_name["staged"]["health"] == {"full": 3, "charts": 3, "worst": None}
    assert by_name["described"]["state"] == "failed"


@pytest.mark.parametrize(("silent_seconds", "state"), [(0, "running"), (3600, "crashed")])
def test_a_run_without_an_end_is_running_until_it_was_silent_for_long(
    shown: Shown, silent_seconds: int, state: str
) -> None:
    """A file that nobody is seen to write may be written elsewhere: it is told by when it last grew."""
    key = shown.key("killed")
    (card,) = [card for card in shown.runs() if card["key"] == key]
    (file,) = Path(card["path"]).glob("*.wandb")
    last = time.time() - silent_seconds
    os.utime(file, (last, last))
    eventually(lambda: [card["state"] for card in shown.runs() if card["key"] == key], lambda states: states == [state])


@pytest.mark.parametrize("name", ["in_two_calls", "everything", "two_sessions", "random3"])
def test_both_views_have_the_charts_and_findings_of_the_check(shown: Shown, name: str) -> None:
    """Charts and findings as ``ups check`` has them; as meant, each repairable chart of loss is full."""
    key = shown.key(name)
    check = check_run(open_run(broken_runs() / name))
    told = [(str(found.code), found.message) for found in check.findings]
    run = eventually(  # what is asked for first is judged as far as it was read
        lambda: shown.run(key), lambda run: [(found["code"], found["message"]) for found in run["findings"]] == told
    )
    assert {(chart["metric"], chart["verdict"], chart["points"]) for chart in run["views"]["wandb"]} == {
        (chart.metric, str(chart.verdict), chart.points) for chart in check.charts
    }
    for found in run["findings"]:
        assert (found["command"] is not None) == found["repairable"]
    if name == "in_two_calls":
        assert run["differs"]
        assert {chart["verdict"] for chart in run["views"]["meant"]} == {"full"}
        assert [x for x, _ in shown.points(key, LOSS)] == [0] * 9
        assert shown.points(key, LOSS, view="meant") == [(step, step) for step in range(9)]


def test_charts_stand_in_the_order_of_their_names(shown: Shown) -> None:
    """Within a stage the charts are sorted by name, whatever order the file has them in."""
    charts = shown.run(shown.key("every_tenth"))["views"]["wandb"]
    assert [chart["metric"].rpartition("/")[2] for chart in charts] == ["accuracy", "loss"]


def test_a_chart_as_csv_has_every_point(shown: Shown) -> None:
    """The CSV of a chart has a header and each row that holds the metric, NaN too."""
    answer = shown.client.get(f"/api/runs/{shown.key('staged')}/chart.csv", params={"metric": LOSS})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    header, *lines = answer.text.splitlines()
    assert header == f"training/operator/step,seconds,{LOSS}"
    assert [(float(x), float(y)) for x, _, y in (line.split(",") for line in lines)] == [
        (step, 1 / (step + 1)) for step in range(100)
    ]


def test_every_value_is_json(shown: Shown) -> None:
    """A run with every kind of value, huge and not finite ones too, is answered as strict JSON."""
    key = shown.key("every_value")
    for path in (f"/api/runs/{key}", f"/api/runs/{key}/series?metric=inf&metric=huge&metric=text&metric=nan"):
        text = shown.client.get(path).text
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    lines = shown.get(f"/api/runs/{key}/series", metric=["inf", "huge", "text"])["series"]
    assert [mark["kind"] for mark in lines[0]["marks"]] == ["inf"]
    assert lines[1]["y"] == [1e60]
    assert (lines[2]["y"], lines[2]["marks"]) == ([], [])
    assert math.isfinite(lines[1]["x"][0])


def test_wrong_questions_get_one_clear_line(shown: Shown) -> None:
    """An unknown run, chart, table, view or number is answered with what is wrong, and no stack trace."""
    key = shown.key("staged")
    for path, status, said in (
        ("/api/runs/nope", 404, "no such run"),
        (f"/api/runs/{key}/series?metric=a&view=other", 404, "no view 'other'"),
        (f"/api/runs/{key}/series?metric=a&x=epoch", 400, "'epoch'"),
        (f"/api/runs/{key}/series?metric=a&from=nan", 400, "'nan'"),
        (f"/api/runs/{key}/chart.csv?metric=nothing", 404, "no metric 'nothing'"),
        (f"/api/runs/{key}/tables/0", 404, "no table '0'"),
        (f"/api/runs/{key}/images/-1", 404, "no image '-1'"),
        ("/api/other", 404, "/api/other"),
    ):
        answer = shown.client.get(path)
        assert answer.status_code == status, path
        assert said in answer.json()["error"], path
        assert "\n" not in answer.json()["error"]


def test_the_page_and_its_files(shown: Shown) -> None:
    """The page is served at each of its addresses, Plotly from the installed package, each file with a tag.

    What a browser is told to ask for ahead is there.
    """
    for path in ("/", "/compare", f"/run/{shown.key('staged')}"):
        assert "<html" in shown.client.get(path).text
    ahead = re.findall(r"<(/static/[^>]+)>", shown.client.get("/compare").headers["link"])
    assert {"/static/plotly.js", "/static/main.js", "/static/chart.js"} <= set(ahead)
    assert {shown.client.get(path).status_code for path in ahead} == {200}
    assert shown.client.get("/run/nope").status_code == 404
    script = shown.client.get("/static/plotly.js")
    assert "plotly.js v" in script.text[:200]
    again = shown.client.get("/static/plotly.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_faint_has_contrast() -> None:
    """Faint text is told from each ground that it stands on, in both themes, as WCAG asks: 4.5 to 1."""
    for theme in re.findall(r":root[^{]*\{([^}]*)\}", page_file("page.css"))[:2]:
        colors = dict(re.findall(r"(--[\w-]+): #(\w{6});", theme))
        faint, *grounds = (_light(colors[f"--{name}"]) for name in ("ink-3", "page", "surface", "sunken"))
        for ground in grounds:
            assert max(faint, ground) + 0.05 >= 4.5 * (min(faint, ground) + 0.05)


def _light(color: str) -> float:
    """The relative luminance of a colour."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_runs_behind_links_are_found_once(tmp_path: Path) -> None:
    """A linked folder is looked into, also in wandb's hidden one, and no link leads round or to a run twice."""
    far, here = tmp_path / "scratch" / "far", tmp_path / "here"
    shutil.copytree(made_runs() / "staged", far / "staged", symlinks=True)
    (far / "round").symlink_to(tmp_path / "here")
    shutil.copytree(broken_runs() / "two_sessions", here / ".wandb", symlinks=True)
    (here / "linked").symlink_to(far)
    (here / "again").symlink_to(far / "staged")
    (newest,) = sorted(here.rglob("offline-run-*"))[-1:]
    (newest.parent / "another").symlink_to(newest)
    one, two = sorted(find_below([here]), key=lambda found: len(found.files))
    assert one.path.resolve().is_relative_to(far)
    assert len(two.files) == 2


def test_a_single_file_is_shown(tmp_path: Path) -> None:
    """A ``.wandb`` file alone, without its folder, is a run."""
    shutil.copy(wandb_file("staged"), tmp_path / "run-staged.wandb")
    with show(tmp_path / "run-staged.wandb") as shown:
        (card,) = shown.runs()
        assert len(shown.points(card["key"], LOSS)) == 100
