#!/usr/bin/env bash
# Runs one command as a job on Kubernetes; see --help.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../_python" clusters gke "$@"
