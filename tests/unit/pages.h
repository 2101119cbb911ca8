/* SPDX-License-Identifier: MIT */
/* What the kernel says of the mapping that an address is in (proc_pid_smaps(5)). */
#ifndef LLMOS_TESTS_PAGES_H
#define LLMOS_TESTS_PAGES_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PAGES_LINE_BYTES	4352

/** pages_line() - the line of that mapping which begins with @what, "" if there is none */
static inline void pages_line(uintptr_t address, const char *what, char ret[PAGES_LINE_BYTES])
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	bool is_here = false;

	assert_non_null(maps);
	while (fgets(ret, PAGES_LINE_BYTES, maps)) {
		uintptr_t begin, end;

		if (sscanf(ret, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
			is_here = address >= begin && address < end;
		else if (is_here && !strncmp(ret, what, strlen(what)))
			break;
		*ret = '\0';
	}
	fclose(maps);
}

/** pages_have_flag() - one of two letters, with a blank before it */
static inline bool pages_have_flag(uintptr_t address, const char *flag)
{
	char line[PAGES_LINE_BYTES];

	pages_line(address, "VmFlags:", line);
	return strstr(line, flag);
}

/** pages_resident_kib() - of the mapping, as far as its pages are mapped now */
static inline unsigned int pages_resident_kib(uintptr_t address)
{
	unsigned int kib = 0;
	char line[PAGES_LINE_BYTES];

	pages_line(address, "Rss:", line);
	assert_int_equal(sscanf(line, "Rss: %u kB", &kib), 1);
	return kib;
}

#endif /* LLMOS_TESTS_PAGES_H */
