"""The rules about media (tables, images and other files): one pure function each, as for charts.

W&B shows the media of a name one after the other, by ``_step``. It uses a step metric of the name for numbers only
(wandb#6500). So four things can be wrong: a file lacks a part of what was logged, a file is missing, no row names a
file, or two rows share a ``_step``.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ups.check.causes import as_code
from ups.check.findings import Finding
from ups.runfile import Run
from ups.runfile.logged_media import LoggedMedia, media_files, table_size
from ups.text import counted

__all__ = ["MEDIA_RULES", "Media", "media_findings"]

_FIRST = 3  # names in a message
_MOST_IN_FILE = 10_000  # rows of a table; only its artifact, which wandb makes at the same time, holds more
_MOST_READ = 100  # files of tables of one run
_NAME = re.compile(r"(?P<key>.+)_\d+_(?P<hash>[0-9a-f]{20})\.[^/]+\Z")  # wandb's name for a file: key, step, SHA-256
_SHOWN_ALONE = re.compile(r"media/(?!metadata/|images/mask/)")  # not a part of another medium


@dataclass(frozen=True)
class Media:
    """The facts about the media of one name.

    Attributes:
        key: The name under which they were logged.
        logged: The media, in the order of the rows.
        sizes: Rows and columns of a table's file, by folder and path, for tables that grew and can be read.
        missing: The files that rows name but the run's folder lacks.
        unnamed: The files of this name in the run's folder that no row names.
        dropped: The count of calls of ``log()`` that wandb dropped in this run.
    """

    key: str
    logged: tuple[LoggedMedia, ...] = ()
    sizes: Mapping[tuple[Path, str], tuple[int, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    dropped: int = 0


def frozen_table(media: Media) -> Finding | None:
    """A table that grew after it was first logged; with ``log_mode="IMMUTABLE"``, wandb stores a table once."""
    gone = {"row": 0, "column": 0}
    logged = most = held = grown = 0
    for place, tables in _grown(media.logged).items():
        oldest, file = tables[0], media.sizes.get(place)
        rows = max(table.rows or 0 for table in tables)
        columns = max(table.columns or 0 for table in tables)
        stored = oldest.rows or 0, oldest.columns or 0
        if file is not None and file[0] < _MOST_IN_FILE:
            stored = file
        rows_gone, columns_gone = max(0, rows - stored[0]), max(0, columns - stored[1])
        if rows_gone or columns_gone:
            grown, logged, most, held = grown + 1, len(tables), rows, stored[0]
            gone = {"row": gone["row"] + rows_gone, "column": gone["column"] + columns_gone}
    if not grown:
        return None
    what = "row" if gone["row"] else "column"
    lost = f"{counted(gone[what], what)} {'are' if gone[what] != 1 else 'is'} lost"
    if grown > 1:
        message = f"{grown:,} tables of {media.key} grew after they were first logged and stored: {lost}"
    elif what == "row":
        message = (
            f"{media.key} was logged {logged:,} times and grew to {counted(most, 'row')}, but only the"
            f" {counted(held, 'row')} of the first time {'is' if held == 1 else 'are'} stored: {lost}"
        )
    else:
        message = f"{media.key} was logged {logged:,} times, but only the columns of the first time are stored: {lost}"
    return Finding.of(
        "frozen-table",
        media.key,
        gone[what],
        message,
        'wandb stores a wandb.Table with log_mode="IMMUTABLE", the default, only when it is first logged',
        'wandb.Table(columns=[...], log_mode="INCREMENTAL")  # or a new wandb.Table for each log()',
    )


def missing_media(media: Media) -> Finding | None:
    """Files that rows name but the run's folder lacks, unless they were uploaded and then removed."""
    count = len(media.missing)
    if not count:
        return None
    named = len({path for each in media.logged for path in each.paths})
    return Finding.of(
        "missing-media",
        media.key,
        count,
        f"the history names {counted(named, 'file')} of {media.key}, but {count:,}"
        f" {'is' if count == 1 else 'are'} not in the run's folder: {_first(media.missing)}",
        "they were removed after they were logged, or the run was copied without them",
        "cp -r ORIGINAL/files/media files/  # before wandb sync, from the folder where the run was written",
    )


def lost_media(media: Media) -> Finding | None:
    """Files that were logged but that no row names, so W&B does not show them."""
    count = len(media.unnamed)
    if not count:
        return None
    overwritten = "the name was logged again before its row was written (commit=False, or the same step=)"
    dropped = f"wandb dropped {counted(media.dropped, 'call')} of log() whose step= went back"
    return Finding.of(
        "lost-media",
        media.key,
        count,
        f"the run's folder holds {counted(count, 'file')} of {media.key} that no row names: {_first(media.unnamed)}",
        f"{dropped}, or {overwritten}" if media.dropped else f"{overwritten}, or log() failed after the file was made",
        f"run.log({{{as_code(media.key)}: value}})  # one row per value: without commit=False and step=",
    )


