#!/usr/bin/env bash
# Runs one command on all workers of a TPU VM slice; see --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/_python" tpu tpu_vm "$@"
