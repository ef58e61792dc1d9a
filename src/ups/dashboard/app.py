"""The dashboard's web application: the addresses that a browser can ask for.

An answer is JSON where the table names nothing else. A key names a run and is not a path. An error is
``{"error": "one clear line"}``.

========================================  =====================================================================
``GET /``, ``/run/{key}``, ``/compare``    the page
``GET /static/{name}``                     a file of the page, by name; ``plotly.js`` from the installed package
``GET /api/runs``                          ``{"folders": [str], "runs": [card]}``
``GET /api/events``                        events ``runs`` (as above, one at once), ``run`` (a card that is new or
                                           changed), ``gone`` ``{"key"}``
``GET /api/runs/{key}``                    the run, without points: :meth:`.OpenedRun.as_data`
``GET /api/runs/{key}/series``             ``?view=&metric=…&x=step|time&pixels=&from=&to=``: ``{"series": […]}``
``GET /api/runs/{key}/events``             ``?view=``: events ``run`` (as above, one at once), ``points``, ``gone``
``GET /api/runs/{key}/chart.csv``          ``?view=&metric=``: all points of a chart
``GET /api/runs/{key}/tables/{id}``        ``{"name", "columns", "rows", "partial"}``: whether there are more rows
``GET /api/runs/{key}/images/{id}``        the image
========================================  =====================================================================

``view`` is ``wandb`` (the charts as W&B draws them) or ``meant`` (as they would be once repaired). A ``points``
event is ``{"rows": int, "series": [{"metric", "x", "time", "y", "marks", "begin", "end"}]}``: the points that are
new, and the values between them that are not finite, each with the points before it (``at``). ``begin`` and ``end``
are cursors, how many rows hold the metric; ``/series`` has the ``end`` behind which the next points come. With
``"refetch": true`` instead of points, the browser asks for the line again. Where a browser would round whole numbers,
they come as text too: points have ``x_digits`` and ``y_digits``, and ``origin``, from which their x, ``from`` and
``to`` count; a value in a summary, a configuration or a table, and a stage's ``last_step``, is text. A card's
``rows``, ``health`` and a stage's ``rows``, ``last_step`` and ``steps_total`` are null while they are not known.
"""

import asyncio
import contextlib
import hashlib
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ups.dashboard.encoding import as_json
from ups.dashboard.live import LiveRun
from ups.dashboard.modules import modules_of
from ups.dashboard.opened_run import VIEWS, Unknown
from ups.dashboard.run_index import RunIndex
from ups.dashboard.security import RequestGuard, plotly_script
from ups.errors import UPSError, UsageError

__all__ = ["create_app"]

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PLOTLY_AGE = 24 * 3600  # seconds
_MOST_METRICS = 200  # per request


class _Missing(UPSError):
    """There is nothing at this address."""


def create_app(run_index: RunIndex, *, host: str, token: str, on_stranger: Callable[[], None]) -> Starlette:
    """Make the application, behind a :class:`RequestGuard`. It watches the runs while it is served."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        run_index.start()
        yield
        await run_index.stop()

    pages = _Pages(run_index)
    api = _Api(run_index)
    routes = [
        Route("/", pages.page),
        Route("/run/{key}", pages.page),
        Route("/compare", pages.page),
        Route("/static/{name}", pages.static),
        Route("/api/runs", _json(api.runs)),
        Route("/api/events", api.events),
        Route("/api/runs/{key}", _json(api.run)),
        Route("/api/runs/{key}/series", _json(api.series)),
        Route("/api/runs/{key}/events", _json(api.run_events)),
        Route("/api/runs/{key}/chart.csv", _json(api.csv)),
        Route("/api/runs/{key}/tables/{id}", _json(api.table)),
        Route("/api/runs/{key}/images/{id}", _json(api.image)),
        Route("/{path:path}", _json(_nothing)),
    ]
    guard = Middleware(RequestGuard, host=host, token=token, on_stranger=on_stranger)
    return Starlette(routes=routes, lifespan=lifespan, middleware=[guard])


def _json(answer: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a function that gives a response or JSON. An error of UPS becomes an answer of one line."""

    async def endpoint(request: Request) -> Response:
        try:
            data = await answer(request)
        except UPSError as error:
            status = 404 if isinstance(error, _Missing | Unknown) else 400
            return Response(as_json({"error": str(error)}), status, media_type="application/json")
        return data if isinstance(data, Response) else Response(as_json(data), media_type="application/json")

    return endpoint


async def _nothing(request: Request) -> object:
    raise _Missing(f"there is nothing at {request.url.path}")


