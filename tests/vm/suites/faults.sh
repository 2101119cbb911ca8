#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What can fail in the kernel does: in each operation one thing after the other, then at random in
# LLMOS_FAULT_OPERATIONS hostile ones. For kernels with fault injection.

# shellcheck source=tests/vm/guest/lib.sh
. /repo/tests/vm/guest/lib.sh
operations=${LLMOS_FAULT_OPERATIONS:-50000}
calm=
case $LLMOS_VEHICLE in
uml*) calm=-m ;;
esac
tap_run faults 120 "$LLMOS_BUILD/tests/faults/faults"
tap_run stress $((180 + operations / 250)) "$LLMOS_BUILD/tests/stress/stress" $calm -f 1 \
	-n "$operations" -t $((120 + operations / 250)) ${LLMOS_SEED:+-s "$LLMOS_SEED"}
