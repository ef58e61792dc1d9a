"""Idle connections are closed: each takes a descriptor, and a thread that reads for it."""

import asyncio
from collections.abc import Collection, MutableSet
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from ups.dashboard.peers import Peer

__all__ = ["MOST_ACTIVE", "Connection", "Patience", "make_room"]

MOST_ACTIVE = 500  # more get the answer that the server is busy
_MOST = 250  # with more, those that wait for a request are closed at once
_ASKS_WITHIN = 20.0  # seconds until a whole request is there
_TAKES_WITHIN = 60.0  # seconds in which a browser takes some of what is sent


class Connection(H11Protocol):
    """A browser's connection. The application finds its other end as ``scope["state"]["peer"]``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take note of the other end, and make room."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": Peer(self.client, self.server)}  # type: ignore[arg-type]
        self.opened = self.loop.time()
        if len(self.connections) > _MOST:
            make_room(self.connections)  # type: ignore[arg-type]

    @property
    def is_waiting(self) -> bool:
        """True where the next request is still to come."""
        return self.cycle is None or self.cycle.response_complete


class Patience:
    """Closes connections that wait too long for a whole request, or for a browser to take what is sent."""

    def __init__(self) -> None:
        self._seen: dict[Connection, tuple[Any, float]] = {}  # the state that each waits in, and since when

    def look(self, connections: Collection[Connection], now: float) -> None:
        """Look at all connections, and close those that have waited for too long, by a clock that only goes forward."""
        seen, self._seen = self._seen, {}
        for connection in connections:
            unsent = 0 if connection.is_waiting else connection.transport.get_write_buffer_size()
            state = (connection.cycle, unsent)
            before, since = seen.get(connection, (None, now))
            since = since if before == state else now
            self._seen[connection] = state, since
            if connection.is_waiting and now - since > _ASKS_WITHIN:
                connection.transport.close()
            elif unsent and now - since > _TAKES_WITHIN:
                connection.transport.abort()


def make_room(connections: MutableSet[Connection]) -> None:
    """Close the oldest connections that wait for a request, down to the most; one that has asked before is closed last.

    A closed connection leaves the set at once. The event loop reports its end only after it has read from the others,
    and a request among them would be refused until then.
    """
    left = [each for each in connections if not each.transport.is_closing()]
    waiting = sorted((each for each in left if each.is_waiting), key=lambda each: (each.cycle is not None, each.opened))
    for connection in waiting[: max(0, len(left) - _MOST)]:
        connection.transport.close()
        connections.discard(connection)
