"""Tables, images and files of a run, written to its directory for delivery."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ups.durable import write_atomically
from ups.errors import InvalidValue, UsageError
from ups.extras import require
from ups.text import shown
from ups.tracking.values import number

__all__ = ["is_medium", "keep_artifact", "keep_file", "keep_image", "keep_table"]

_TAKEN_BY_WANDB = {("matplotlib", "Figure"), ("plotly", "BaseFigure"), ("pandas", "DataFrame")}
_types: dict[type, bool] = {}  # whether wandb keeps values of a type as media


def is_medium(value: Any) -> bool:
    """True for what wandb keeps as a medium, where this process has imported wandb: its types, figures, data frames."""
    if "wandb" not in sys.modules:
        return False
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(is_medium, value))
    kind = type(value)
    if kind not in _types:
        _types[kind] = _is_taken(kind)
    return _types[kind]


def _is_taken(kind: type) -> bool:
    """True for a type of wandb's, and for one that it turns into its own."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if package == "wandb" or (package, base.__name__) in _TAKEN_BY_WANDB:
            return True
    return False


def keep_table(folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table below ``folder``. A cell is text, a truth value, None or a number; other values become text.

    Raises:
        InvalidValue: A row has more or fewer cells than there are columns.
    """
    names = [str(column) for column in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    for index, row in enumerate(cells):
        if len(row) != len(names):
            raise InvalidValue(f"table {name!r}: row {index} has {len(row)} cells for {len(names)} columns")
    path = _new_path(folder / "tables", name, ".json")
    write_atomically(path, json.dumps({"columns": names, "rows": cells}, ensure_ascii=False))
    return path


def keep_image(folder: Path, name: str, image: Any) -> Path:
    """Write an image below ``folder``: a path, a matplotlib figure, a PIL image, or an array.

    An array is height × width (grey), or height × width × 3 or 4 (colour); floats from 0 to 1, or bytes.

    Raises:
        InvalidValue: ``image`` is something else.
        MissingDependency: An array needs Pillow.
    """
    if isinstance(image, (str, Path)):
        source = Path(image)
        if not source.is_file():
            raise InvalidValue(f"image {name!r}: {source} is not a file")
        path = _new_path(folder / "images", name, source.suffix.lower() or ".png")
        shutil.copyfile(source, path)
        return path
    path = _new_path(folder / "images", name, ".png")
    if hasattr(image, "savefig"):
        image.savefig(path)
    elif hasattr(image, "save") and hasattr(image, "mode"):
        image.save(path)
    else:
        _picture(name, image).save(path)
    return path


def keep_file(folder: Path, source: Path, base: Path | None) -> tuple[Path, Path]:
    """Copy a file below ``folder``. Returns the base folder of the copy, and the name under it.

    Raises:
        UsageError: ``source`` is not a file, or does not lie below ``base``.
    """
    if not source.is_file():
        raise UsageError(f"save_file: {source} is not a file")
    try:
        name = source.resolve().relative_to(base.resolve()) if base is not None else Path(source.name)
    except ValueError:
        raise UsageError(f"save_file: {source} does not lie below base_path {base}") from None
    target = folder / "files" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    return folder / "files", name


def keep_artifact(folder: Path, source: Path, name: str) -> Path:
    """Copy a file or a folder below ``folder``, as it is now.

    Raises:
        UsageError: ``source`` does not exist.
    """
    target = _new_path(folder / "artifacts", name, "")
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        target.mkdir()
        shutil.copy2(source, target / source.name)
        return target / source.name
    else:
        raise UsageError(f"log_artifact: {source} does not exist")
    return target


def _new_path(folder: Path, name: str, suffix: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._") or "unnamed"
    path = folder / f"{stem}{suffix}"
    copy = 1
    while path.exists():
        copy += 1
        path = folder / f"{stem}-{copy}{suffix}"
    return path


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    try:
        return number(value)
    except InvalidValue:
        return shown(value, 1000)


def _picture(name: str, image: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(image, "__array__"):
        raise InvalidValue(
            f"image {name!r}: {shown(image)} is not an image: pass a path, a matplotlib figure, a PIL image or an array"
        )
    require("media", "PIL", user=f"image {name!r}, an array,")
    from PIL import Image

    array = numpy.asarray(image)
    if array.dtype.kind == "f":
        array = (numpy.clip(numpy.nan_to_num(array), 0, 1) * 255).round().astype("uint8")
    elif array.dtype.kind in "iu" and array.size and (array.min() < 0 or array.max() > 255):
        raise InvalidValue(
            f"image {name!r}: whole numbers from {array.min()} to {array.max()} are not bytes: scale them to 0 … 255,"
            " or to floats from 0 to 1"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InvalidValue(
            f"image {name!r}: an array of shape {array.shape} is not an image: pass height × width (× 3 or 4)"
        )
    return Image.fromarray(array.astype("uint8"))
