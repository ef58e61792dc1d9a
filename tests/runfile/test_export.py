"""A run's rows for other tools."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest

import ups
from runfile.real_runs import made_runs
from ups.cli import main
from ups.errors import MissingDependency
from ups.runs import open_run

STEP, LOSS = "training/operator/step", "training/operator/loss"


def export(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Calls ``ups export``; its exit status."""
    monkeypatch.setattr(sys, "argv", ["ups", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_table_has_the_rows_of_the_run_and_a_column_per_metric() -> None:
    """A cell without a value is null in polars, which keeps NaN, and NaN in pandas."""
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    frame = ups.open_run(made_runs() / "empty_near_miss").to_polars()
    assert frame.columns[:2] == ["_step", "_timestamp"]
    assert frame[STEP].to_list() == [None, 1.0, 2.0, 3.0, 4.0]
    assert frame[LOSS].to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]
    some = open_run(made_runs() / "not_finite").to_polars()["some"]
    assert some.null_count() == 0
    assert some.is_nan().to_list() == [False, False, True]
    pandas = open_run(made_runs() / "empty_near_miss").to_pandas()
    assert pandas["_step"].tolist() == [0, 1, 2, 3, 4]
    assert pandas[STEP].isna().tolist() == [True, False, False, False, False]


def test_csv_holds_every_number_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CSV file reads back bit for bit, empty where a row does not hold a metric, without what is no number."""
    assert export(monkeypatch, made_runs() / "every_value", "--to", "csv", "-o", tmp_path / "run.csv") == 0
    (row,) = csv.DictReader((tmp_path / "run.csv").open())
    assert (float(row["tiny"]), float(row["big"]), float(row["float"])) == (5e-324, sys.float_info.max, 0.1)
    assert math.isnan(float(row["nan"]))
    assert float(row["minus_inf"]) == -math.inf
    assert not {"text", "list", "histogram"} & row.keys()
    assert export(monkeypatch, made_runs() / "not_numeric", "--to", "csv", "-o", tmp_path / "gaps.csv") == 0
    assert [row["mixed"] for row in csv.DictReader((tmp_path / "gaps.csv").open())] == ["", "1.0", "2.0"]


def test_whole_numbers_keep_their_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that float64 rounds are int64 in each form, with gaps where a row does not hold them."""
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    steps, some = [2**60 + step for step in range(8)], [2**53 + step if step % 2 else None for step in range(8)]
    run = open_run(made_runs() / "whole_numbers")
    for kind in ("csv", "parquet"):
        assert export(monkeypatch, run.path, "--to", kind, "-o", tmp_path / f"run.{kind}") == 0
    rows = list(csv.DictReader((tmp_path / "run.csv").open()))
    assert [row["ns/step"] for row in rows] == list(map(str, steps))
    assert [row["ns/some"] for row in rows] == ["" if value is None else str(value) for value in some]
    for frame in (polars.read_parquet(tmp_path / "run.parquet"), run.to_polars()):
        assert frame.schema["ns/step"] == frame.schema["ns/some"] == polars.Int64
        assert (frame["ns/step"].to_list(), frame["ns/some"].to_list()) == (steps, some)
    table = run.to_pandas()
    assert (str(table["ns/step"].dtype), str(table["ns/some"].dtype)) == ("int64", "Int64")
    assert table["ns/step"].tolist() == steps
    assert [None if value is pandas.NA else value for value in table["ns/some"].tolist()] == some
    assert open_run(made_runs() / "steps_of_nanoseconds").to_pandas()["_step"].tolist() == steps[:3]


def test_parquet_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Parquet file holds the same table."""
    polars = pytest.importorskip("polars")
    assert export(monkeypatch, made_runs() / "staged", "--to", "parquet", "-o", tmp_path / "run.parquet") == 0
    assert polars.read_parquet(tmp_path / "run.parquet").equals(open_run(made_runs() / "staged").to_polars())


def test_an_existing_file_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that exists is left as it is, with exit status 2."""
    target = tmp_path / "run.csv"
    target.write_text("mine")
    assert export(monkeypatch, made_runs() / "staged", "--to", "csv", "-o", target) == 2
    assert target.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


FULL_DISK = """
import resource, sys
from ups.cli import main
sys.dont_write_bytecode = True  # which would be cut off, for all
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # bytes in a file
run = sys.argv[1]
for arguments in (["export", run, "--to", "csv"], ["export", run, "--to", "parquet"], ["report", run]):
    sys.argv = ["ups", *arguments, "-o", "output"]
    try:
        main()
    except SystemExit as ended:
        print(ended.code)
"""


def test_what_cannot_be_written_whole_is_not_there() -> None:
    """On a full disk, what was begun is taken away, and one line says so."""
    pytest.importorskip("polars")
    command = [sys.executable, "-c", FULL_DISK, str(made_runs() / "staged")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2", "2"]
    assert done.stderr.splitlines() == ["ups: output cannot be written: File too large"] * 3
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("package", ["polars", "pandas"])
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without polars or pandas, the error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"pip install 'ups-tracking\[{package}\]'"):
        getattr(open_run(made_runs() / "staged"), f"to_{package}")()
