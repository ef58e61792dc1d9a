"""What the tests of the integrations share."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests share the machine: two threads of PyTorch on a busy one wait for each other most of the time."""
    torch.set_num_threads(1)
