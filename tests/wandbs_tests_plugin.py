"""A plugin for the pytest of wandb's own tests: the loopback server, and ``ups.guard()`` where it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Self

import pytest

from wandb_server import WandBServer
from wandb_server.graphql import USER

__all__: list[str] = []


class _Users:
    """Stands in for the service that makes users at wandb's test server."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def make_user(self, *_: Any, **__: Any) -> str:
        """The one user."""
        return USER


def pytest_configure(config: pytest.Config) -> None:
    """Begin, before wandb's ``conftest`` is imported."""
    sys.path.insert(0, str(config.rootpath))
    server = WandBServer()
    server.start()
    config.add_cleanup(server.stop)
    backend = importlib.import_module("tests.system_tests.backend_fixtures")
    address = backend.LocalWandbBackendAddress(host="127.0.0.1", base_port=server.port, fixture_port=server.port)
    vars(backend)["connect_to_local_wandb_backend"] = lambda name: address
    vars(backend)["BackendFixtureFactory"] = _Users
    if os.environ["JOURNALED"] == "True":
        import ups

        ups.guard()
