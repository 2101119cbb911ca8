#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon is killed under sixteen streams, which go on as if nothing had been: 200 times with
# scripts/check --long.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need_device
small_model
daemon_command
run_prog survive "${LLMOS_KILLS:-$(pick 25 3)}"
done_testing
