# SPDX-License-Identifier: MIT
#
# Counts one program's TAP: prints "PASSED FAILED SKIPPED", then each failed or skipped line.
# -v rc=STATUS is the program's exit status: one that dies, or runs another number of tests than
# it planned, counts as one more failure. Several plans in one output add up.

BEGIN { planned = passed = failed = skipped = 0; plans = 0 }

/^1\.\.[0-9]+/ {
	n = substr($1, 4) + 0
	plans++
	planned += n
	if (n == 0) {
		if (tolower($0) ~ /# *skip/) {
			skipped++
			said[++lines] = "skip " $0
		} else {
			failed++
			said[++lines] = "fail a plan of no tests: " $0
		}
	}
	next
}
/^Bail out!/ { failed++; said[++lines] = "fail " $0; next }
# cmocka 1.1.5 spells a skipped test "not ok N # SKIP"
/^not ok/ {
	seen++
	if (tolower($0) ~ /# *(todo|skip)/) {
		skipped++
		said[++lines] = "skip " $0
	} else {
		failed++
		said[++lines] = "fail " $0
	}
	next
}
/^ok/ {
	seen++
	if (tolower($0) ~ /# *skip/) {
		skipped++
		said[++lines] = "skip " $0
	} else {
		passed++
	}
}

END {
	if (plans == 0) {
		failed++
		said[++lines] = "fail no plan: not a TAP program, or it died early (status " rc ")"
	} else if (seen != planned) {
		failed++
		said[++lines] = "fail planned " planned " tests, ran " (seen + 0) " (status " rc ")"
	} else if (rc != 0 && failed == 0) {
		failed++
		said[++lines] = "fail exit status " rc
	}
	print passed, failed, skipped
	for (i = 1; i <= lines; i++)
		print said[i]
}
