"""The pytest plugin: the fixture ``wandb_charts`` shows what W&B would draw of the runs of a test.

pytest loads it in each environment that has UPS; ``-p no:ups`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ups.testing.charts import WandbCharts

__all__ = ["WandbCharts", "wandb_charts"]


@pytest.fixture
def wandb_charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbCharts]:
    """The charts that W&B would draw of the runs that this test makes, with wandb or with UPS.

    The code under test calls wandb as it will. No service starts, nothing leaves the machine, no account is needed.
    """
    from ups.testing.recorder import recorded

    with recorded(tmp_path_factory.mktemp("wandb_charts")) as charts:
        yield charts
