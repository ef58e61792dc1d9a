"""A run as one table: a column per metric, with an empty cell where a row does not hold it."""

import csv
import io
import math
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ups.durable import new_file
from ups.extras import require
from ups.runfile.digits import Values
from ups.runfile.history import Column
from ups.runfile.items import Form
from ups.text import spreadsheet_text

__all__ = ["TableColumn", "Tabular", "table_columns", "to_pandas", "to_polars", "write_csv", "write_parquet"]


class Tabular(Protocol):
    """The members of a run that make its table."""

    @property
    def rows(self) -> int:
        """The count of rows."""

    @property
    def metrics(self) -> list[str]:
        """The names of the columns."""

    def column(self, name: str) -> Column | None:
        """The values of a name; None without any."""


class TableColumn(NamedTuple):
    """One column of a run's table.

    Attributes:
        name: The metric; ``_step`` and ``_timestamp`` come first.
        values: The numbers, shape (rows,): float64 with NaN in an empty cell. For ``_step``, and where float64 would
            round whole numbers (see ``ups/runfile/digits.py``), int64 with 0 in an empty cell.
        held: True where the row holds a number, NaN and infinities too, under that name; bool, shape (rows,).
    """

    name: str
    values: Values
    held: NDArray[np.bool_]


def table_columns(run: Tabular) -> Iterator[TableColumn]:
    """Make the columns of a run's table, axes too. Names without a number in any row are left out."""
    for name in ("_step", "_timestamp", *run.metrics):
        column = run.column(name)
        if column is None:
            continue
        numbers = column.forms == Form.NUMBER
        held = np.zeros(run.rows, dtype=bool)
        held[column.rows[numbers]] = True
        whole = name == "_step" or column.values.dtype == np.int64
        values = np.zeros(run.rows, dtype=np.int64) if whole else np.full(run.rows, np.nan)
        values[column.rows] = column.values
        if name == "_step" or held.any():
            yield TableColumn(name, values, held)


def to_polars(run: Tabular) -> Any:
    """Make a ``polars.DataFrame``; null where a row does not hold a metric.

    Raises:
        MissingDependency: The package polars is not installed.
    """
    polars = _require("polars")
    columns = []
    for name, values, held in table_columns(run):
        series = polars.Series(name, values)
        columns.append(series if held.all() else series.zip_with(polars.Series(held), polars.Series(name, [None])))
    return polars.DataFrame(columns)


def to_pandas(run: Tabular) -> Any:
    """Make a ``pandas.DataFrame``; NaN where a row does not hold a metric, ``<NA>`` in a column of whole numbers.

    Raises:
        MissingDependency: The package pandas is not installed.
    """
    pandas = _require("pandas")
    return pandas.DataFrame(
        {
            name: values if values.dtype == np.float64 or held.all() else pandas.arrays.IntegerArray(values, ~held)
            for name, values, held in table_columns(run)
        }
    )


def write_csv(run: Tabular, path: str | os.PathLike[str]) -> None:
    """Write the table to a new file, a header line first; a cell is empty where a row does not hold a metric.

    Raises:
        UsageError: The file exists, or cannot be written.
    """
    columns = list(table_columns(run))
    with new_file(path) as binary, io.TextIOWrapper(binary, encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([spreadsheet_text(column.name) for column in columns])
        cells = [
            [_cell(value) if there else "" for value, there in zip(values.tolist(), held.tolist(), strict=True)]
            for _, values, held in columns
        ]
        writer.writerows(zip(*cells, strict=True))


def write_parquet(run: Tabular, path: str | os.PathLike[str]) -> None:
    """Write the table to a new file, through polars; null where a row does not hold a metric.

    Raises:
        MissingDependency: The package polars is not installed.
        UsageError: The file exists, or cannot be written.
    """
    frame = to_polars(run)
    with new_file(path) as file:
        content = io.BytesIO()
        frame.write_parquet(content)  # to memory, so that an error of the disk is an OSError
        file.write(content.getbuffer())


def _cell(value: float) -> str:
    """Write a number so that Python reads back the same bits."""
    return "NaN" if math.isnan(value) else repr(value)


def _require(package: str) -> Any:
    """Import an optional package, whose extra has the same name."""
    require(package, package)
    return import_module(package)
