# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every suite of llmctl starts from: a llmosd on a socket of its own with the small model of
# the repository, and TAP. Runs natively, without root.
#
#   LLMOS_BUILD   the programs to test (build)

set -u

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LLMOS_BUILD=${LLMOS_BUILD:-$TREE/build}
[[ $LLMOS_BUILD == /* ]] || LLMOS_BUILD=$TREE/$LLMOS_BUILD
TMP=$(mktemp -d "${TMPDIR:-/tmp}/llmos-cli.XXXXXX") || exit 1
MODEL=stories260K-f32
DAEMON=
PATH=$LLMOS_BUILD:$PATH
# nothing of the user's own may change what is tested
HOME=$TMP/home
LC_ALL=C.UTF-8
unset LLMOS_ADDRESS LLMOS_ISA XDG_STATE_HOME XDG_CONFIG_HOME NOTIFY_SOCKET
export LLMOS_BUILD PATH HOME LC_ALL
mkdir -p "$HOME"
: >"$TMP/out"
: >"$TMP/err"

cleanup()
{
	daemon_kill
	rm -rf "$TMP"
}
trap cleanup EXIT

# ---- TAP ----

TAP_COUNT=0
TAP_FAILED=0

# ok STATUS TEXT: passed if STATUS is 0; else what the last command said follows
ok()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	if (($1 == 0)); then
		echo "ok $TAP_COUNT - $2"
		return
	fi
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - $2"
	[[ ! -s $TMP/err ]] || sed 's/^/# stderr: /' "$TMP/err" | head -n 5
}

# is GOT WANTED TEXT
is()
{
	[[ $1 == "$2" ]]
	ok $? "$3"
	[[ $1 == "$2" ]] || printf 'got:    %q\nwanted: %q\n' "$1" "$2" | sed 's/^/# /' | cut -c 1-400
}

# has PATTERN TEXT: a line of the last command's output matches
has()
{
	grep -qE -- "$1" "$TMP/out"
	ok $? "$2"
}

# skip_all REASON
skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

done_testing()
{
	echo "1..$TAP_COUNT"
	((TAP_FAILED == 0))
	exit $?
}

# ---- the programs ----

[[ -x $LLMOS_BUILD/llmctl && -x $LLMOS_BUILD/llmosd ]] ||
	skip_all "no llmctl and llmosd in '$LLMOS_BUILD'"

# ctl ARGUMENT...: llmctl without input, bounded; what it says lies in $TMP/out and $TMP/err
ctl()
{
	timeout -s KILL 60 llmctl "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
}

# ctl_in FILE ARGUMENT...: with input
ctl_in()
{
	local file=$1
	shift
	timeout -s KILL 60 llmctl "$@" >"$TMP/out" 2>"$TMP/err" <"$file"
}

# fails CODE PATTERN TEXT ARGUMENT...: one line on standard error, nothing on standard output
fails()
{
	local code=$1 pattern=$2 text=$3 rc
	shift 3
	ctl "$@"
	rc=$?
	is "$rc" "$code" "$text: exit code $code"
	failed_well "$pattern" "$text"
}

# failed_well PATTERN TEXT: what the last command said
failed_well()
{
	is "$(wc -l <"$TMP/err")" 1 "$2: one line"
	grep -qE -- "^llmctl: .*($1)" "$TMP/err"
	ok $? "$2: it names the thing"
	is "$(cat "$TMP/out")" '' "$2: nothing on standard output"
}

# is_json TEXT: the last command's output is one JSON value
is_json()
{
	"$LLMOS_BUILD/tests/e2e/json" <"$TMP/out" >/dev/null 2>"$TMP/err"
	ok $? "$1"
}

# json PATH: a value of the last command's output
json()
{
	"$LLMOS_BUILD/tests/e2e/json" "$1" <"$TMP/out"
}

# wait_for COMMAND...: until it succeeds; false after two minutes
wait_for()
{
	local tries=6000
	until "$@"; do
		((--tries)) || return 1
		sleep 0.02
	done
}

daemon_answers()
{
	llmctl status >/dev/null 2>&1 </dev/null
}

# daemon_start: llmosd on $LLMOS_ADDRESS
daemon_start()
{
	mkdir -p "$TMP/models"
	[[ -e $TMP/models/$MODEL.gguf ]] || cp "$TREE/models/$MODEL.gguf" "$TMP/models/"
	LLMOS_ADDRESS=unix:$TMP/socket
	export LLMOS_ADDRESS
	rm -f "$TMP/socket"
	llmosd --listen "$LLMOS_ADDRESS" --models "$TMP/models" >"$TMP/llmosd.log" 2>&1 &
	DAEMON=$!
	if ! wait_for daemon_answers; then
		sed 's/^/# llmosd: /' "$TMP/llmosd.log"
		echo "Bail out! llmosd does not answer"
		exit 1
	fi
}

daemon_kill()
{
	[[ -n $DAEMON ]] || return 0
	kill -9 "$DAEMON" 2>/dev/null
	wait "$DAEMON" 2>/dev/null
	DAEMON=
}
