# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Adds up TAP: TAP_PASSED, TAP_FAILED and TAP_SKIPPED over every program counted so far. Each
# failure is printed where it is counted, each skip with its reason.

TAP_PASSED=0
TAP_FAILED=0
TAP_SKIPPED=0

# tap_add LABEL FILE STATUS: count the TAP output in FILE of a program that exited with STATUS
tap_add()
{
	local label=$1 file=$2 status=$3 passed failed skipped kind line
	{
		read -r passed failed skipped
		TAP_PASSED=$((TAP_PASSED + passed))
		TAP_FAILED=$((TAP_FAILED + failed))
		TAP_SKIPPED=$((TAP_SKIPPED + skipped))
		while read -r kind line; do
			note "$kind: $label: $line"
		done
		if ((failed > 0)) && [[ -s ${file%.tap}.err ]]; then
			tail -n 15 "${file%.tap}.err" | sed 's/^/      | /' >&2
		fi
	} < <(awk -v rc="$status" -f "$LLMOS_TREE/scripts/lib/tap.awk" "$file")
}

# tap_one LABEL STATUS: a single assertion of the scripts' own
tap_one()
{
	if (($2 == 0)); then
		TAP_PASSED=$((TAP_PASSED + 1))
	else
		TAP_FAILED=$((TAP_FAILED + 1))
		note "fail: $1"
	fi
}

# tap_skip LABEL REASON
tap_skip()
{
	TAP_SKIPPED=$((TAP_SKIPPED + 1))
	note "skip: $1: $2"
}

# tap_merge FILE: the three sums that another process wrote there
tap_merge()
{
	local passed failed skipped
	if read -r passed failed skipped < <(cat "$1" 2>/dev/null); then
		TAP_PASSED=$((TAP_PASSED + passed))
		TAP_FAILED=$((TAP_FAILED + failed))
		TAP_SKIPPED=$((TAP_SKIPPED + skipped))
	else
		TAP_FAILED=$((TAP_FAILED + 1))
		note "fail: no result in '$1'"
	fi
}

# tap_prove LABEL SECONDS PROGRAM...: TAP programs and scripts through prove, each with a limit of
# its own; none at all is a failure
tap_prove()
{
	local label=$1 dir tap program before=$TAP_FAILED status=0
	export TAP_LIMIT=$2 TAP_DIR
	shift 2
	if (($# == 0)); then
		tap_one "$label: there is nothing to run" 1
		return 0
	fi
	dir=$(mktemp -d "$LLMOS_CACHE/tap.XXXXXX")
	TAP_DIR=$dir
	prove -j "${TAP_JOBS:-1}" --merge --exec "$LLMOS_TREE/scripts/lib/tap-tee" "$@" \
		>"$LLMOS_LOGS/prove.log" 2>&1 || status=$?
	for program in "$@"; do
		tap=$dir/$(basename "$program" .sh).tap
		if [[ -f $tap ]]; then
			tap_add "$label $(basename "$tap" .tap)" "$tap" "$(cat "${tap%.tap}.rc")"
		else
			tap_one "$label: '$program' did not run" 1
		fi
	done
	if ((status != 0 && TAP_FAILED == before)); then
		tap_one "$label: prove is not content, see $LLMOS_LOGS/prove.log" 1
		tail -n 15 "$LLMOS_LOGS/prove.log" | sed 's/^/      | /' >&2
	fi
	rm -rf "$dir"
}
