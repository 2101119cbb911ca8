#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prompts in registered buffers, and log-probabilities written into them.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need_device
small_model
daemon_start
run_prog buffer
daemon_stop
done_testing
