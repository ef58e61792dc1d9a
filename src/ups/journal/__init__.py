"""The files between a training and its delivery: journals, marks, the ledger of what was delivered, the status."""
