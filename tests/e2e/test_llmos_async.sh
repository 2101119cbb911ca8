#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library's ways to the server: ioctl, io_uring, ioctl where io_uring is refused; the socket.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start
run_prog llmos_async
ctl ask --raw 'Once upon a time' -n 40 >"$TMP/ctl" </dev/null
is $? 0 "llmctl asks"
within 60 "$LLMOS_BUILD/examples/uring_ask" 'Once upon a time' >"$TMP/uring" 2>"$TMP/err"
is $? 0 "the example of an event loop asks" || note "$(cat "$TMP/err")"
begin=$(head -c 60 "$TMP/ctl")
is "$(head -c 60 "$TMP/uring")" "$begin" "and gets the same answer"
within 60 "$LLMOS_BUILD/examples/uring_ask" --verbose Once >/dev/null 2>"$TMP/err"
if [ "$LLMOS_TRANSPORT" = device ]; then
	has "$TMP/err" 'by io_uring' "by io_uring"
else
	has "$TMP/err" 'by socket' "by the socket"
fi
daemon_stop
done_testing
