#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The end-to-end suites over /dev/llm, without those in which only the daemon does something new:
# for a kernel that watches itself and takes several times as long. Suite e2e has them all.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_all "$LLMOS_TREE/tests/e2e" 360 \
	chaos adapter badinput chat embed grammar hub models pack shift tokens
