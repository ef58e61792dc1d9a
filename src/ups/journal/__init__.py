"""The files between a training and its delivery: journals, marks of life, ledger, status."""
