#!/usr/bin/env bash
# Evaluate a config with several processes, one per GPU (or per core, without GPUs):
# with $PYTHON, else the python of .venv, else python:
#   tools/dist_test.sh CONFIG PROCESSES [options of tools/test.py]
# A stop signal goes to all of them, also Ctrl-C and a closed terminal (SIGHUP), and the exit code is that of tools/test.py
# (143 SIGTERM, 138 SIGUSR1, 140 SIGUSR2), where torchrun's own would be 1.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: tools/dist_test.sh CONFIG PROCESSES [options of tools/test.py]" >&2
    exit 2
fi
config=$1 processes=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x "$root/.venv/bin/python" ] && PYTHON="$root/.venv/bin/python"
fi
launcher= stopped=0
stop() {
    stopped=$1
    [ -z "$launcher" ] || kill -s TERM "$launcher" 2>/dev/null || true # torchrun hands it on
}
trap 'stop 143' TERM
trap 'stop 130' INT
trap 'stop 129' HUP
trap 'stop 131' QUIT
trap 'stop 138' USR1
trap 'stop 140' USR2
set -m # a process group of its own: signals reach it from here only
(
    trap '' USR1 USR2 HUP QUIT # torchrun would die of them, and leave its processes behind
    exec "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node="$processes" \
        "$root/tools/test.py" "$config" --launcher pytorch "$@"
) &
set +m
launcher=$!
[ "$stopped" = 0 ] || stop "$stopped" # it came before there was anybody to hand it on to
code=0
wait "$launcher" || code=$?
while kill -0 "$launcher" 2>/dev/null; do # a signal has ended the waiting only
    code=0
    wait "$launcher" || code=$?
done
[ "$stopped" = 0 ] || [ "$code" = 0 ] || code=$stopped
exit "$code"
