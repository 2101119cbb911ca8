#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What fair order costs in tokens a second, against order of arrival.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$LLMOS_SCALE" -eq 1 ] || skip_all "timings mean nothing on this vehicle"
small_model
# one thread: those that wait for each other spend processor time when there is little of it
DAEMON_THREADS=--threads=1
DAEMON_ARGS="--prefix-cache=no --order=\$LLMOS_ORDER"
daemon_command
run_prog cost
done_testing
