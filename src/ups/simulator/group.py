"""The processes of one data-parallel training, as ``torchrun`` starts them; one process alone is a group of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["ALONE", "Group", "joined"]

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes that train one model together, each on its part of every batch, on its own device.

    This is the process ``index``, from 0, of ``size``; ``here`` counts those on this machine.
    """

    index: int
    size: int
    here: int
    device: torch.device

    @property
    def first(self) -> bool:
        """True in the process that writes checkpoints, evaluates and prints."""
        return self.index == 0

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        return self._reduced([value], dist.ReduceOp.SUM)[0] / self.size if self.size > 1 else value

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, True if it is set in any process."""
        return [value > 0 for value in self._reduced(list(flags), dist.ReduceOp.MAX)] if self.size > 1 else list(flags)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            self._reduced([0.0], dist.ReduceOp.SUM)

    def share(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are the mean over all processes."""
        return DistributedDataParallel(module, broadcast_buffers=False) if self.size > 1 else module

    def _reduced(self, values: list[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, operation)
        return tensor.tolist()


ALONE = Group(0, 1, 1, torch.device("cpu"))


@contextmanager
def joined() -> Iterator[Group]:
    """The group that ``torchrun`` made this process part of, while the block runs; otherwise a group of one.

    Processes talk through gloo about tensors on the CPU and through NCCL about those on GPUs. If the
    machine has GPUs, each process uses one.
    """
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield Group(0, 1, 1, device)
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        yield Group(dist.get_rank(), dist.get_world_size(), here, device)
    finally:
        dist.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
