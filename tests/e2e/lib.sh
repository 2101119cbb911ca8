# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What every end-to-end suite starts from; POSIX sh and busybox are enough. A suite works in three
# places: natively over the socket, and over /dev/llm in a virtual machine and in User-Mode
# Linux, where it runs as root. It says TAP; tests/e2e/run runs them all.
#
# From outside:
#   LLMOS_TREE       the repository (from the suite's own path)
#   LLMOS_BUILD      the programs to test ($LLMOS_TREE/build)
#   LLMOS_TRANSPORT  socket (the default) or device
#   LLMOS_SLOW       how many times slower this vehicle is (1)
#   LLMOS_SEED       seed of what is random (printed)
#   LLMOS_TEST_DATA  facts made by other programs; a suite that needs them skips without

LLMOS_TREE=${LLMOS_TREE:-$(cd "$(dirname "$0")/../.." && pwd)}
LLMOS_BUILD=${LLMOS_BUILD:-$LLMOS_TREE/build}
case $LLMOS_BUILD in
/*) ;;
*) LLMOS_BUILD=$LLMOS_TREE/$LLMOS_BUILD ;;
esac
LLMOS_TRANSPORT=${LLMOS_TRANSPORT:-socket}
LLMOS_SCALE=${LLMOS_SLOW:-1}
LLMOS_TEST_DATA=${LLMOS_TEST_DATA:-$LLMOS_TREE/../shared/data}
E2E=$LLMOS_BUILD/tests/e2e
SMALL=stories260K-f32
LD_LIBRARY_PATH=$LLMOS_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
PATH=$LLMOS_BUILD:$PATH
TMP=$(mktemp -d "${TMPDIR:-/tmp}/llmos-e2e.XXXXXX") || exit 1
chmod 755 "$TMP"
# nothing of the user's own may change what is tested
HOME=$TMP/home
unset LLMOS_MODEL LLMOS_SESSION LLMOS_ISA XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME NOTIFY_SOCKET
mkdir -p "$HOME" "$TMP/models"
export LLMOS_TREE LLMOS_BUILD LLMOS_TRANSPORT LLMOS_SCALE LLMOS_SEED LD_LIBRARY_PATH PATH HOME TMP
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}exitcode=99"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}exitcode=99:print_stacktrace=1"

# ---- TAP ----

TAP_COUNT=0
TAP_FAILED=0

# ok STATUS TEXT: one assertion, passed if STATUS is 0
ok()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $TAP_COUNT - $2"
	else
		TAP_FAILED=$((TAP_FAILED + 1))
		echo "not ok $TAP_COUNT - $2"
	fi
	return "$1"
}

note()
{
	echo "$*" | sed 's/^/# /'
}

# is GOT WANTED TEXT
is()
{
	if [ "$1" = "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "got    '$1'"
		note "wanted '$2'"
		return 1
	fi
}

# isnt GOT UNWANTED TEXT
isnt()
{
	if [ "$1" != "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "got    '$1'"
		return 1
	fi
}

# less A B TEXT: integers, A <= B
at_most()
{
	if [ "$1" -le "$2" ] 2>/dev/null; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "got '$1', wanted at most '$2'"
		return 1
	fi
}

# same FILE FILE TEXT: byte for byte
same()
{
	if cmp -s "$1" "$2"; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "$(head -c 300 "$1")"
		note "--- wanted"
		note "$(head -c 300 "$2")"
		return 1
	fi
}

# has FILE PATTERN TEXT: an extended regular expression in the file
has()
{
	if grep -qE -- "$2" "$1"; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "no '$2' in: $(head -c 400 "$1")"
		return 1
	fi
}

skip()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1 # SKIP $2"
}

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

bail()
{
	echo "Bail out! $*"
	exit 1
}

done_testing()
{
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" -eq 0 ]
	exit $?
}

# pick FAST SLOW: how much of something, where a vehicle is fast and where it is slow
pick()
{
	if [ "$LLMOS_SCALE" -eq 1 ]; then
		echo "$1"
	else
		echo "$2"
	fi
}

# ---- waiting ----

# wait_for SECONDS COMMAND...: until it succeeds; looks every 20 ms, longer on slow vehicles, and not
# for less than a minute before it is given up: others may want the processor
wait_for()
{
	wait_tries=$(($1 < 60 ? 60 : $1))
	wait_tries=$((wait_tries * 50 * LLMOS_SCALE))
	shift
	until "$@"; do
		wait_tries=$((wait_tries - 1))
		[ "$wait_tries" -le 0 ] && return 1
		sleep 0.02
	done
}

# within SECONDS COMMAND...: killed past its time (status 124 or 137)
within()
{
	within_s=$(($1 * LLMOS_SCALE))
	shift
	timeout -s KILL "$within_s" "$@"
}

# ended PID: no such process, or a zombie
ended()
{
	! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null
}

# ---- programs ----

# ctl ARGUMENT...: llmctl, bounded
ctl()
{
	within 60 "$LLMOS_BUILD/llmctl" "$@"
}

json()
{
	"$E2E/json" "$@"
}

# status PATH: one value of llmctl status --json
status()
{
	ctl status --json 2>/dev/null | json "$1" 2>/dev/null
}

# run_prog NAME ARGUMENT...: a test program that says TAP itself; its lines become ours
run_prog()
{
	prog_name=$1
	shift
	prog_rc=0
	within 300 "$E2E/$prog_name" "$@" >"$TMP/prog.out" 2>"$TMP/prog.err" || prog_rc=$?
	prog_lines=0
	while IFS= read -r prog_line; do
		case $prog_line in
		"ok "*)
			TAP_COUNT=$((TAP_COUNT + 1))
			echo "ok $TAP_COUNT ${prog_line#ok * }"
			;;
		"not ok "*)
			TAP_COUNT=$((TAP_COUNT + 1))
			TAP_FAILED=$((TAP_FAILED + 1))
			echo "not ok $TAP_COUNT ${prog_line#not ok * }"
			;;
		1..*) prog_lines=1 ;;
		*) echo "$prog_line" ;;
		esac
	done <"$TMP/prog.out"
	if [ "$prog_lines" -eq 0 ] || [ "$prog_rc" -gt 1 ]; then
		ok 1 "$prog_name ended with status $prog_rc"
	fi
	[ -s "$TMP/prog.err" ] && note "$(tail -n 20 "$TMP/prog.err")"
	return "$prog_rc"
}

# ---- the daemon ----

# model FILE [NAME]: put a model into the suite's own folder
model()
{
	cp "$1" "$TMP/models/${2:-$(basename "$1")}"
}

small_model()
{
	model "$LLMOS_TREE/models/$SMALL.gguf"
}

# the command line of the daemon under test, ready for eval and for the C programs' sh -c
if [ "$LLMOS_TRANSPORT" = device ]; then
	LLMOS_ADDRESS=device
	E2E_LISTEN=--config=/dev/null
else
	LLMOS_ADDRESS=unix:$TMP/s
	E2E_LISTEN="--config=/dev/null --device=none --listen unix:$TMP/s"
fi
DAEMON_ARGS=
# where each instruction is emulated, threads that meet after each layer cost more than they give
DAEMON_THREADS=
[ "$LLMOS_SCALE" -eq 1 ] || DAEMON_THREADS=--threads=1
DAEMON_PID=
# what runs it instead of this shell; empty: nothing
DAEMON_UNDER=
# how many descriptors it may have; empty: as many as this shell
DAEMON_FDS=
DAEMON_LOG=$TMP/daemon.log
export LLMOS_ADDRESS

# daemon_command: sets LLMOS_DAEMON from DAEMON_ARGS
daemon_command()
{
	LLMOS_DAEMON="$LLMOS_BUILD/llmosd $E2E_LISTEN --models $TMP/models $DAEMON_THREADS $DAEMON_ARGS"
	LLMOS_DAEMON="${DAEMON_FDS:+$E2E/as -n $DAEMON_FDS - }$LLMOS_DAEMON"
	LLMOS_DAEMON="${DAEMON_UNDER:+$DAEMON_UNDER }$LLMOS_DAEMON"
	LLMOS_DAEMON="$LLMOS_DAEMON </dev/null >>$DAEMON_LOG 2>&1"
	export LLMOS_DAEMON
}

daemon_serves()
{
	[ "$(status .server_pid)" = "$DAEMON_PID" ] || ended "$DAEMON_PID"
}

# daemon_try: start it and wait until it serves; 1 if it does not
daemon_try()
{
	daemon_command
	eval "exec $LLMOS_DAEMON" &
	DAEMON_PID=$!
	LLMOS_DAEMON_PID=$DAEMON_PID
	export LLMOS_DAEMON_PID
	wait_for 20 daemon_serves && ! ended "$DAEMON_PID"
}

# daemon_start: with DAEMON_ARGS, further arguments of llmosd, or there is no test
daemon_start()
{
	if ! daemon_try; then
		note "$(tail -n 20 "$DAEMON_LOG" 2>/dev/null)"
		bail "llmosd does not serve"
	fi
}

# daemon_end SIGNAL: ends it; DAEMON_STATUS is its exit status
daemon_end()
{
	DAEMON_STATUS=0
	kill "-$1" "$DAEMON_PID" 2>/dev/null
	# also where a test broke off while it stood still
	kill -CONT "$DAEMON_PID" 2>/dev/null
	wait "$DAEMON_PID" 2>/dev/null || DAEMON_STATUS=$?
	DAEMON_PID=
}

settled()
{
	ctl status --json >"$TMP/settled" 2>/dev/null &&
		[ "$(json .slots_busy <"$TMP/settled")" = 0 ] &&
		[ "$(json .kv_pages_used <"$TMP/settled")" = 0 ] &&
		[ "$(json .requests <"$TMP/settled")" = 0 ]
}

# daemon_stop: the end of a suite: nothing is left, and the daemon leaves well when asked to
daemon_stop()
{
	wait_for 10 settled
	ok $? "no slot, page or request is left" || note "$(cat "$TMP/settled")"
	daemon_end TERM
	is "$DAEMON_STATUS" 0 "llmosd ends well on SIGTERM" || note "$(tail -n 20 "$DAEMON_LOG")"
}

cleanup()
{
	trap - EXIT
	for cleanup_pid in $DAEMON_PID $E2E_PIDS; do
		kill -CONT "$cleanup_pid" 2>/dev/null
		kill -KILL "$cleanup_pid" 2>/dev/null
	done
	wait 2>/dev/null
	# shellcheck disable=SC2086
	[ -n "$E2E_CGROUP" ] && rmdir $E2E_CGROUP 2>/dev/null
	if [ -n "${LLMOS_KEEP:-}" ]; then
		note "kept $TMP"
	else
		rm -rf "$TMP"
	fi
}
E2E_PIDS=
E2E_CGROUP=
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# ---- what a suite needs ----

need_device()
{
	[ "$LLMOS_TRANSPORT" = device ] || skip_all "needs /dev/llm"
}

# a suite that was killed may have left its daemon behind: /dev/llmd has room for one
if [ "$LLMOS_TRANSPORT" = device ] && [ "$(id -u)" = 0 ] && [ -e /dev/llm ]; then
	leftover=$(status .server_pid)
	if [ "${leftover:-0}" -gt 0 ]; then
		note "llmosd $leftover was left behind"
		kill -KILL "$leftover"
		wait_for 10 ended "$leftover"
	fi
fi

need_root()
{
	[ "$(id -u)" = 0 ] || skip_all "needs root"
}

# own_cgroup NAME: $mount/$here, which goes with the suite
own_cgroup()
{
	mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$mount" ] || skip_all "no cgroup v2 here"
	here=llmos-$1.$$
	mkdir "$mount/$here" || skip_all "no writable cgroup v2 here"
	E2E_CGROUP=$mount/$here
}

# have_user NAME
have_user()
{
	[ "$(id -u)" = 0 ] && id "$1" >/dev/null 2>&1
}

# as [-g FOLDER] USER COMMAND...; in the background call "$E2E/as" itself, or $! is a shell
as()
{
	"$E2E/as" "$@"
}
