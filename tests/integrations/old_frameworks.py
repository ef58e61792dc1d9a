"""The oldest frameworks that the extras admit, each in a folder that goes before the environment's own packages."""

import fcntl
import subprocess
import sys
from pathlib import Path

__all__ = ["OLDEST", "oldest"]

# With the packages of theirs that the newest ones need otherwise; the rest, torch above all, is the environment's.
OLDEST = {
    "lightning": ["lightning==2.5.0"],
    "pytorch-lightning": ["pytorch-lightning==2.5.0"],
    "transformers": ["transformers==4.46.1", "huggingface-hub==0.36.2", "tokenizers==0.20.3", "accelerate==1.1.0"],
    "accelerate": ["accelerate==1.0.0"],
}

_KEPT = Path(__file__).parents[2] / ".framework-versions"


def oldest(framework: str) -> Path:
    """The folder to put first on PYTHONPATH; it is made when it is first needed, in seconds, and kept."""
    _KEPT.mkdir(exist_ok=True)
    wanted = OLDEST[framework]
    folder = _KEPT / wanted[0]
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != " ".join(wanted):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", "--upgrade", "--target", folder, *wanted], check=True, timeout=300)
            done.write_text(" ".join(wanted))
    return folder
