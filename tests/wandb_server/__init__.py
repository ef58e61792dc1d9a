"""A small W&B backend on the loopback, that the real wandb client uploads to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import run_client, run_sync, start_client, start_process
from .faults import Fault
from .server import API_KEY, Request, WandBServer
from .state import Alert, Artifact, Run

__all__ = [
    "API_KEY",
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
]


@pytest.fixture
def wandb_server() -> Iterator[WandBServer]:
    """A running server with nothing in it."""
    with WandBServer() as server:
        yield server
