#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The end-to-end suites over /dev/llm; the same scripts run on the host over the socket. Chaos has a
# suite of its own.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
# longer than a suite waits for a program: or what that said would be lost
tap_all "$LLMOS_TREE/tests/e2e" 360 chaos
