"""torchrun: one run of all ranks, without any configuration.

Run it with: torchrun --standalone --nproc-per-node 2 torchrun_ranks.py

Rank 0 logs `training/operator/loss`, rank 1 `training/operator/rank1/loss`, against the same steps.
"""

import torch
import torch.distributed as dist

import ups

torch.set_num_threads(1)
dist.init_process_group("gloo")
with ups.create_wandb_context({"ranks": dist.get_world_size()}, project="examples") as ctx:
    torch.manual_seed(dist.get_rank())
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    stage = ctx.stage("operator")
    for step in range(40):
        x = torch.randn(4, 1)
        loss = (model(x) - 2 * x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        stage.log(step, loss=loss)
dist.destroy_process_group()
