"""Commands ``ups …`` and scripts of a page, in forks of a process that has imported what they need.

``warm.py SOCKET`` is that process; the variable ``WARM_IMPORTS`` names the modules. The stand-ins of ``ups`` and
``python`` call ``warm.py SOCKET COMMAND…`` where a page has one.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile


def serve(path: str) -> None:
    """Fork for each command that comes, and return in the fork, as the command."""
    for module in os.environ["WARM_IMPORTS"].split():
        importlib.import_module(module)
    folders = [entry.path for entry in os.scandir(os.environ["TMPDIR"])]  # wandb makes one when it is imported
    gc.freeze()  # a child that collects it would copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who attend
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)  # now it is ready  # noqa: PTH104
        while True:
            asking, _ = listening.accept()
            asked, outputs, _, _ = socket.recv_fds(asking, 1 << 20, 3)
            if os.fork() == 0:
                break
            for output in outputs:
                os.close(output)
            asking.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:  # a process attends to each command, as one may run another
        for output in outputs:
            os.close(output)
        _, status = os.waitpid(child, 0)
        asking.send(str(os.waitstatus_to_exitcode(status) % 256).encode())
        os._exit(0)
    asking.close()
    for number, output in enumerate(outputs):
        os.dup2(output, number)
        os.close(output)
    folder, environment, sys.argv = json.loads(asked)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    for each in folders:  # another fork removed them when it ended
        os.makedirs(each, exist_ok=True)  # noqa: PTH103


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

sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from ups.cli import main

    main()
