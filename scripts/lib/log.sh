# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the scripts say: numbered steps with the elapsed time, notes, and exactly one line when
# something is missing. Sourced by every script; LLMOS_NAME names the script in its error line.

LLMOS_STEP=0
LLMOS_STEPS=${LLMOS_STEPS:-0}

# elapsed: the time since the script began, as 1m05s
elapsed()
{
	printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60))
}

# step TEXT...: the next numbered step; LLMOS_STEPS is the total where it is known
step()
{
	LLMOS_STEP=$((LLMOS_STEP + 1))
	if ((LLMOS_STEPS > 0)); then
		printf '[%d/%d %s] %s\n' "$LLMOS_STEP" "$LLMOS_STEPS" "$(elapsed)" "$*" >&2
	else
		printf '[%d %s] %s\n' "$LLMOS_STEP" "$(elapsed)" "$*" >&2
	fi
}

# note TEXT...: a detail below the current step
note()
{
	printf '    %s\n' "$*" >&2
}

# die TEXT...: one line that says what is missing, and exit 1
die()
{
	printf '%s: %s\n' "${LLMOS_NAME:-llmos}" "$*" >&2
	exit 1
}

# wait_shown NAME PID: wait for a child and return its status. On a terminal a running time is
# shown, so that a long step is seen to live.
wait_shown()
{
	local name=$1 pid=$2 rc=0 start=$SECONDS
	while [[ -t 2 ]] && kill -0 "$pid" 2>/dev/null; do
		printf '\r    %s: %d s ' "$name" $((SECONDS - start)) >&2
		sleep 1
	done
	wait "$pid" || rc=$?
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	return "$rc"
}

# logged NAME COMMAND...: run with the output in a log; on failure show its errors and its end, and
# return 1
logged()
{
	local name=$1 log="$LLMOS_LOGS/$1.log" rc=0
	shift

	mkdir -p "$LLMOS_LOGS"
	"$@" >"$log" 2>&1 </dev/null &
	wait_shown "$name" $! || rc=$?
	if ((rc != 0)); then
		printf '    %s failed (status %d), from %s:\n' "$name" "$rc" "$log" >&2
		{ grep -m 10 -E '(error|undefined reference).*:|\*\*\*' "$log" || true; } |
			sed 's/^/      /' >&2
		tail -n 10 "$log" | sed 's/^/      /' >&2
		return 1
	fi
}
