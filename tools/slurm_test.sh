#!/usr/bin/env bash
# Evaluate one config under slurm, with one process per GPU, and wait for it:
#   [PARTITION=...] [JOB_NAME=...] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [GRES=gpu:8] [SRUN_ARGS="..."] \
#       tools/slurm_test.sh CONFIG [GPUS] [options of tools/test.py]
# GPUS: processes in all, 1 if left out. GRES: what each node gives, gpu:GPUS_PER_NODE if not set; GRES= for none (CPUs).
# Python: $PYTHON, else that of .venv, else python. Many configs: tools/slurm_array.py.
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: tools/slurm_test.sh CONFIG [GPUS] [options of tools/test.py]" >&2
    exit 2
fi
if ! command -v srun > /dev/null; then
    echo "error: there is no srun on this machine: log in where slurm is, or use tools/test.py or tools/dist_test.sh." >&2
    exit 1
fi
config=$1 gpus=1
shift
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    gpus=$1
    shift
fi
if [ "$gpus" -lt 1 ]; then
    echo "error: GPUS is the number of processes, and must be at least 1." >&2
    exit 1
fi
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x "$root/.venv/bin/python" ] && PYTHON="$root/.venv/bin/python"
fi
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
gres=${GRES-gpu:$per_node}
# SRUN_ARGS is split into words, as in MMSegmentation.
# shellcheck disable=SC2086
exec srun --job-name="${JOB_NAME:-mmseg_tfovss}" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${PARTITION:+--partition="$PARTITION"} \
    ${gres:+--gres="$gres"} ${SRUN_ARGS:-} \
    "$PYTHON" -u "$root/tools/test.py" "$config" --launcher slurm "$@"
