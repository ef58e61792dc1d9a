"""The dashboard: a run's charts, live in the browser, with no account and no network."""
