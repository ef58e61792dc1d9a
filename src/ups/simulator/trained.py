"""The trained models of a run, from its checkpoints."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ups.errors import RunDirectoryError
from ups.simulator.checkpoint import checkpoint_path, load_checkpoint
from ups.simulator.config import Config
from ups.simulator.model import Operator, Refiner
from ups.simulator.simulators import Simulator, operator_simulator, refined_simulator

__all__ = ["CONTROL", "STAGES", "TrainedModels"]

STAGES = ("operator", "diffusion_residual", "consistency_distill")
CONTROL = "control"

M = TypeVar("M", bound=nn.Module)


class TrainedModels:
    """The models that the stages of a run trained, from the checkpoints in its directory."""

    def __init__(self, config: Config, run_dir: Path, device: torch.device) -> None:
        self._config = config
        self._run_dir = run_dir
        self._device = device

    def operator(self, name: str = "operator") -> Operator:
        """The trained operator, or the control; RunDirectoryError if it is not trained."""
        return self._load(Operator(self._config.model), name)

    def refiner(self, name: str) -> Refiner:
        """A trained model of the second or third stage; RunDirectoryError if it is not trained."""
        return self._load(Refiner(self._config.model), name)

    def simulators(self) -> list[Simulator]:
        """A simulator for each trained model, the control last."""
        found = []
        for name in (*STAGES, CONTROL):
            saved = load_checkpoint(checkpoint_path(self._run_dir, name))
            if saved is None or not saved.finished:
                continue
            if name in ("operator", CONTROL):
                found.append(operator_simulator(name, self.operator(name)))
                continue
            refiner = self.refiner(name)
            levels = refiner.levels if name == "diffusion_residual" else 1
            found.append(refined_simulator(name, self.operator(), refiner, levels))
        return found

    def _load(self, model: M, name: str) -> M:
        path = checkpoint_path(self._run_dir, name)
        saved = load_checkpoint(path)
        if saved is None:
            raise RunDirectoryError(
                f"{path} does not exist; train {name} first: ups train --stage {name} --resume {self._run_dir}"
            )
        if not saved.finished:
            raise RunDirectoryError(
                f"{path} is at step {saved.step} of {saved.steps}; finish it with: ups train --stage {name}"
                f" --resume {self._run_dir}"
            )
        model.load_state_dict(saved.average)
        return model.to(self._device).requires_grad_(False)
