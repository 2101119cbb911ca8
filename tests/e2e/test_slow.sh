#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Clients that never read: only their own requests wait.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start
if [ "$LLMOS_TRANSPORT" = device ]; then
	bound=/sys/module/llm/parameters/max_unread_bytes
	was=$(cat $bound)
	limit=$(pick 16384 4096)
	echo "$limit" >$bound
	run_prog slow "$limit"
	echo "$was" >$bound
else
	run_prog slow 65536
fi
daemon_stop
done_testing
