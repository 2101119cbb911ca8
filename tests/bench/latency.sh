#!/bin/bash
# SPDX-License-Identifier: MIT
#
# latency.sh [VEHICLE...]: the round trip of a request that costs nothing, inside one virtual machine
# that counts instructions, so that the figures are the same in each run however busy this machine
# is (stock-6.12, unless vehicles are named). First against the smallest server, which measures
# the broker; then with llmosd behind it.

set -euo pipefail
cd "$(dirname "$0")/../.."

(($# > 0)) || set -- stock-6.12
rc=0
for vehicle in "$@"; do
	out=$(mktemp)
	tests/vm/run --vehicle "$vehicle" --icount --suite latency >"$out" || rc=1
	echo "$vehicle, instructions counted (1 us is 500 of them):"
	sed -n 's/^# \(.* us.*\|\/dev\/llm, .*\|the same .*\|and .*\|Unix socket, .*\|TCP, .*\|HTTP, .*\|with .*\)$/  \1/p' "$out"
	grep '^not ok' "$out" || true
	rm -f "$out"
done
exit $rc
