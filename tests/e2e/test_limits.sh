#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Limits: requests of one file, of one user and in all; past them is EBUSY, and nothing else is
# touched.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start
if [ "$LLMOS_TRANSPORT" = device ]; then
	where=/sys/module/llm/parameters
	was="$(cat $where/max_requests_file) $(cat $where/max_requests_user)"
	echo 8 >$where/max_requests_file
	echo 20 >$where/max_requests_user
	run_prog limits 8 20
	echo "${was% *}" >$where/max_requests_file
	echo "${was#* }" >$where/max_requests_user
	# what can't be
	for value in 0 -1 many 99999999999; do
		! echo $value >$where/max_requests 2>/dev/null
		ok $? "max_requests can't be '$value'"
	done
else
	run_prog limits 64 256
fi
daemon_stop
done_testing
