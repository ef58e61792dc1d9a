"""A run → one HTML file with the dashboard's own page, charts and findings, which needs no server."""

import base64
import contextlib
import html
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ups.dashboard.encoding import as_json
from ups.dashboard.modules import bundle, page_file
from ups.dashboard.opened_run import VIEWS, OpenedRun, Unknown, open_path
from ups.dashboard.security import csp_hash, plotly_script, plotly_style_hashes
from ups.durable import new_file
from ups.text import counted

__all__ = ["report_html", "write_report"]

_PIXELS = 1000  # per chart, which has up to twice as many points, however wide it is
_MOST_IMAGE_BYTES = 24 * 1024 * 1024
_MOST_TABLE_ROWS = 5000  # of all tables together

T = TypeVar("T")


def write_report(path: Path, output: str | os.PathLike[str]) -> int:
    """Write the report of the run at ``path`` to a new file; return its size in bytes.

    Raises:
        UsageError: There is no run or more than one, or the file exists or cannot be written.
        RunDirectoryError, RunFileError: The run cannot be read.
    """
    with new_file(output) as file:
        run = open_path(path)
        try:
            run.read_all()
            # A name that anyone wrote may hold half a surrogate pair.
            return file.write(report_html(run).encode(errors="backslashreplace"))
        finally:
            run.close()


def report_html(run: OpenedRun) -> str:
    """Write the report of a run that was read to its end, as HTML.

    The file carries a content security policy of its own: only the scripts and styles in it run, and nothing is
    fetched.
    """
    data = _data(run)
    card = data["run"]["card"]
    title = html.escape(card["name"] or card["run_id"] or "run")
    theme, style = page_file("theme.js"), page_file("page.css")
    plotly, page = _in_script(plotly_script()), _in_script(bundle("report.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(csp_hash(script) for script in (theme, plotly, page))}",
            f"style-src {csp_hash(style)} {' '.join(plotly_style_hashes())}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return f"""<!doctype html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title} · UPS</title>
<script>{theme}</script>
<style>{style}</style>
</head>
<body>
<noscript><p class="notice">JavaScript draws these charts: turn it on for this page.</p></noscript>
<script type="application/json" id="ups-data">{_in_markup(as_json(data).decode())}</script>
<script>{plotly}</script>
<script>{page}</script>
</body>
</html>
"""


def _data(run: OpenedRun) -> dict[str, Any]:
    about = run.as_data()
    series: dict[str, dict[str, Any]] = {view: {} for view in VIEWS}
    for view in VIEWS if about["differs"] else VIEWS[:1]:
        for chart in about["views"][view]:
            if chart["points"] or chart["not_finite"]:
                metric = chart["metric"]
                lines = {
                    name: run.series(view, metric, by_time=name == "time", pixels=_PIXELS) for name in ("step", "time")
                }
                if as_json(series[VIEWS[0]].get(metric)) != as_json(lines):
                    series[view][metric] = lines
    tables, tables_out = _newest(about["tables"], run.table, lambda table: len(table["rows"]), _MOST_TABLE_ROWS)
    images, images_out = _newest(about["images"], run.image, lambda image: len(image[0]), _MOST_IMAGE_BYTES)
    about["images"] = [image for image in about["images"] if image["id"] in images]
    left_out = [counted(count, noun) for count, noun in ((tables_out, "table"), (images_out, "image")) if count]
    return {
        "made": time.time(),
        "run": about,
        "series": series,
        "tables": tables,
        "images": {
            key: f"data:{kind};base64,{base64.b64encode(image).decode()}" for key, (image, kind) in images.items()
        },
        "left_out": " and ".join(left_out),
    }


def _newest(
    listed: list[dict[str, Any]], read: Callable[[str], T], size: Callable[[T], int], room: int
) -> tuple[dict[str, T], int]:
    """The tables or images by id, the newest first while there is room, and the number of those left out."""
    kept: dict[str, T] = {}
    for about in reversed(listed):
        with contextlib.suppress(Unknown):
            found = read(about["id"])
            if size(found) <= room:
                room -= size(found)
                kept[about["id"]] = found
    return kept, len(listed) - len(kept)


def _in_script(source: str) -> str:
    """Escape source so that it does not end its script element. A string or a pattern keeps its meaning."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _in_markup(data: str) -> str:
    """Escape JSON so that no character is markup."""
    return data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
