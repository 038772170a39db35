#!/usr/bin/env bash
# Runs one command as a job under Slurm; see --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../_python" clusters slurm "$@"
