#!/usr/bin/env bash
# Runs one command as several processes on this machine, as a pod would.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/local.sh N [--dry-run] -- COMMAND...

Starts COMMAND N times; together the processes are one run. Process 0 prints as usual,
the lines of the others begin with their number. A signal goes to all of them. When one
fails the others are stopped, and its exit code becomes that of the group.

  launch/local.sh 2 -- python -m babyvlm_jax.train --config=... --workdir=runs/x
  DEVICES=4 launch/local.sh 2 -- python -m babyvlm_jax.recipe --config=... --workdir=...

--dry-run prints the commands instead.

environment:
  DEVICES   CPU devices of each process; unset leaves the devices to JAX
  PORT      where process 0 listens for the others; unset takes a free one
  GRACE_S   seconds from the request to stop until the others are killed (60)
TEXT
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
given=$* count=${1:-} dry=
if [[ "${2:-}" == --dry-run ]]; then
  dry=1
  shift
fi
if ! [[ "$count" =~ ^[1-9][0-9]*$ && "${2:-}" == "--" && $# -ge 3 ]]; then
  echo "error: launch/local.sh got '$given'; see launch/local.sh --help" >&2
  exit 78
fi
shift 2

free_port() {
  local port
  for port in $(seq 29500 29999 | shuf); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

export JAX_COORDINATOR_ADDRESS=localhost:${PORT:-$(free_port)}
export JAX_NUM_PROCESSES=$count
if [[ -n "${DEVICES:-}" ]]; then
  export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=$DEVICES
fi

if [[ -n "$dry" ]]; then
  names=(JAX_COORDINATOR_ADDRESS JAX_NUM_PROCESSES)
  [[ -z "${DEVICES:-}" ]] || names+=(JAX_PLATFORMS JAX_NUM_CPU_DEVICES)
  for ((i = 0; i < count; i++)); do
    printf '%s ' env
    for name in "${names[@]}"; do printf '%s=%q ' "$name" "${!name}"; done
    printf '%q ' "JAX_PROCESS_ID=$i" "$@"
    echo
  done
  exit 0
fi

# Each process leads a group of its own, which has what it started: a recipe that is
# killed cannot end its training, which would hold the lock of the next start.
set -m
pids=()
signal_all() {
  local pid group=
  [[ "$1" != KILL ]] || group=-
  for pid in "${pids[@]}"; do kill -"$1" -- "$group$pid" 2>/dev/null || true; done
}
stopped=
trap 'stopped=1; signal_all TERM' TERM INT HUP

for ((i = 0; i < count; i++)); do
  if ((i == 0)); then
    JAX_PROCESS_ID=$i "$@" &
  else
    JAX_PROCESS_ID=$i "$@" > >(sed -u "s/^/[$i] /") 2> >(sed -u "s/^/[$i] /" >&2) &
  fi
  pids+=($!)
done
# a signal that came before all were there has not reached the last
[[ -z "$stopped" ]] || signal_all TERM

# The first failure decides. 75 needs no help: all agreed to stop, and are saving.
code=0
deadline=
left=("${pids[@]}")
while ((${#left[@]})); do
  running=()
  for pid in "${left[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then
      running+=("$pid")
      continue
    fi
    status=0
    wait "$pid" || status=$?
    ((status <= 128)) || kill -KILL -- "-$pid" 2>/dev/null || true  # its orphans
    if ((status && !code)); then
      code=$status
      deadline=$((SECONDS + ${GRACE_S:-60}))
      ((code == 75)) || signal_all TERM
    fi
  done
  left=("${running[@]}")
  if [[ -n "$deadline" ]] && ((SECONDS >= deadline)); then
    signal_all KILL
  fi
  ((${#left[@]} == 0)) || sleep 0.2 || true
done
exit "$code"
