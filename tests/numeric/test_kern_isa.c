/* SPDX-License-Identifier: MIT */
/*
 * What each table may execute: its objects are disassembled, and no instruction or register of a
 * greater set may be in them. A processor without AVX-512 would otherwise fail, and only there.
 */
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <regex.h>

#include "kern_test.h"

/* EVEX and with it AVX-512: the wide, the mask and the upper sixteen registers */
#define EVEX	"%(zmm|k[0-7]|[xy]mm(1[6-9]|2[0-9]|3[01]))"
/* any AVX: three-operand forms and wide registers */
#define AVX	"%ymm|%zmm|%k[0-7]|[[:space:]]v[a-z0-9]+[[:space:]]+[^,]*,[^,]*%xmm"
#define VNNI	"[[:space:]]vpdp(bus|wss)ds?[[:space:]]"
#define BF16	"[[:space:]](vdpbf16ps|vcvtne2?ps2bf16)[[:space:]]"
#define AMX	"%tmm|[[:space:]](ldtilecfg|sttilecfg|tilerelease)"

/* kernels/ among the objects of the build this program belongs to */
static void objects_dir(char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = 0;
	/* BUILD/tests/numeric/test_kern_isa */
	snprintf(path, size, "%s/kernels", dirname(dirname(dirname(self))));
}

static unsigned int scan_object(const char *object, const regex_t *forbidden)
{
	char command[PATH_MAX + 64], line[512];
	unsigned int instructions = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "objdump -d --no-show-raw-insn '%s'", object);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		instructions++;
		if (!regexec(forbidden, line, 0, NULL, 0))
			fail_msg("%s: %s", object, line);
	}
	assert_int_equal(pclose(pipe), 0);
	return instructions;
}

static void scan(const char *pattern, const char *forbidden, size_t least)
{
	char path[PATH_MAX + 64], dir[PATH_MAX];
	unsigned int instructions = 0;
	regex_t regex;
	glob_t found;

	objects_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, pattern);
	if (glob(path, 0, NULL, &found)) {
		fprintf(stderr, "# SKIP: no objects at '%s'\n", path);
		skip();
	}
	assert_true(found.gl_pathc >= least);
	assert_int_equal(regcomp(&regex, forbidden, REG_EXTENDED | REG_NOSUB), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		instructions += scan_object(found.gl_pathv[i], &regex);
	assert_true(instructions > 100);
	regfree(&regex);
	globfree(&found);
}

static void need_objdump(void)
{
	if (system("objdump --version >/dev/null 2>&1")) {
		fprintf(stderr, "# SKIP: there is no objdump\n");
		skip();
	}
}

static void test_objects(void **state)
{
	(void)state;
	need_objdump();
	scan("kernels.o", AVX, 1);
	scan("ref/*.o", AVX, 8);
	scan("cpu/*_avx2.o", EVEX, 12);
	scan("cpu/*_avx512.o", VNNI "|" BF16 "|" AMX, 6);
	scan("cpu/*_avx512vnni.o", BF16 "|" AMX, 6);
	scan("cpu/*_avx512bf16.o", AMX, 2);
	/* tiles come with BF16, but the compiler was not told */
	scan("cpu/*_amx.o", BF16, 1);
}

/* the patterns find what they are there for */
static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *line;
		bool found;
	} cases[] = {
		{EVEX, "  0:\tvaddps %zmm1,%zmm2,%zmm3", true},
		{EVEX, "  0:\tvaddps %ymm1,%ymm2,%ymm3", false},
		{EVEX, "  0:\tvaddps %ymm1,%ymm2,%ymm13", false},
		{EVEX, "  0:\tvaddps %ymm1,%ymm2,%ymm16", true},
		{EVEX, "  0:\tvmovups (%rax),%xmm31", true},
		{EVEX, "  0:\tvmovdqu8 (%rax),%ymm1{%k1}", true},
		{AVX, "  0:\tvaddss %xmm1,%xmm2,%xmm3", true},
		{AVX, "  0:\taddss  %xmm1,%xmm2", false},
		{VNNI, "  0:\tvpdpbusd %zmm1,%zmm2,%zmm3", true},
		{BF16, "  0:\tvdpbf16ps %zmm1,%zmm2,%zmm3", true},
		{BF16, "  0:\tvcvtne2ps2bf16 %zmm1,%zmm2,%zmm3", true},
		{BF16, "  0:\tvfmadd231ps %zmm1,%zmm2,%zmm3", false},
		{AMX, "  0:\ttdpbf16ps %tmm6,%tmm4,%tmm0", true},
		{AMX, "  0:\ttilerelease", true},
		{AMX, "  0:\tvaddps %zmm1,%zmm2,%zmm3", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		regex_t regex;

		assert_int_equal(regcomp(&regex, cases[i].pattern, REG_EXTENDED | REG_NOSUB), 0);
		assert_int_equal(!regexec(&regex, cases[i].line, 0, NULL, 0), cases[i].found);
		regfree(&regex);
	}
}

static void test_tables(void **state)
{
	static const char *const names[] = {"ref",	     "avx2",	   "avx512",
					     "avx512vnni", "avx512bf16", "amx"};
	const struct kern_ops *best = kern_ops_get(NULL);
	bool before = true;

	(void)state;
	assert_non_null(best);
	assert_null(kern_ops_get(""));
	assert_null(kern_ops_get("avx"));
	assert_null(kern_ops_get("AVX2"));
	assert_ptr_equal(kern_ops_get(best->name), best);
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct kern_ops *ops = kern_ops_get(names[i]);

		/* who has one has all before it, and nothing behind the best */
		assert_true(before || !ops);
		before = ops;
		if (!ops)
			continue;
		assert_string_equal(ops->name, names[i]);
		for (size_t k = 0; k < COUNT(kern_test_types); k++) {
			const struct kern_matmul *m = &ops->matmul[kern_test_types[k]];

			assert_true(m->act_bytes && m->pack && m->mul);
			assert_non_null(ops->dequant_row[kern_test_types[k]]);
		}
	}
	assert_null(best->matmul[KERN_TYPE_COUNT - 2].mul);
}

static void test_types(void **state)
{
	const struct kern_type_info *info;

	(void)state;
	assert_null(kern_type_info(KERN_TYPE_COUNT));
	assert_null(kern_type_info(UINT32_MAX));
	assert_null(kern_type_info(4));
	info = kern_type_info(KERN_Q4_K);
	assert_string_equal(info->name, "Q4_K");
	assert_int_equal(kern_row_bytes(info, 512), 288);
	assert_int_equal(kern_row_bytes(info, 511), 0);
	assert_int_equal(kern_row_bytes(kern_type_info(KERN_Q8_0), 64), 68);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_objects),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
