#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Clients and the daemon are killed at random points; every surviving stream stays the same.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_command
export LLMOS_CHAOS_ROUNDS="${LLMOS_CHAOS_ROUNDS:-30}"
run_prog chaos
done_testing
