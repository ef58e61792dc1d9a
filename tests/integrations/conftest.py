"""What the tests of the integrations share."""

import ast
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def frameworks(request: pytest.FixtureRequest) -> None:
    """Imports what a module of tests has below ``if TYPE_CHECKING``, when its first test runs.

    A framework takes seconds to import, and every process of pytest collects every module.
    """
    path = Path(request.module.__file__)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(statement.body, []), path, "exec"), vars(request.module))
