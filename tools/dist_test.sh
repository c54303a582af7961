#!/usr/bin/env bash
# Evaluate a config with several processes, one per GPU (or per core, without GPUs):
#   tools/dist_test.sh CONFIG PROCESSES [options of tools/test.py]
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: tools/dist_test.sh CONFIG PROCESSES [options of tools/test.py]" >&2
    exit 2
fi
config=$1 processes=$2
shift 2
exec "${PYTHON:-python}" -m torch.distributed.run --standalone --nproc-per-node="$processes" \
    "$(dirname "$0")/test.py" "$config" --launcher pytorch "$@"
