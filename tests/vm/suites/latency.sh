#!/bin/sh
# SPDX-License-Identifier: MIT
#
# How long a request that costs nothing takes, for tests/bench/latency.sh: the broker alone, then
# with llmosd behind it. Not part of the checks: its figures mean something with --icount only.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_run broker 60 "$LLMOS_BUILD/tests/bench/latency"
tap_run daemon 60 sh "$LLMOS_TREE/tests/e2e/bench_latency.sh"
