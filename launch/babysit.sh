#!/usr/bin/env bash
# Starts a command again until it is done, and has its machine made again if it is lost.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/babysit.sh [OPTIONS] -- COMMAND...

Starts COMMAND, and by its exit code

  0           ends: it is done
  75          starts it again at once: it has stopped before the end, and saved
  128 + n     starts it again, a few times in a row: a signal ended it, or another
              process of its run is gone; so does 255, ssh's when it was cut off
  any other   ends with that code, unless --ensure says that the machine was lost

A start that ends within a minute is followed by a pause, which doubles from start to
start. SIGTERM and Ctrl-C are handed on, and nothing is started after them.

  launch/babysit.sh -- launch/local.sh 2 -- python -m babyvlm_jax.recipe \
      --config=configs/nursery.py --workdir=runs/demo
  launch/babysit.sh --ensure='launch/queued_resource.sh ensure slice1 --zone=us-west4-a \
      --type=v5litepod-16 --spot' -- launch/tpu_vm.sh slice1 --zone=us-west4-a -- \
      python -m babyvlm_jax.train --config=... --workdir=gs://...

options:
  --ensure=COMMAND  is run before the first start, and after each code but 0, 75 and 78.
                    Exit code 0: the machine is there; 75: it is there again; another one
                    ends it all
  --crashes=N       how often in a row 128 + n and 255 start it again (3)
  --short=S         seconds within which an end counts as early (60)
  --pause=S         the first pause (10); the longest is 600
  --dry-run         print the commands instead of running them
TEXT
}

fail() {
  echo "error: $1; see launch/babysit.sh --help" >&2
  exit 78
}

ensure='' limit=3 short=60 first=10 dry=''
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --ensure=?*) ensure=${1#*=} ;;
    --crashes=*) limit=${1#*=} ;;
    --short=*) short=${1#*=} ;;
    --pause=*) first=${1#*=} ;;
    --dry-run) dry=1 ;;
    --) shift; break ;;
    *) fail "unknown option '$1'" ;;
  esac
  shift
done
(($#)) || fail "the command is missing; it stands behind --"
for number in "$limit" "$short" "$first"; do
  [[ "$number" =~ ^[0-9]+$ ]] || fail "'$number' is not a number"
done
if [[ -n "$dry" ]]; then
  [[ -z "$ensure" ]] || printf '%s\n' "$ensure"
  printf '%q ' "$@"
  echo
  exit 0
fi

say() { echo "babysit: $1" >&2; }

stopped='' interrupted='' child='' code=0
stop() {
  stopped=1 interrupted=1
  [[ -z "$child" ]] || kill -TERM "$child" 2>/dev/null || true
}
trap stop TERM INT HUP

# Runs words to their exit code in `code`, while signals are heard.
supervise() {
  "$@" &
  child=$!
  # a signal that came between the two lines above has found nobody to go to
  [[ -z "$stopped" ]] || kill -TERM "$child" 2>/dev/null || true
  while :; do
    interrupted='' code=0
    wait "$child" || code=$?
    [[ -n "$interrupted" ]] || break
  done
  child=''
  [[ -z "$stopped" ]] || { say "asked to stop; it ended with $code"; exit "$code"; }
}

rest() {
  say "again in $pause s"
  supervise sleep "$pause"
  pause=$((pause * 2 < 600 ? pause * 2 : 600))
}

if [[ -n "$ensure" ]]; then
  supervise bash -c "$ensure"
  ((code == 0 || code == 75)) || { say "no machine: --ensure ended with $code"; exit "$code"; }
fi
pause=$first crashes=0
while :; do
  began=$SECONDS
  supervise "$@"
  lasted=$((SECONDS - began))
  ended=$code
  ((ended != 0)) || exit 0
  say "it ended with $ended after $lasted s"
  ((ended != 78)) || exit 78
  if ((lasted >= short)); then pause=$first crashes=0; fi
  if ((ended != 75)); then
    lost=''
    if [[ -n "$ensure" ]]; then
      supervise bash -c "$ensure"
      case "$code" in
        0) ;;
        75) lost=1 ;;
        *) say "no machine: --ensure ended with $code"; exit "$code" ;;
      esac
    fi
    if [[ -z "$lost" ]]; then
      ((ended > 128 && ended < 193 || ended == 255)) || exit "$ended"
      ((++crashes <= limit)) || { say "that was crash $crashes in a row"; exit "$ended"; }
    fi
  fi
  if ((lasted < short)); then rest; fi
done
