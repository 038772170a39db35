#!/usr/bin/env bash
# Copies shards and runs to a bucket, or from one; only what differs is copied.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/stage.sh data|run FROM TO [--dry-run]

One of FROM and TO is in a bucket, the other may be here. Copied is what is new or has
changed, so a copy that broke off goes on; nothing is removed.

  data   FROM/shards and FROM/tokenizer.model, all that training and evaluation read
  run    a work directory: checkpoints, config, metrics, evaluations

  launch/stage.sh data runs/demo gs://b/demo
  launch/stage.sh run gs://b/v2/joint runs/v2/joint

A checkpoint lists its files and their sizes, so one that was copied by half is not taken
for whole.
TEXT
}

fail() {
  echo "error: $1; see launch/stage.sh --help" >&2
  exit 78
}

words=() dry=''
for word in "$@"; do
  case "$word" in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry=1 ;;
    -*) fail "unknown option '$word'" ;;
    *) words+=("${word%/}") ;;
  esac
done
((${#words[@]} == 3)) || fail "expected what, FROM and TO; got '$*'"
what=${words[0]} from=${words[1]} to=${words[2]}
[[ "$from" == gs://?* || "$to" == gs://?* ]] || fail "neither '$from' nor '$to' is gs://"

run() {
  if [[ -n "$dry" ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

# Left behind: locks, what a writer had not finished, answers of half an evaluation.
skip='(^|.*/)(lock|demo\.lock|incomplete\..*|\.[^/]*\.[0-9a-f]{32}|\.partial/.*|.*\.orbax-checkpoint-tmp.*)$'
case "$what" in
  data)
    # gcloud makes no folder on this machine.
    [[ "$to" == gs://* ]] || run mkdir -p "$to/shards"
    run gcloud storage rsync --recursive --exclude="$skip" "$from/shards" "$to/shards"
    run gcloud storage cp "$from/tokenizer.model" "$to/tokenizer.model"
    ;;
  run)
    [[ "$to" == gs://* ]] || run mkdir -p "$to"
    run gcloud storage rsync --recursive --exclude="$skip" "$from" "$to"
    ;;
  *) fail "'$what' is neither 'data' nor 'run'" ;;
esac
