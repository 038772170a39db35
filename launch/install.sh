#!/usr/bin/env bash
# Installs the code's folder on a machine that shall run it, at locked versions.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/install.sh tpu|cuda|cpu [--dry-run]

Makes .venv in the code's folder, with the versions of requirements.lock and those of
requirements-tpu.lock or requirements-cuda.lock. Takes python3.11 or newer; where there
is none, as on TPU VMs with Ubuntu 22.04, uv brings one. Run again it mends what is
missing.
TEXT
}

kind='' dry=''
for word in "$@"; do
  case "$word" in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry=1 ;;
    tpu | cuda | cpu) kind=$word ;;
    *) echo "error: unknown word '$word'; see launch/install.sh --help" >&2; exit 78 ;;
  esac
done
[[ -n "$kind" ]] || { echo "error: for what? see launch/install.sh --help" >&2; exit 78; }

run() {
  if [[ -n "$dry" ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

recent() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! recent .venv/bin/python; then
  found=''
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if recent "$python"; then
      found=$python
      break
    fi
  done
  if [[ -n "$found" ]]; then
    run "$found" -m venv --clear .venv
  else
    run python3 -m pip install --user --quiet uv
    run python3 -m uv venv --seed --clear --python=3.11 .venv
  fi
fi
locks=(-r requirements.lock)
[[ "$kind" == cpu ]] || locks+=(-r "requirements-$kind.lock")
run .venv/bin/python -m pip install --quiet --no-deps "${locks[@]}"
run .venv/bin/python -m pip install --quiet --no-deps --editable .
