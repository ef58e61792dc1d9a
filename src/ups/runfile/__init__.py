"""Read W&B's run files without wandb: framing, records, and a run as columns.

There are three layers, and each uses the one below: :mod:`~ups.runfile.run`, then :mod:`~ups.runfile.records` and
:mod:`~ups.runfile.history` (protobuf → values), then :mod:`~ups.runfile.framing` (bytes ↔ records).
"""

from ups.runfile.framing import Damage, close_torn_segment, intact_length
from ups.runfile.logged_media import LoggedMedia
from ups.runfile.logs import LostCall, LostRows
from ups.runfile.run import Run, Segment, Series, Session
from ups.runfile.run_record import set_start_time, start_time
from ups.runfile.tail import last_step

__all__ = [
    "Damage",
    "LoggedMedia",
    "LostCall",
    "LostRows",
    "Run",
    "Segment",
    "Series",
    "Session",
    "close_torn_segment",
    "intact_length",
    "last_step",
    "set_start_time",
    "start_time",
]
