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
