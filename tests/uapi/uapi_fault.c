// SPDX-License-Identifier: MIT
/* Failures on order: see uapi_fault.h. The files are those of the kernel's fault injection. */
#include "uapi_fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uapi.h"

#define FAULTS "/sys/kernel/debug"

static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
static int nth_fd = -1;

static bool put(const char *dir, const char *name, const char *value)
{
	char path[96];
	int fd;
	bool good;

	snprintf(path, sizeof(path), FAULTS "/%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	good = write(fd, value, strlen(value)) >= 0;
	close(fd);
	return good;
}

bool fault_has_copies(void)
{
	return access(FAULTS "/fail_usercopy", F_OK) == 0;
}

/*
 * Where the kernel can tell who calls, what fails at random is what the module calls, and that for
 * everybody: also where its own work does.
 */
static void only_module(const char *kind)
{
	FILE *file = fopen("/sys/module/llm/sections/.text", "re");
	unsigned long start;
	char text[32];

	if (!file)
		return;
	if (fscanf(file, "%lx", &start) == 1) {
		snprintf(text, sizeof(text), "%#lx", start);
		put(kind, "require-start", text);
		/* no other module is near */
		snprintf(text, sizeof(text), "%#lx", start + (1UL << 20));
		if (put(kind, "require-end", text))
			put(kind, "task-filter", "N");
	}
	fclose(file);
}

bool fault_begin(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		put(kinds[i], "probability", "0");
		put(kinds[i], "verbose", "0");
		put(kinds[i], "times", "-1");
		put(kinds[i], "task-filter", "Y");
		/* also those that could wait for memory to come free */
		put(kinds[i], "ignore-gfp-wait", "N");
		put(kinds[i], "min-order", "0");
		only_module(kinds[i]);
	}
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return nth_fd >= 0 && access(FAULTS "/failslab", F_OK) == 0;
}

void fault_arm(unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	must(pwrite(nth_fd, text, strlen(text), 0) > 0, "fail-nth");
}

bool fault_disarm(void)
{
	char text[16] = "";
	ssize_t n;

	/* what is still to come may hit the reading and the writing of this very file */
	n = pread(nth_fd, text, sizeof(text) - 1, 0);
	if (n > 0 && strtoul(text, NULL, 10) == 0)
		return true;
	if (pwrite(nth_fd, "0", 1, 0) < 0)
		must(pwrite(nth_fd, "0", 1, 0) == 1, "fail-nth");
	return false;
}

void fault_shower(unsigned int percent)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", percent);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		put(kinds[i], "probability", text);
}

void fault_join(void)
{
	const int fd = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, "1", 1) == 1, "make-it-fail");
	close(fd);
}
