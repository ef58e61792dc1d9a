"""Integrations: a logger for Lightning, a callback for Transformers, a tracker for Accelerate.

Each is a module of its own and an extra of its own, and follows its framework's conventions:

- ``from ups.integrations.lightning import UPSLogger``
- ``from ups.integrations.transformers import UPSCallback``
- ``from ups.integrations.accelerate import UPSTracker``

Importing one without its framework raises :class:`~ups.errors.MissingDependency`. ``torchrun`` and ``srun`` need none:
a context recognises the ranks itself.
"""
