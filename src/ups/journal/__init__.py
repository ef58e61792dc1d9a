"""The files between a training and its delivery: journals, marks of life, ledger, status."""

__all__ = ["MANIFEST"]

MANIFEST = "run.json"
"""The file that makes a folder a UPS run directory."""
