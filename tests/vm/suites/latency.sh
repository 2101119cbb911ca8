#!/bin/sh
# SPDX-License-Identifier: MIT
#
# How long a request that costs nothing takes, for tests/bench/latency.sh: the broker alone, then
# with llmosd behind it. Not part of the checks: its figures mean something with --icount only.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
# with limits that are counted on the way and never reached
mkdir -p /sys/fs/cgroup/latency/inner
"$LLMOS_BUILD/llmctl" quota set /latency weight=200 tokens-per-second=1000000000 in-flight=1000
"$LLMOS_BUILD/llmctl" quota set /latency/inner queued=1000 compute=1s memory.host=1G
echo $$ >/sys/fs/cgroup/latency/inner/cgroup.procs
tap_run broker 60 "$LLMOS_BUILD/tests/bench/latency"
tap_run daemon 60 sh "$LLMOS_TREE/tests/e2e/bench_latency.sh"
