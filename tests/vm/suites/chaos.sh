#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Clients and the daemon killed at random points while every surviving stream must stay the same.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
# longer than the suite waits for its program: or what that says of where it hangs would be lost
tap_run test_chaos 360 sh "$LLMOS_TREE/tests/e2e/test_chaos.sh"
