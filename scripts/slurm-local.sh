#!/usr/bin/env bash
# A real Slurm of one node, this machine, for trying sweeps and for their tests:
#
#   scripts/slurm-local.sh start   # then: export SLURM_CONF=/tmp/ulrl-slurm/slurm.conf
#   scripts/slurm-local.sh stop
#
# Debian's packages munge, slurmctld, slurmd and slurm-client; root only. A
# cluster that this machine already belongs to is not touched: everything lies in
# one folder (ULRL_SLURM_DIR, /tmp/ulrl-slurm), the daemons listen to ports of
# their own. Partitions: main, and urgent, whose jobs take main's place.
set -euo pipefail

dir=${ULRL_SLURM_DIR:-/tmp/ulrl-slurm}
die() { echo "slurm-local: $*" >&2; exit 1; }

[[ $(id -u) == 0 ]] || die "needs root, to start munge and Slurm's daemons"
export PATH=$PATH:/usr/sbin:/sbin

# stop_one ends the daemon of a pid file, and waits until it is gone.
stop_one() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

stop() {
  if [[ -f $dir/slurm.conf ]] && SLURM_CONF=$dir/slurm.conf scontrol ping >/dev/null 2>&1; then
    SLURM_CONF=$dir/slurm.conf scancel --user=root --full >/dev/null 2>&1 || true
    sleep 1
  fi
  stop_one "$dir/slurmd.pid"
  stop_one "$dir/slurmctld.pid"
  stop_one "$dir/munged.pid"
  rm -rf "$dir"
}

start() {
  local missing=()
  for tool in munged slurmctld slurmd sbatch; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if ((${#missing[@]})); then
    # shellcheck source=scripts/apt.sh
    source "$(dirname "$0")/apt.sh"
    apt_install munge slurmctld slurmd slurm-client || die "could not install munge slurmctld slurmd slurm-client"
  fi
  stop
  mkdir -p "$dir"/{state,spool,log,munge}
  chmod 755 "$dir"
  dd if=/dev/urandom of="$dir/munge/key" bs=1024 count=1 status=none
  chown -R munge: "$dir/munge"
  chmod 700 "$dir/munge"
  chmod 400 "$dir/munge/key"
  mkdir "$dir/socket" && chown munge: "$dir/socket" && chmod 755 "$dir/socket"
  setpriv --reuid munge --regid munge --clear-groups munged --key-file="$dir/munge/key" --socket="$dir/socket/munge" \
    --pid-file="$dir/munge/munged.pid" --log-file="$dir/munge/munged.log" --seed-file="$dir/munge/seed" --force ||
    die "munged did not start: $(tail -n 1 "$dir/munge/munged.log" 2>/dev/null)"
  cp "$dir/munge/munged.pid" "$dir/munged.pid"

  local host cpus memory
  host=$(hostname -s)
  cpus=$(nproc)
  memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
  cat >"$dir/slurm.conf" <<CONF
ClusterName=ulrl
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/socket/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0
MaxArraySize=${ULRL_SLURM_ARRAY:-1001}
KillWait=5
OverTimeLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=10 State=UP
PartitionName=urgent Nodes=$host MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
CONF
  export SLURM_CONF=$dir/slurm.conf
  slurmctld -f "$SLURM_CONF" || die "slurmctld did not start: see $dir/log/slurmctld.log"
  slurmd -f "$SLURM_CONF" || die "slurmd did not start: see $dir/log/slurmd.log"
  for _ in {1..150}; do
    if [[ $(sinfo --noheader --partition=main --format=%T 2>/dev/null) == idle ]]; then
      echo "a Slurm of $cpus CPUs and $memory MB is up; to use it:" >&2
      echo "export SLURM_CONF=$SLURM_CONF"
      return
    fi
    sleep 0.2
  done
  die "the node did not come up: $(sinfo --noheader --format='%T %E' 2>&1 | head -n 1); see $dir/log"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) echo "usage: scripts/slurm-local.sh start|stop" >&2; exit 2 ;;
esac
