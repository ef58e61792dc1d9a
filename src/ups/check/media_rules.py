"""The rules about media: tables, images and whatever else is a file. One pure function each, as for charts.

W&B shows the media of a name one after the other, by ``_step``. A step metric that is defined for the name counts for
numbers only (wandb#6500). So what can be wrong is that a file does not hold what was logged, is not there or is named
by no row, or that two rows have one ``_step``.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ups.check.findings import Finding, severity_of
from ups.runfile import Run
from ups.runfile.logged_media import LoggedMedia, media_files, table_size

__all__ = ["MEDIA_RULES", "Media", "media_findings"]

_FIRST = 3  # names in a message
_MOST_IN_FILE = 10_000  # rows of a table; more stand only in its artifact, which wandb makes at the same time
_MOST_READ = 100  # tables of a run whose files are read
_NAME = re.compile(r"(?P<key>.+)_\d+_(?P<hash>[0-9a-f]{20})\.[^/]+\Z")  # as wandb names a file: key, step, SHA-256
_SHOWN_ALONE = re.compile(r"media/(?!metadata/|images/mask/)")  # not a part of another medium


@dataclass(frozen=True)
class Media:
    """The facts about the media of one name.

    Attributes:
        key: the name under which they were logged.
        logged: each, in the order of the rows.
        sizes: rows and columns of a table's file, by its folder and path, for those that grew and can be read.
        missing: the files that the rows name and that are not in the run's folder.
        unnamed: the files in the run's folder that were logged under the name and that no row names.
        dropped: how many calls of ``log()`` wandb dropped in this run.
    """

    key: str
    logged: tuple[LoggedMedia, ...] = ()
    sizes: Mapping[tuple[Path, str], tuple[int, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    dropped: int = 0


def frozen_table(media: Media) -> Finding | None:
    """A table that grew after it was first logged: wandb stores one of ``log_mode="IMMUTABLE"`` once."""
    gone = {"row": 0, "column": 0}
    logged = most = held = grown = 0
    for place, tables in _grown(media.logged).items():
        oldest, file = tables[0], media.sizes.get(place)
        rows = max(table.rows or 0 for table in tables)
        columns = max(table.columns or 0 for table in tables)
        stored = oldest.rows or 0, oldest.columns or 0
        if file is not None and file[0] < _MOST_IN_FILE:
            stored = file
        lost = max(0, rows - stored[0]), max(0, columns - stored[1])
        if any(lost):
            grown, logged, most, held = grown + 1, len(tables), rows, stored[0]
            gone = {"row": gone["row"] + lost[0], "column": gone["column"] + lost[1]}
    if not grown:
        return None
    what = "row" if gone["row"] else "column"
    nowhere = f"{_counted(gone[what], what)} {'are' if gone[what] != 1 else 'is'} nowhere"
    if grown > 1:
        message = f"{grown:,} tables of {media.key} grew after they were first logged and stored: {nowhere}"
    elif what == "row":
        message = (
            f"{media.key} was logged {logged:,} times with up to {_counted(most, 'row')}, and only the"
            f" {_counted(held, 'row')} of the first time {'is' if held == 1 else 'are'} stored: {nowhere}"
        )
    else:
        first = "only the columns of the first time are stored"
        message = f"{media.key} was logged {logged:,} times, and {first}: {nowhere}"
    return _finding(
        media,
        "frozen-table",
        gone[what],
        message,
        'a wandb.Table of log_mode="IMMUTABLE", the default, is stored when it is first logged, and never again',
        'wandb.Table(columns=[...], log_mode="INCREMENTAL")  # or a new wandb.Table for each log()',
    )


def missing_media(media: Media) -> Finding | None:
    """Files that the rows name are not in the run's folder. Nothing is said of files that were uploaded and cleaned."""
    count = len(media.missing)
    if not count:
        return None
    named = len({path for each in media.logged for path in each.paths})
    return _finding(
        media,
        "missing-media",
        count,
        f"the history names {_counted(named, 'file')} of {media.key}, and {count:,}"
        f" {'is' if count == 1 else 'are'} not in the run's folder: {_first(media.missing)}",
        "they were removed after they were logged, or the run was copied without them",
        "cp -r ORIGINAL/files/media files/  # from where the run was written, before wandb sync",
    )


def lost_media(media: Media) -> Finding | None:
    """Files that were logged and that no row names, so that W&B shows them nowhere."""
    count = len(media.unnamed)
    if not count:
        return None
    overwritten = "the name was given again before its row was written (commit=False, or the same step=)"
    dropped = f"wandb dropped {_counted(media.dropped, 'call')} of log() whose step= went back"
    return _finding(
        media,
        "lost-media",
        count,
        f"the run's folder holds {_counted(count, 'file')} of {media.key} that no row names: {_first(media.unnamed)}",
        f"{dropped}, or {overwritten}" if media.dropped else f"{overwritten}, or log() failed after the file was made",
        f"run.log({{{_text(media.key)}: value}})  # a row each: without commit=False and step=",
    )


def stacked_media(media: Media) -> Finding | None:
    """Several rows of one ``_step`` hold the name: in a later session of the run that counts from an older number."""
    rows = Counter(each.step for each in media.logged)
    count = sum(rows.values()) - len(rows)
    if not count:
        return None
    step = next(step for step, held in rows.items() if held > 1)
    return _finding(
        media,
        "stacked-media",
        count,
        f"{count:,} of the {len(media.logged):,} values of {media.key} stand at a _step that another one has, the first"
        f" at {step}",
        "several sessions of the run number their rows alike, and W&B shows media by _step, whatever their step metric",
        f"run.log({{{_text(media.key)}: value}}, step=last + 1)  # the first row of a later session",
    )


MEDIA_RULES: tuple[Callable[[Media], Finding | None], ...] = (frozen_table, missing_media, lost_media, stacked_media)
"""Every rule about media."""


def media_findings(run: Run) -> list[Finding]:
    """The findings about the media of a run; a run that logged none is not looked at."""
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
    """Add the files of one session that are not in its folder, by name.

    Without the whole folder, an online run and one that was synced have been cleaned, and a file that lies alone was
    copied alone.
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
    """Add the files of one session whose content no row shows, by the name that they were logged under.

    Of a table that is stored as it grows, a later file holds what an earlier one does, or the history names it.
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
    """The folder and key in a file's name as wandb gives it, and what it has of the content's hash."""
    match = _NAME.match(path)
    return (match["key"], match["hash"]) if match else None


def _grown(logged: Iterable[LoggedMedia]) -> dict[tuple[Path, str], list[LoggedMedia]]:
    """The tables of which several rows name one file, though not of one size; by folder and file."""
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


def _finding(media: Media, code: str, count: int, message: str, cause: str, fix: str) -> Finding:
    return Finding(code, severity_of(code), media.key, message, cause, fix, repairable=False, count=count)


def _first(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _FIRST:,} more" if len(paths) > _FIRST else ""
    return ", ".join(paths[:_FIRST]) + more


def _text(name: str) -> str:
    """A name as a string in code."""
    return json.dumps(name, ensure_ascii=False)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
