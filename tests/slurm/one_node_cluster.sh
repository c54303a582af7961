#!/usr/bin/env bash
# A slurm cluster of this machine alone, for tests: installs Debian's slurm-wlm and munge where they are missing.
#   tests/slurm/one_node_cluster.sh start FOLDER   then: export SLURM_CONF=FOLDER/slurm.conf
#   tests/slurm/one_node_cluster.sh stop FOLDER    ends its jobs and daemons
# FOLDER: new, of a short path without spaces; the cluster lives in it and meets no other cluster's files or ports.
# Partitions: pocket (default), and urgent, whose jobs preempt those of pocket.
# Exit code 77: this machine cannot have one; the last line says why.
set -euo pipefail

cannot() {
    echo "no slurm cluster here: $1" >&2
    exit 77
}

install_packages() {
    if command -v slurmctld slurmd munged sbatch > /dev/null; then
        return
    fi
    command -v apt-get > /dev/null || cannot "there is no apt-get to install slurm-wlm and munge with."
    export DEBIAN_FRONTEND=noninteractive
    local options=(-qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=20)
    timeout 300 apt-get "${options[@]}" install slurm-wlm munge > "$folder/apt.log" 2>&1 ||
        { timeout 120 apt-get -qq update && timeout 300 apt-get "${options[@]}" install slurm-wlm munge; } \
            >> "$folder/apt.log" 2>&1 ||
        cannot "apt-get could not install slurm-wlm and munge: $(tail -n 1 "$folder/apt.log")"
}

write_configuration() {
    local host port
    host=$(hostname -s) port=$((20000 + RANDOM % 10000))
    mkdir "$folder/controller" "$folder/node"
    cat > "$folder/slurm.conf" << END
ClusterName=onenode
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/controller
SlurmdSpoolDir=$folder/node
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=0
KillWait=20
ReturnToService=2
SchedulerParameters=sched_min_interval=0,bf_interval=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=pocket Nodes=ALL Default=YES PriorityTier=1 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF State=UP
END
}

start() {
    [ "$(id -u)" -eq 0 ] || cannot "slurm's daemons need root."
    [[ "$folder" != *[[:space:]]* ]] || cannot "the folder $folder has a space in its path."
    mkdir -p "$folder"
    install_packages
    write_configuration
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munge.pid" \
        --log-file="$folder/munge.log" --seed-file="$folder/munge.seed" 2> "$folder/munge.err"
    export SLURM_CONF=$folder/slurm.conf
    slurmctld -c
    slurmd -c
    for _ in $(seq 60); do
        if [ "$(timeout 10 sinfo --noheader --format=%T --partition=pocket 2> /dev/null)" = idle ]; then
            return
        fi
        sleep 0.5
    done
    tail -n 5 "$folder"/*.log >&2
    stop
    echo "the cluster did not start within 30 seconds" >&2
    exit 1
}

stop() {
    export SLURM_CONF=$folder/slurm.conf
    timeout 10 scancel --user=root 2> /dev/null || true
    for _ in $(seq 60); do
        [ -n "$(timeout 10 squeue --noheader 2> /dev/null)" ] || break
        sleep 0.5
    done
    for daemon in slurmd slurmctld munge; do
        [ ! -s "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" 2> /dev/null || true
    done
    for _ in $(seq 60); do # each removes its file when it ends
        compgen -G "$folder/*.pid" > /dev/null || break
        sleep 0.5
    done
}

case "${1:-}" in
start | stop)
    [ $# -eq 2 ] || { echo "usage: $0 start|stop FOLDER" >&2; exit 2; }
    folder=$2
    [[ "$folder" = /* ]] || folder=$PWD/$folder
    "$1"
    ;;
*)
    echo "usage: $0 start|stop FOLDER" >&2
    exit 2
    ;;
esac
