"""The oldest frameworks that the extras admit, each in a folder that goes before the environment's own packages."""

from pathlib import Path

from environments import kept, pip

__all__ = ["OLDEST", "oldest"]

# With the packages of theirs that the newest ones need otherwise; the rest, torch above all, is the environment's.
OLDEST = {
    "lightning": ["lightning==2.5.0"],
    "pytorch-lightning": ["pytorch-lightning==2.5.0"],
    "transformers": ["transformers==4.46.1", "huggingface-hub==0.36.2", "tokenizers==0.20.3", "accelerate==1.1.0"],
    "accelerate": ["accelerate==1.0.0"],
}


def oldest(framework: str) -> Path:
    """The folder to put first on PYTHONPATH; it is made when it is first needed, in seconds, and kept."""
    wanted = OLDEST[framework]
    with kept(wanted[0], " ".join(wanted)) as (folder, new):
        if new:
            pip("install", "--no-deps", "--target", folder, *wanted)
    return folder
