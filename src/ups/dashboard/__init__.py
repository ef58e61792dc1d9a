"""The dashboard: a run's charts, live in the browser, with no account and no network."""

from ups.extras import require

require("show", "plotly", "psutil", "starlette", "tsdownsample", "uvicorn", user="the dashboard's page")
