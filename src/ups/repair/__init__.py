"""A corrected copy of a run: a plan first, then a new run that ``wandb sync`` takes. The original is only read.

>>> from ups import open_run
>>> from ups.repair import plan_lines, plan_repair, write_repair
>>> plan = plan_repair(open_run("wandb/latest-run"))
>>> plan_lines(plan)
[...]
>>> write_repair(plan, "repaired").folders
(PosixPath('repaired/offline-run-...'),)
"""

from ups.repair.plan import ChartChange, Plan, Unrepaired, plan_repair
from ups.repair.plan_lines import plan_lines
from ups.repair.write import Written, write_repair

__all__ = ["ChartChange", "Plan", "Unrepaired", "Written", "plan_lines", "plan_repair", "write_repair"]
