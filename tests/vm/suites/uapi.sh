#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The contract of /dev/llm and /dev/llmd, one program per feature, as root in the guest.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_all "$LLMOS_BUILD/tests/uapi" $((180 + ${LLMOS_RATE_SECONDS:-0} + ${LLMOS_CHAOS_OPS:-0} / 200))
