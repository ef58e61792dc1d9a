"""Server-sent events: the same messages to every browser that listens."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from ups.dashboard.encoding import as_json

__all__ = ["Channel", "Listener"]

_QUIET = 15.0  # seconds after which a comment shows that the connection lives
_MOST_WAITING = 200  # messages to a browser that does not keep up


class Listener:
    """One browser that listens for a topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, message: bytes) -> None:
        """Send a message, unless too many wait already. The browser sees by the cursors that points are missing."""
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put_nowait(message)

    def end(self) -> None:
        """Send nothing more."""
        self._waiting.put_nowait(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """The messages, as they come, and a comment after each quiet time."""
        while True:
            try:
                message = await asyncio.wait_for(self._waiting.get(), _QUIET)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if message is None:
                return
            yield message


class Channel:
    """One stream of events, and the browsers that listen to it."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()

    def send(self, event: str, data: object, *, topic: str | None = None) -> None:
        """Send an event to all browsers, or to those that listen for a topic."""
        message = encode_event(event, data)
        for listener in self.listeners:
            if topic is None or listener.topic == topic:
                listener.send(message)

    def stream(self, topic: str = "", *first: tuple[str, object]) -> StreamingResponse:
        """Answer a browser that wants to listen. It gets the events ``first`` at once."""
        listener = Listener(topic)
        for event, data in first:
            listener.send(encode_event(event, data))
        self.listeners.add(listener)

        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"retry: 1000\n\n"
                async for message in listener.messages():
                    yield message
            finally:
                self.listeners.discard(listener)

        return StreamingResponse(body(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    def end(self) -> None:
        """Send nothing more."""
        for listener in self.listeners:
            listener.end()


def encode_event(event: str, data: object) -> bytes:
    """Write an event as it is sent. JSON has no line breaks."""
    return b"event: " + event.encode("ascii") + b"\ndata: " + as_json(data) + b"\n\n"
