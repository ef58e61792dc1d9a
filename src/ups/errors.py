"""Every exception that UPS raises, as one tree.

An exception means that UPS could not do what it was asked. Each message names the thing at fault and the way out.
Problems in a user's *run* are data: see :mod:`ups.check`.
"""

__all__ = [
    "ConfigError",
    "DeliveryError",
    "InvalidName",
    "InvalidStep",
    "InvalidValue",
    "MissingDependency",
    "RunDirectoryError",
    "RunFileError",
    "UPSError",
    "UsageError",
]


class UPSError(Exception):
    """The root of the tree; catch it to catch every exception of UPS."""


class UsageError(UPSError):
    """A call of UPS cannot work: an argument is wrong, or the call comes at the wrong time."""


class InvalidName(UsageError):
    """A stage or metric has a name that W&B cannot draw."""


class InvalidStep(UsageError):
    """A step is not a whole number, or goes back."""


class InvalidValue(UsageError):
    """A value is not a single number."""


class ConfigError(UsageError):
    """A preset, a configuration key or a configuration value does not exist or does not fit."""


class MissingDependency(UPSError):
    """A package that this part of UPS needs is not installed."""


class RunDirectoryError(UPSError):
    """A run directory cannot be created, found, read or written."""


class RunFileError(UPSError):
    """A file is not a W&B run file, or cannot be read at all."""


class DeliveryError(UPSError):
    """W&B lacks rows that are in the journal, where they stay."""
