"""Values that a device is still to compute or to copy: awaited off the training thread.

``float(loss)`` of a tensor on a GPU waits until the GPU has done all of its queued work, and the training thread can
queue nothing until then. Here the copy is queued like any other work of the device: in order with the work before and
after it, so the number is the one at the time of the call, and the thread continues at once.

* torch on CUDA or ROCm: a copy into pinned memory on the current stream, and an event behind it.
* JAX, on any device: an array that its asynchronous dispatch is still to fill.

Everything else is read at once, as :func:`ups.tracking.values.number` does it.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from ups.tracking.values import number, unreadable

__all__ = ["Arriving", "arriving"]


class Arriving(Protocol):
    """A number on its way."""

    def number(self) -> int | float:
        """Wait for the number.

        Raises:
            InvalidValue: It is not a real number.
            RuntimeError: The device has failed.
        """


def arriving(value: Any) -> Arriving | None:
    """Have ``value`` brought to this process, if it is one real number that a device still has; else None.

    Raises:
        InvalidValue: The device, or the value itself, fails.
    """
    try:
        return _arriving(value)
    except Exception as error:
        raise unreadable(value, error) from error


def _arriving(value: Any) -> Arriving | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        plain = type(value) in (torch.Tensor, torch.nn.Parameter)  # another kind may copy in its own way
        if plain and value.device.type == "cuda" and value.numel() == 1 and not value.is_complex():
            return _TorchCopy(torch, value)
        return None
    is_ready = getattr(value, "is_ready", None)
    if callable(is_ready) and hasattr(value, "copy_to_host_async") and value.size == 1 and value.dtype.kind != "c":
        return None if value.is_deleted() or is_ready() else _JaxCopy(value)  # a deleted one must not be asked
    return None


class _TorchCopy:
    def __init__(self, torch: Any, value: Any) -> None:
        self._host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        self._host.copy_(value.detach(), non_blocking=True)
        self._copied = torch.cuda.Event(blocking=True)  # the thread that waits sleeps instead of spinning
        self._copied.record(torch.cuda.current_stream(value.device))

    def number(self) -> int | float:
        self._copied.synchronize()
        return number(self._host)


class _JaxCopy:
    def __init__(self, value: Any) -> None:
        value.copy_to_host_async()
        self._value = value

    def number(self) -> int | float:
        self._value.block_until_ready()
        return number(self._value)
