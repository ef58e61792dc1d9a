"""``ups train`` and scripts of a page, in forks of a process that has imported a framework, which takes seconds.

``warm.py SOCKET`` is that process; the variable ``WARM_IMPORTS`` names the modules. The stand-ins of ``ups`` and
``python`` call ``warm.py SOCKET COMMAND…`` where a page has one.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys


def serve(path: str) -> None:
    """Fork for each command that comes, and return in the child, as the command."""
    for module in os.environ["WARM_IMPORTS"].split():
        importlib.import_module(module)
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

if sys.argv[0].endswith(".py"):
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from ups.cli import main

    main()
