"""One task of the array: a run that is only journaled. Compute nodes need no network and no wandb."""

import math
import os
import sys

import ups

task = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
lr = [0.3, 0.1, 0.03][task % 3]
folder = sys.argv[1] if len(sys.argv) > 1 else "ups-runs"  # one that the login node sees too

with ups.create_wandb_context(
    {"lr": lr, "task": task},
    run_id=f"array-{os.environ.get('SLURM_ARRAY_JOB_ID', 'local')}-{task}",
    project="examples",
    group=f"array-{os.environ.get('SLURM_ARRAY_JOB_ID', 'local')}",
    mode="local",
    resume=True,  # if Slurm requeues the task, it resumes the run
    dir=folder,
) as ctx:
    weight = 0.0
    for name in ("operator", "distill"):
        stage = ctx.stage(name)
        for step in range(50):
            weight -= lr * (weight - math.pi)
            stage.log(step, loss=(weight - math.pi) ** 2)
