/* SPDX-License-Identifier: MIT */
/*
 * Names of cgroups, in a tree of ordinary folders: a walk only looks at inode numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "libllmos-user/src/cgroup.h"

static char root[64];

static void path_of(char buf[256], const char *below)
{
	snprintf(buf, 256, "%s%s", root, below);
}

static uint64_t make(const char *below)
{
	char path[256];
	struct stat st;

	path_of(path, below);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/llmos-cgroup.XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static int compare(const void *a, const void *b)
{
	const struct llmos_cgroup *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static const char *found(const struct llmos_cgroup *cgroups, size_t count, uint64_t id)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (cgroups[i].id == id)
			return cgroups[i].path;
	return "?";
}

static void test_resolve(void **state)
{
	struct llmos_cgroup cgroups[4] = { 0 };
	uint64_t deep, leaf, top;
	struct stat st;
	char path[256];
	int fd;

	(void)state;
	make("/system.slice");
	leaf = make("/system.slice/llmosd.service");
	make("/user.slice");
	make("/user.slice/a b");
	deep = make("/user.slice/a b/\xc3\xa4");
	/* files and links are not followed */
	path_of(path, "/cgroup.procs");
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	close(fd);
	path_of(path, "/loop");
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(stat(root, &st), 0);
	top = st.st_ino;
	cgroups[0].id = leaf;
	cgroups[1].id = deep;
	cgroups[2].id = top;
	cgroups[3].id = UINT64_MAX;
	qsort(cgroups, 4, sizeof(cgroups[0]), compare);
	llmos_cgroup_resolve(cgroups, 4, root);
	assert_string_equal(found(cgroups, 4, leaf), "/system.slice/llmosd.service");
	assert_string_equal(found(cgroups, 4, deep), "/user.slice/a b/\xc3\xa4");
	assert_string_equal(found(cgroups, 4, top), "/");
	assert_null(found(cgroups, 4, UINT64_MAX));
	for (fd = 0; fd < 4; fd++)
		free(cgroups[fd].path);
}

/* a folder of that many levels; Return: number of the last one */
static uint64_t make_deep(int levels)
{
	char below[512] = "";
	uint64_t id = 0;
	int i;

	for (i = 0; i < levels; i++) {
		strcat(below, "/d");
		id = make(below);
	}
	return id;
}

/* as many levels as the broker tells apart have names, and what is deeper has none */
static void test_depth(void **state)
{
	struct llmos_cgroup cgroup = { 0 };

	(void)state;
	cgroup.id = make_deep(64);
	llmos_cgroup_resolve(&cgroup, 1, root);
	assert_non_null(cgroup.path);
	assert_int_equal(strlen(cgroup.path), 128);
	free(cgroup.path);
	cgroup.path = NULL;
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(mkdir(root, 0755), 0);
	cgroup.id = make_deep(65);
	llmos_cgroup_resolve(&cgroup, 1, root);
	assert_null(cgroup.path);
}

static void test_find(void **state)
{
	uint64_t foo, id = 0;

	(void)state;
	make("/system.slice");
	foo = make("/system.slice/foo.service");
	assert_int_equal(llmos_cgroup_find(root, "foo.service", &id), 0);
	assert_int_equal(id, foo);
	assert_int_equal(llmos_cgroup_find(root, "/system.slice/foo.service", &id), 0);
	assert_int_equal(llmos_cgroup_find(root, "/foo.service", &id), -ENOENT);
	assert_int_equal(llmos_cgroup_find(root, "bar.service", &id), -ENOENT);
	make("/user.slice");
	make("/user.slice/foo.service");
	assert_int_equal(llmos_cgroup_find(root, "foo.service", &id), -ENOTUNIQ);
}

/* a tree that was not searched to its end may have the name once more */
static void test_find_cut(void **state)
{
	uint64_t id = 0;

	(void)state;
	make("/foo.service");
	make("/system.slice");
	make("/system.slice/bar.service");
	make_deep(64);
	assert_int_equal(llmos_cgroup_find(root, "bar.service", &id), 0);
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(mkdir(root, 0755), 0);
	make_deep(65);
	make("/foo.service");
	make("/system.slice");
	make("/system.slice/bar.service");
	assert_int_equal(llmos_cgroup_find(root, "bar.service", &id), -E2BIG);
	assert_int_equal(llmos_cgroup_find(root, "none.service", &id), -E2BIG);
	assert_int_equal(llmos_cgroup_find(root, "foo.service", &id), 0);
	make("/system.slice/d");
	assert_int_equal(llmos_cgroup_find(root, "/system.slice/d", &id), 0);
}

static void test_no_folder(void **state)
{
	struct llmos_cgroup cgroup = { .id = 1 };

	(void)state;
	llmos_cgroup_resolve(&cgroup, 1, "/nonexistent");
	assert_null(cgroup.path);
	llmos_cgroup_resolve(NULL, 0, root);
}

static void test_mount(void **state)
{
	char path[256], *mount;
	FILE *file;

	(void)state;
	path_of(path, "/mountinfo");
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	      "29 22 0:25 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
	      "nonsense\n"
	      "30 22 0:26 / /sys/fs/cgroup\\040v2/un\\134i rw shared:9 - cgroup2 cgroup2 rw\n"
	      "31 22 0:26 / /second rw - cgroup2 cgroup2 rw\n", file);
	fclose(file);
	mount = llmos_cgroup_mount(path);
	assert_string_equal(mount, "/sys/fs/cgroup v2/un\\i");
	free(mount);
	assert_null(llmos_cgroup_mount("/nonexistent"));
	assert_null(llmos_cgroup_mount("/dev/null"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resolve),
		TEST(test_depth),
		TEST(test_find),
		TEST(test_find_cut),
		TEST(test_no_folder),
		TEST(test_mount),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
