#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Not a test but a test's material: passes its one assertion while the kernel log says otherwise.
# The runner must fail on it (tests/vm/selftest.sh).

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_run innocent 5 printf '1..1\nok 1 - nothing to see\n'
echo 'WARNING: CPU: 0 PID: 1 at this/is/a/test.c:1 fake' >/dev/kmsg
