#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Clients and the daemon killed at random points while every surviving stream must stay the same.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
tap_run test_chaos 300 sh "$LLMOS_TREE/tests/e2e/test_chaos.sh"
