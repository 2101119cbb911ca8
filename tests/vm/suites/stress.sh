#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Hostile clients, servers and messages all at once, for LLMOS_STRESS_OPERATIONS operations.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
operations=${LLMOS_STRESS_OPERATIONS:-200000}
calm=
case $LLMOS_VEHICLE in
uml*) calm=-m ;;
esac
# several times as long as it takes on a machine with nothing else to do
tap_run stress $((180 + operations / 500)) "$LLMOS_BUILD/tests/stress/stress" $calm -n "$operations" \
	-t $((120 + operations / 500)) ${LLMOS_SEED:+-s "$LLMOS_SEED"}
