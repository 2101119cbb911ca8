#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What fair order costs in tokens a second, against order of arrival: with the small model, for which
# a token is a few microseconds, and with the one that LLMOS_REAL_MODEL names.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$LLMOS_SCALE" -eq 1 ] || skip_all "timings mean nothing on this vehicle"
# one thread: those that wait for each other spend processor time when there is little of it
DAEMON_THREADS=--threads=1
DAEMON_ARGS="--prefix-cache=no --order=\$LLMOS_ORDER"
daemon_command
if [ -n "${LLMOS_REAL_MODEL:-}" ]; then
	model "$LLMOS_REAL_MODEL"
	run_prog cost 1500 5
else
	small_model
	run_prog cost
fi
done_testing
