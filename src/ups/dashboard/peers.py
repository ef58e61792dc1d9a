"""The other end of a connection: a process of the user's own on this machine, or another."""

import contextlib
import ipaddress
import os
import sys
from functools import cached_property
from pathlib import Path

import psutil

__all__ = ["Peer"]

Address = tuple[str, int]

_TABLES = tuple(Path("/proc/net", name) for name in ("tcp", "tcp6"))  # Linux's sockets, each with its user
_ESTABLISHED = "01"
_USER = 7  # the column
_LOOKS = 2  # while other sockets come and go, a look may miss one


class Peer:
    """The other end of a connection: ``client``, None where it is not known. ``server`` is this end."""

    def __init__(self, client: Address | None, server: Address | None) -> None:
        self._client = client
        self._server = server

    @cached_property
    def is_own(self) -> bool:
        """True where it is a process of the user who runs this one, on this machine."""
        if self._client is None or self._server is None:
            return False
        look = _in_kernel_table if _TABLES[0].exists() else _among_own_processes
        return any(look(self._client, self._server) for _ in range(_LOOKS))


def _in_kernel_table(client: Address, server: Address) -> bool:
    """True where the socket at the other end is this user's, by Linux's table: only its owner can make one so."""
    for table in _TABLES:
        with contextlib.suppress(OSError):  # no IPv6
            text = table.read_text("ascii")
            for mapped in (False, True):
                wanted = f": {_as_in_table(client, mapped)} {_as_in_table(server, mapped)} {_ESTABLISHED} "
                at = text.find(wanted)
                if at >= 0:
                    line = text[text.rfind("\n", 0, at) + 1 :].partition("\n")[0]
                    return int(line.split()[_USER]) == os.geteuid()
    return False


def _as_in_table(address: Address, mapped: bool) -> str:
    """Write an address as Linux does: each 4 bytes as a number of the machine's own order."""
    host = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    packed = host.packed
    if mapped and len(packed) == 4:
        packed = ipaddress.IPv6Address(f"::ffff:{host}").packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _among_own_processes(client: Address, server: Address) -> bool:
    """True where a process of this user holds the other end, where the system has no table (macOS)."""
    for process in psutil.process_iter(["uids"]):
        uids = process.info["uids"]
        if uids is None or uids.effective != os.geteuid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            for each in process.net_connections("tcp"):
                if tuple(each.laddr) == tuple(client) and tuple(each.raddr) == tuple(server):
                    return True
    return False
