#!/usr/bin/env bash
# Brings the array's runs to W&B from the login node, which has the network. A run that still trains is followed to
# its end. Each row is delivered once, however often this is called. Pass --mode offline to write W&B's files only.
set -euo pipefail
for run in ups-runs/array-*/; do
  ups deliver "$run" "$@"
done
