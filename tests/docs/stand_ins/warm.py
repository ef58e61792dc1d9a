"""``ups train`` and ``ups evaluate`` of a page, in forks of a process that has imported PyTorch, which takes seconds.

``warm.py SOCKET`` is that process. The stand-in of ``ups`` calls ``warm.py SOCKET COMMAND…`` where a page has one.
"""

import gc
import json
import os
import socket
import sys


def serve(path: str) -> None:
    """Fork for each command that comes, and return in the child, as the command."""
    import torch._dynamo  # noqa: F401

    import ups.simulator.pipeline  # noqa: F401

    gc.freeze()  # a child that collects it would copy it
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)  # now it is ready  # noqa: PTH104
        while True:
            asking, _ = listening.accept()
            asked, outputs, _, _ = socket.recv_fds(asking, 1 << 20, 3)
            child = os.fork()
            if child == 0:
                break
            for output in outputs:
                os.close(output)
            _, status = os.waitpid(child, 0)
            asking.send(str(os.waitstatus_to_exitcode(status) % 256).encode())
            asking.close()
    asking.close()
    for number, output in enumerate(outputs):
        os.dup2(output, number)
        os.close(output)
    folder, environment, sys.argv = json.loads(asked)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def ask(path: str, command: list[str]) -> int:
    """Have a command run, and return its exit status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(path)
        asked = json.dumps([os.getcwd(), dict(os.environ), command]).encode()  # noqa: PTH109
        socket.send_fds(asking, [asked], [0, 1, 2])
        return int(asking.recv(10))


if len(sys.argv) > 2:
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
serve(sys.argv[1])

from ups.cli import main  # noqa: E402

main()
