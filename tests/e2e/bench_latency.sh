#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The latency bench with llmosd behind /dev/llm instead of the smallest server.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
need_device

small_model
daemon_start
note "with llmosd behind /dev/llm:"
within 120 "$LLMOS_BUILD/tests/bench/latency" -d