class _Pages:
    """The page and its files."""

    def __init__(self, run_index: RunIndex) -> None:
        self._index = run_index
        self._folder = resources.files("ups.dashboard") / "page"

    async def page(self, request: Request) -> Response:
        """The page; its address says what it shows."""
        key = request.path_params.get("key")
        known = key is None or await self._index.knows(key)
        file = self._file("page.html")
        if file is None:
            return Response("the page is not installed", 500)
        answer = self._answer(request, file.read_bytes(), "text/html", status=200 if known else 404)
        if request.url.path != "/":  # it will draw charts: the browser fetches what they need while it reads the page
            answer.headers["link"] = _ahead()
        return answer

    async def static(self, request: Request) -> Response:
        """A file of the page. It is looked up among the names of the folder, so that no path leads out of it."""
        name = request.path_params["name"]
        if name == "plotly.js":
            script = await run_in_threadpool(plotly_script)
            return self._answer(request, script.encode(), "text/javascript", age=_PLOTLY_AGE)
        file = self._file(name)
        suffix = name[name.rfind(".") :]
        if file is None or suffix not in _TYPES:
            return Response(as_json({"error": f"there is no file {name!r}"}), 404, media_type="application/json")
        return self._answer(request, file.read_bytes(), _TYPES[suffix])

    def _file(self, name: str) -> Traversable | None:
        return next((file for file in self._folder.iterdir() if file.name == name and file.is_file()), None)

    def _answer(self, request: Request, content: bytes, kind: str, *, status: int = 200, age: int = 0) -> Response:
        tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        headers = {"etag": tag, "cache-control": f"max-age={age}" if age else "no-cache"}
        if status == 200 and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, status, headers, media_type=kind)


class _Api:
    """The answers to what the page asks for."""

    def __init__(self, run_index: RunIndex) -> None:
        self._index = run_index
        self._reading_table = asyncio.Lock()  # one may take a hundred megabytes

    async def runs(self, request: Request) -> object:
        """The runs that there are."""
        return {"folders": [str(path) for path in self._index.paths], "runs": await self._index.cards()}

    async def events(self, request: Request) -> Response:
        """The runs that there are, and what changes among them from then on."""
        return self._index.channel.stream("", ("runs", await self.runs(request)))

    async def run(self, request: Request) -> object:
        """A run, without points."""
        return (await self._run(request)).opened.as_data()

    async def run_events(self, request: Request) -> object:
        """The changes of a run."""
        run = await self._run(request)
        view = request.query_params.get("view", VIEWS[0])
        run.opened.view(view)  # raises if there is none
        return run.stream(view)

    async def series(self, request: Request) -> object:
        """The points of some charts."""
        run, query = await self._run(request), request.query_params
        metrics = query.getlist("metric")[:_MOST_METRICS]
        against = query.get("x", "step")
        if against not in ("step", "time"):
            raise UsageError(f"x is {against!r}: take 'step' or 'time'")
        begin, end, pixels = _number(query.get("from")), _number(query.get("to")), _number(query.get("pixels"))
        view = query.get("view", VIEWS[0])

        def line(metric: str) -> dict[str, object]:
            by_time = against == "time"
            return run.opened.series(view, metric, by_time=by_time, pixels=int(pixels or 600), begin=begin, end=end)

        return {"series": await run_in_threadpool(lambda: list(map(line, metrics)))}

    async def csv(self, request: Request) -> object:
        """A chart's points, all of them."""
        run, query = await self._run(request), request.query_params
        metric = query.get("metric", "")
        lines = run.opened.csv(query.get("view", VIEWS[0]), metric)
        first = next(lines)  # raises before the answer has begun
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", metric).strip("._") or "chart"
        headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
        return StreamingResponse(iterate_in_threadpool(chain((first,), lines)), media_type="text/csv", headers=headers)

    async def table(self, request: Request) -> object:
        """A table."""
        run = await self._run(request)
        async with self._reading_table:
            return await run_in_threadpool(run.opened.table, request.path_params["id"])

    async def image(self, request: Request) -> object:
        """An image."""
        run = await self._run(request)
        content, kind = await run_in_threadpool(run.opened.image, request.path_params["id"])
        return Response(content, media_type=kind)

    async def _run(self, request: Request) -> LiveRun:
        run = await self._index.open(request.path_params["key"])
        if run is None:
            raise _Missing("there is no such run here: it was deleted, or it is in another folder")
        return run


@cache
def _ahead() -> str:
    """The files that a page with charts needs, for a browser to fetch at once: Plotly, and every module."""
    modules = [f"</static/{name}>; rel=modulepreload" for name in reversed(modules_of("main.js"))]
    return ", ".join(["</static/plotly.js>; rel=preload; as=script", *modules])


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise UsageError(f"{text!r} is not a finite number")
    return number
