"""One run that is opened: what a page is told of it while it is read."""

from runfile.real_runs import made_runs
from ups.dashboard.opened_run import open_path


def test_a_run_is_all_read_once_its_summary_is_there() -> None:
    """Between the last rows and the summary that comes with them, a page is not told that it has everything."""
    run = open_path(made_runs() / "many_rows")
    try:
        run.advance(0.0)
        run.publish()
        run.judge()
        told = [run.as_data()]
        while run.advance(1.0) or run.read < 1.0:
            pass
        run.publish()
        told.append(run.as_data())
        run.judge()
        told.append(run.as_data())
    finally:
        run.close()
    assert [each["read"] == 1 for each in told] == [bool(each["summary"]) for each in told] == [False, False, True]
