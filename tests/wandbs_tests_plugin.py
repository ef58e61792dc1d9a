"""A plugin for the pytest of wandb's own tests: the loopback server, and ``ups.guard()`` where it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Self

import pytest

from wandb_server import WandBServer, graphql

__all__: list[str] = []

_USER = "tester" * 7  # whose name is the API key, which has 40 characters or more


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
        return _USER


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin, before wandb's ``conftest`` is imported."""
    sys.path.insert(0, str(early_config.rootpath))
    vars(graphql)["USER"] = _USER
    server = WandBServer()
    server.start()
    early_config.add_cleanup(server.stop)
    backend = importlib.import_module("tests.system_tests.backend_fixtures")
    address = backend.LocalWandbBackendAddress(host="127.0.0.1", base_port=server.port, fixture_port=server.port)
    vars(backend)["connect_to_local_wandb_backend"] = lambda name: address
    vars(backend)["BackendFixtureFactory"] = _Users
    if os.environ["JOURNALED"] == "True":
        import ups

        ups.guard()
