#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The end-to-end suites over /dev/llm; the same scripts run on the host over the socket. Chaos has a
# suite of its own.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_all "$LLMOS_TREE/tests/e2e" 300 chaos
