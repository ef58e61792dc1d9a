"""The HTTP server: routes, faults, and a life that tests control."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from .faults import Fault, FaultSwitch, Route
from .graphql import GraphQL, UnknownOperationError, operation_name
from .state import Artifact, Json, Run, Store

HOST = "127.0.0.1"
API_KEY = "0123456789" * 4


@dataclass(frozen=True)
class Request:
    """One line of the server's log. `status` is None when the connection was dropped."""

    at: float
    seconds: float
    method: str
    path: str
    route: Route
    operation: str | None
    status: int | None
    faulty: bool


class WandBServer:
    """A W&B backend on a loopback port. It outlives `stop` and `start`: port and state are kept."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or _free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.store = Store()
        self.requests: list[Request] = []
        self.unknown_operations: list[str] = []
        self.refused_operations: set[str] = set()
        """GraphQL operations that this server does not have, as a W&B-compatible one may not."""
        self.count_keys = True
        """Whether a run's `historyKeys` say how many rows hold each metric."""
        self.list_keys = True
        """Whether a run has `historyKeys` at all; without, clients do not learn its last step either."""
        self.faults = FaultSwitch()
        self._graphql = GraphQL(self.store, self.url)
        self._http: _HTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._http is not None:
            raise RuntimeError("the server is running already")
        self._http = _HTTPServer((HOST, self.port), self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away: connections are cut, also those that hang, and new ones are refused. A fault stays on."""
        if self._http is None or self._thread is None:
            return
        self._http.stopping = True
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.faults.release()
        self._http.cut_connections()
        self._http = None

    def __enter__(self) -> WandBServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """The server is gone inside the block, and back after it."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # State

    def run(self, run_id: str) -> Run:
        run = self.store.run(run_id)
        if run is None:
            raise KeyError(f"no run {run_id!r}; there are {sorted(self.store.runs)}")
        return run

    @property
    def runs(self) -> dict[str, Run]:
        """Runs by id. An id is taken to be unique over all projects."""
        with self.store.lock:
            return dict(self.store.runs)

    @property
    def artifacts(self) -> list[Artifact]:
        with self.store.lock:
            return list(self.store.artifacts.values())

    # Faults

    @property
    def fault(self) -> Fault | None:
        return self.faults.fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self.faults.set(fault)

    @contextlib.contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """The fault is on inside the block."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def environment(self, directory: Path, *, quick: bool = True) -> dict[str, str]:
        """The variables that make a process log here, and keep it from the user's own files and proxies.

        `quick` makes the client transmit and retry every second, which is as quick as it can; without it, it
        transmits every 15 seconds, and retries after 2, 4, 8 and so on.
        """
        folders = {name: directory / name for name in ("config", "cache", "data", "artifacts", "home")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        variables = {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": API_KEY,
            "WANDB_MODE": "online",
            "WANDB_DIR": str(directory),
            "WANDB_CONFIG_DIR": str(folders["config"]),
            "WANDB_CACHE_DIR": str(folders["cache"]),
            "WANDB_DATA_DIR": str(folders["data"]),
            "WANDB_ARTIFACT_DIR": str(folders["artifacts"]),
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_X_SAVE_REQUIREMENTS": "false",  # listing all packages takes 0.1 s of each run
            "HOME": str(folders["home"]),
            "NETRC": str(directory / "netrc"),
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }
        return variables | (_QUICK if quick else {})

    # One request

    def handle(self, route: Route, path: str, body: bytes, method: str) -> tuple[int, Json | bytes]:
        """Carry a request out."""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        with self.store.lock:
            if route == "graphql":
                return self._handle_graphql(json.loads(body))
            if route == "file_stream":
                return self._handle_file_stream(parts, json.loads(body or b"{}"))
            if route == "upload" and method == "GET":
                artifact = self.store.artifacts[parts[2]]
                return 200, artifact.manifest if parts[1] == "manifest" else artifact.files["/".join(parts[3:])]
            if route == "upload":
                return self._handle_upload(parts, body)
            if route == "telemetry":
                return 200, {}
        return 404, {"error": f"{method} {path} is not served here"}

    def _handle_graphql(self, request: Json) -> tuple[int, Json]:
        try:
            if operation_name(request) in self.refused_operations:
                return 200, {"errors": [{"message": f"{operation_name(request)} is not served here"}]}
            answer = self._graphql.answer(request)
            if not (self.count_keys and self.list_keys):
                _forget_keys(answer, all_of_them=not self.list_keys)
            return 200, {"data": answer}
        except UnknownOperationError as error:
            self.unknown_operations.append(str(error))
            return 200, {"errors": [{"message": f"unknown operation {error}"}]}
        except KeyError as error:
            return 200, {"errors": [{"message": f"not found: {error}"}]}

    def _handle_file_stream(self, parts: list[str], update: Json) -> tuple[int, Json]:
        run = self.store.run(parts[3])
        if run is None:
            return 404, {"error": f"no run {parts[3]!r}"}
        run.stream(update)
        return 200, {"exitcode": None, "limits": {}, "stopped": run.stop_requested}

    def _handle_upload(self, parts: list[str], body: bytes) -> tuple[int, Json]:
        _, kind, owner, *rest = parts
        name = "/".join(rest)
        if kind == "run" and (run := self.store.run(owner)):
            run.files[name] = body
        elif kind == "artifact" and owner in self.store.artifacts:
            self.store.artifacts[owner].files[name] = body
        elif kind == "manifest" and owner in self.store.artifacts:
            self.store.artifacts[owner].manifest = body
        else:
            return 404, {"error": f"nothing to upload to: {kind} {owner}"}
        return 200, {}


def _forget_keys(answer: Json, *, all_of_them: bool) -> None:
    for value in answer.values():
        if isinstance(value, dict):
            if isinstance(value.get("historyKeys"), dict):
                value["historyKeys"] = None if all_of_them else value["historyKeys"] | {"keys": {}}
            _forget_keys(value, all_of_them=all_of_them)


# In whole seconds: wandb-core drops fractions, and takes 0 for its own default.
_QUICK = {
    "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
    **{
        f"WANDB_X_{client}_RETRY_WAIT_{bound}_SECONDS": "1"
        for client in ("FILE_STREAM", "FILE_TRANSFER", "GRAPHQL")
        for bound in ("MIN", "MAX")
    },
}


class _HTTPServer(ThreadingHTTPServer):
    """Knows its open connections, so that it can cut them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], backend: WandBServer) -> None:
        self.backend = backend
        self.stopping = False
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of a request is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = cast("_HTTPServer", self.server)
        backend = server.backend
        started = time.time()
        body = self._read_body()
        route = _route(self.path)
        operation = operation_name(json.loads(body)) if route == "graphql" else None
        fault = backend.faults.take(route, operation)
        if fault is not None:
            backend.faults.wait(fault)
        answer = None if server.stopping else self._answer(backend, fault, route, body)
        status = answer[0] if answer else None
        seconds = time.time() - started
        entry = Request(started, seconds, self.command, self.path, route, operation, status, fault is not None)
        backend.requests.append(entry)
        if answer is None:
            self.close_connection = True
        else:
            self._send(*answer)

    def _answer(
        self, backend: WandBServer, fault: Fault | None, route: Route, body: bytes
    ) -> tuple[int, Json | bytes] | None:
        """Carry the request out, as far as the fault allows; None when it is to have no answer."""
        fails = fault is not None and not fault.hang and (fault.drop or fault.status is not None)
        if fault is None or not fails:
            return backend.handle(route, self.path, body, self.command)
        if fault.lost_answer:
            backend.handle(route, self.path, body, self.command)
        if fault.drop or fault.status is None:
            return None
        return fault.status, {"errors": [{"message": f"injected fault: {fault.status}"}]}

    def _send(self, status: int, answer: Json | bytes) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._read_chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:
        """Silent: `WandBServer.requests` is the log."""


def _route(path: str) -> Route:
    path = urlsplit(path).path
    if path == "/graphql":
        return "graphql"
    if path.startswith("/files/") and path.endswith("/file_stream"):
        return "file_stream"
    if path.startswith("/storage/"):
        return "upload"
    return "telemetry" if path.startswith("/sdk/otel/") else "all"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
