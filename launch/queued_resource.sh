#!/usr/bin/env bash
# Rents TPU slices and gives them back; see --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/_python" tpu queued_resource "$@"
