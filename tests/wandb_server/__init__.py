"""A small W&B backend on the loopback, that the real wandb client uploads to.

    def test_rows_arrive(wandb_server, tmp_path):
        run_client(wandb_server, tmp_path, "import wandb; ...")
        assert wandb_server.run("my-run").history[0]["loss"] == 1.0

The server keeps what it is sent, answers the client and the public API from it, and breaks on demand
(`wandb_server.fault = Fault(status=500, match="file_stream", seconds=5)`, `with wandb_server.away(): ...`).

How the client behaves when it is broken, measured with wandb 0.31.0. Those marked * have a test in
`test_wandb_server.py` or `test_wandb_client.py`.

Uploading rows (`POST …/file_stream`)
- Rows are sent every 15 s, and when the run finishes. The settings for this and for retries are whole seconds:
  wandb-core drops the fraction, and 0 means its default.
- 400, 401, 403, 404, 409 and 410 are fatal, each at the first answer: nothing is sent any more, the server
  goes on showing the run as running, and `finish` returns normally and at once *.
- With `stop_on_fatal_error`, `stop_fn` is called at the next poll: polls come 0, 15, 30 … s after `init` *. A fatal
  answer to the last request, inside `finish`, calls nothing. W&B's Stop button comes by the same poll *.
- 429, 500 and cut connections are retried after 2, 4, 8 … s, without end: 399 attempts seen. No row is lost, and
  none is doubled when only the answer was lost: a request is sent again with the same line numbers *. An
  answer that does not come is given up after 3 minutes, and asked for again.
- `finish` waits for all this without end. With `finish_timeout=5` it returned after 25 s, with a warning; with
  `finish_timeout_raises` as well, it raised the built-in `TimeoutError`.

Everything else
- GraphQL answering 403 at the end costs the configuration, the files and the alerts, without a word; with 500,
  `finish` was still trying after a minute. An upload of a file is lost at a 403, and after 21 attempts at a 500.

Starting
- Without a server, `init` tries to log in for 10 s, then for `init_timeout` (90 s), then raises
  `wandb.errors.CommError` *. The same with a server that hangs or answers 500; 401 and 403 raise it at once.
- After that, the run id is spent in that process, offline too: `init` raises `ServerResponseError`, "run ID … is in
  use" *. `wandb.teardown()` frees it.
- `resume="allow"`: `run.step` is 0 until the first row, and `run.starting_step` says where the run goes on *: one
  past the `_step` of the last line of history or of the summary, whichever is more. Rows below it are dropped. Without
  `resume`, a run that the server knows starts at step 0 again.

`wandb sync`
- Its exit status is 0 after an error *, and 1 only for wrong usage.
- It appends to the lines that the server has (`historyLineCount`), whatever they are. The marker
  `run-….wandb.synced` is all that keeps a second sync from doubling the rows *.
- A fatal answer leaves the server without the rows, and the marker is written all the same: the next sync skips
  that segment *.
- Segments of one run are sent in the order of their folders' names, however they are given.
- A segment that ends between two records, without an exit record, is sent whole; the run has then failed, with
  exit code 1 *.
- A segment that ends inside a record is sent up to there, is not marked, and stops the run's next segments *. Synced
  again after a repair, its rows are doubled. A segment with nothing but the 7 bytes of the file header
  stops the next ones as well.
- Segments that were recorded online are skipped without `--no-skip-online`.
- Without a server it gives up after 21 attempts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import SYNCS_IN_PYTHON, run_client, run_sync, start_client, start_process, word_after
from .faults import Fault
from .server import API_KEY, Request, WandBServer
from .state import Alert, Artifact, Run

__all__ = [
    "API_KEY",
    "SYNCS_IN_PYTHON",
    "Alert",
    "Artifact",
    "Fault",
    "Request",
    "Run",
    "WandBServer",
    "run_client",
    "run_sync",
    "start_client",
    "start_process",
    "wandb_server",
    "word_after",
]


@pytest.fixture
def wandb_server() -> Iterator[WandBServer]:
    """A running server with nothing in it."""
    with WandBServer() as server:
        yield server
