#!/usr/bin/env bash
# Evaluate a config with several processes, one per GPU (or per core, without GPUs):
# with $PYTHON, else the python of .venv, else python:
#   tools/dist_test.sh CONFIG PROCESSES [options of tools/test.py]
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
exec "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node="$processes" \
    "$root/tools/test.py" "$config" --launcher pytorch "$@"