def stacked_media(media: Media) -> Finding | None:
    """Several rows of one ``_step`` hold the name, since a later session of the run counts from an older number."""
    rows = Counter(each.step for each in media.logged)
    count = sum(rows.values()) - len(rows)
    if not count:
        return None
    step = next(step for step, held in rows.items() if held > 1)
    return Finding.of(
        "stacked-media",
        media.key,
        count,
        f"{count:,} of the {len(media.logged):,} values of {media.key} share a _step with another, first at {step}",
        "several sessions of the run use one _step, and W&B shows media by _step, even if a step metric is defined",
        f"run.log({{{as_code(media.key)}: value}}, step=last + 1)  # the first row of a later session",
    )


MEDIA_RULES: tuple[Callable[[Media], Finding | None], ...] = (frozen_table, missing_media, lost_media, stacked_media)
"""Every rule about media."""


def media_findings(run: Run) -> list[Finding]:
    """The findings about the media of a run."""
    logged = run.media
    if not logged:
        return []
    return [finding for media in _facts(run, logged) for rule in MEDIA_RULES if (finding := rule(media)) is not None]


def _facts(run: Run, logged: tuple[LoggedMedia, ...]) -> list[Media]:
    by_key: dict[str, list[LoggedMedia]] = {}
    by_home: dict[Path, list[LoggedMedia]] = {}
    for each in logged:
        by_key.setdefault(each.key, []).append(each)
        by_home.setdefault(each.home, []).append(each)
    shown = {name[1] for each in logged for path in each.paths if (name := _named(path)) is not None}
    missing: dict[str, dict[str, None]] = {}
    unnamed: dict[str, list[str]] = {}
    sizes: dict[tuple[Path, str], tuple[int, int]] = {}
    for home, media in by_home.items():
        files = media_files(home)
        _add_missing(missing, home, media, files)
        if files is None:
            continue
        if run.finished and not run.damage:  # else a row may still come, or cannot be read
            _add_unnamed(unnamed, media, files, shown)
        for _, path in _grown(media):
            if path in files and len(sizes) < _MOST_READ and (size := table_size(home, path)) is not None:
                sizes[home, path] = size
    dropped = run.lost_rows.count if unnamed else 0
    return [
        Media(
            key,
            tuple(by_key.get(key, ())),
            sizes,
            tuple(missing.get(key, ())),
            tuple(unnamed.get(key, ())),
            dropped,
        )
        for key in dict.fromkeys([*by_key, *unnamed])
    ]


def _add_missing(
    missing: dict[str, dict[str, None]], home: Path, media: Iterable[LoggedMedia], files: frozenset[str] | None
) -> None:
    """Add the files that one session's folder lacks, by name.

    If the whole folder is missing, an online or synced run was cleaned up, or the ``.wandb`` file was copied alone.
    """
    synced = any(home.parent.glob("*.wandb.synced"))
    offline = home.parent.name.startswith("offline-run-")
    if synced or (files is None and not (offline and home.is_dir() and not (home / "media").exists())):
        return
    for each in media:
        gone = (path for path in each.paths if path not in (files or ()))
        missing.setdefault(each.key, {}).update(dict.fromkeys(gone))


def _add_unnamed(
    unnamed: dict[str, list[str]], media: Iterable[LoggedMedia], files: Iterable[str], shown: set[str]
) -> None:
    """Add the files of one session whose content no row shows, by the name under which they were logged.

    A table that is stored as it grows is left out: a later file holds the rows of an earlier one.
    """
    keys: dict[str, str] = {}
    growing = set()
    for each in media:
        for path in each.paths:
            if (name := _named(path)) is not None:
                keys.setdefault(name[0], each.key)
                if each.log_mode in ("MUTABLE", "INCREMENTAL"):
                    growing.add(name[0])
    for path in sorted(files):
        name = _named(path) if _SHOWN_ALONE.match(path) else None
        if name is not None and name[1] not in shown and name[0] not in growing:
            own = PurePosixPath(name[0]).relative_to("media")
            unnamed.setdefault(keys.get(name[0], "/".join(own.parts[1:])), []).append(path)


def _named(path: str) -> tuple[str, str] | None:
    """The folder with the key, and the beginning of the content's hash, in the name that wandb gives a file."""
    match = _NAME.match(path)
    return (match["key"], match["hash"]) if match else None


def _grown(logged: Iterable[LoggedMedia]) -> dict[tuple[Path, str], list[LoggedMedia]]:
    """Find the tables whose rows name one file but different sizes, by folder and file."""
    tables: dict[tuple[Path, str], list[LoggedMedia]] = {}
    for each in logged:
        if each.rows is not None and each.log_mode not in ("MUTABLE", "INCREMENTAL"):
            tables.setdefault((each.home, each.paths[0]), []).append(each)
    return {
        place: same
        for place, same in tables.items()
        if max(each.rows or 0 for each in same) > (same[0].rows or 0)
        or max(each.columns or 0 for each in same) > (same[0].columns or 0)
    }


def _first(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _FIRST:,} more" if len(paths) > _FIRST else ""
    return ", ".join(paths[:_FIRST]) + more
