#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the module's KUnit tests said when it was loaded (run --kunit): one suite for each file of
# kmod/tests. Their KTAP is nested; the cases are what counts.

found=0
for file in /repo/kmod/tests/kunit_*.c; do
	name=llm_$(basename "$file" .c | sed 's/^kunit_//')
	results=/sys/kernel/debug/kunit/$name/results
	[ -f "$results" ] || continue
	sed -n -e 's/^    \(ok .*\)/\1/p' -e 's/^    \(not ok .*\)/\1/p' -e 's/^    \(1\.\.[0-9]*\)$/\1/p' \
		-e 's/^    \(# .*\)/\1/p' "$results" >"/out/tap/kunit.$name.tap"
	echo 0 >"/out/tap/kunit.$name.rc"
	found=$((found + 1))
done
[ "$found" -gt 0 ] && [ "$found" -eq "$(find /repo/kmod/tests -name 'kunit_*.c' | wc -l)" ]
