"""A run as one table: a row a row, a column a metric, empty where a row does not hold it."""

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
from ups.errors import MissingDependency
from ups.runfile.digits import Values
from ups.runfile.history import Column
from ups.runfile.items import Form
from ups.text import spreadsheet_text

__all__ = ["TableColumn", "Tabular", "table_columns", "to_pandas", "to_polars", "write_csv", "write_parquet"]


class Tabular(Protocol):
    """The members of a run that make its table."""

    @property
    def rows(self) -> int: ...
    @property
    def metrics(self) -> list[str]: ...
    def column(self, name: str) -> Column | None: ...


class TableColumn(NamedTuple):
    """One column of a run's table.

    Attributes:
        name: the metric; ``_step`` and ``_timestamp`` come first.
        values: shape (rows,): float64, NaN where nothing is held; int64, 0 where nothing is held, for ``_step`` and
            where float64 would round whole numbers (see ``ups/runfile/digits.py``).
        held: bool, shape (rows,): whether the row holds a number, NaN and infinities included, under that name.
    """

    name: str
    values: Values
    held: NDArray[np.bool_]


def table_columns(run: Tabular) -> Iterator[TableColumn]:
    """The columns of a run's table, axes too; names that hold no number in any row are left out."""
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
    """A ``polars.DataFrame``; null where a row does not hold a metric.

    Raises:
        MissingDependency: polars is not installed.
    """
    polars = _require("polars")
    columns = []
    for name, values, held in table_columns(run):
        series = polars.Series(name, values)
        columns.append(series if held.all() else series.zip_with(polars.Series(held), polars.Series(name, [None])))
    return polars.DataFrame(columns)


def to_pandas(run: Tabular) -> Any:
    """A ``pandas.DataFrame``; NaN where a row does not hold a metric, ``<NA>`` in a column of whole numbers.

    Raises:
        MissingDependency: pandas is not installed.
    """
    pandas = _require("pandas")
    return pandas.DataFrame(
        {
            name: values if values.dtype == np.float64 or held.all() else pandas.arrays.IntegerArray(values, ~held)
            for name, values, held in table_columns(run)
        }
    )


def write_csv(run: Tabular, path: str | os.PathLike[str]) -> None:
    """Write the table to a new file, a header line first; empty where a row does not hold a metric.

    Raises:
        UsageError: the file exists, or cannot be written.
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
        MissingDependency: polars is not installed.
        UsageError: the file exists, or cannot be written.
    """
    frame = to_polars(run)
    with new_file(path) as file:
        content = io.BytesIO()
        frame.write_parquet(content)  # to memory: what fails on the disk is then an OSError
        file.write(content.getbuffer())


def _cell(value: float) -> str:
    """A number as Python reads it back, bit for bit."""
    return "NaN" if math.isnan(value) else repr(value)


def _require(package: str) -> Any:
    """An optional package; its extra has its name."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependency(f"{package} is not installed: pip install 'ups-tracking[{package}]'") from error
