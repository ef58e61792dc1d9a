"""Every exception that UPS raises, as one tree.

Problems in a user's *run* are data (see :mod:`ups.check`); an exception means that something asked of UPS
could not be done. Each message names the thing at fault and says what to do.
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
    """The root of the tree: catch it to catch all that UPS raises."""


class UsageError(UPSError):
    """UPS was called in a way that cannot work: a wrong argument, or a call at the wrong time."""


class InvalidName(UsageError):
    """A stage or metric has a name that W&B cannot draw."""


class InvalidStep(UsageError):
    """A step is not a whole number, or goes back."""


class InvalidValue(UsageError):
    """A value is not one number."""


class ConfigError(UsageError):
    """A preset, a configuration key or a configuration value does not exist or does not fit."""


class MissingDependency(UPSError):
    """A package that this part of UPS needs is not installed."""


class RunDirectoryError(UPSError):
    """A run directory cannot be created, found, read or written."""


class RunFileError(UPSError):
    """A file is not a W&B run file, or cannot be read at all."""


class DeliveryError(UPSError):
    """Rows that were journaled are not in W&B. They are still in the journal."""
