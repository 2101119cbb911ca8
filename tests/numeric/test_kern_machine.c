/* SPDX-License-Identifier: MIT */
/*
 * Which table a machine gets, with machines that are made up: what the processor has does not count
 * where the operating system does not save it, and tiles need a permission besides.
 */
#include "kern_test.h"

#include "kernels/machine.h"

#define LEAF1_ECX	(1U << 27 | 1U << 28 | 1U << 12 | 1U << 29) /* OSXSAVE AVX FMA F16C */
#define LEAF7_EBX_AVX2	(1U << 5)
#define LEAF7_EBX_512	(LEAF7_EBX_AVX2 | 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31)
#define LEAF7_ECX_VNNI	(1U << 11)
#define LEAF7_EDX_AMX	(1U << 22 | 1U << 24 | 1U << 25)
#define LEAF7_1_EAX	(1U << 5)

/* a Sapphire Rapids, and a system that knows all of it */
static const struct kern_machine whole = {
	.leaf1_ecx = LEAF1_ECX,
	.leaf7_ebx = LEAF7_EBX_512,
	.leaf7_ecx = LEAF7_ECX_VNNI,
	.leaf7_edx = LEAF7_EDX_AMX,
	.leaf7_1_eax = LEAF7_1_EAX,
	.palette_eax = 0x04002000,
	.palette_ebx = 0x00080040,
	.palette_ecx = 16,
	.xcr0 = 0x602e7,
	.tiles_permitted = true,
};

static void best_is(const struct kern_machine *m, const char *name)
{
	static const char *const names[] = {"ref",	  "avx2",	"avx512",
					    "avx512vnni", "avx512bf16", "amx"};
	bool behind = false;

	assert_string_equal(kern_ops_on(m, NULL)->name, name);
	/* all up to it may be asked for, none behind it */
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct kern_ops *ops = kern_ops_on(m, names[i]);

		if (behind)
			assert_null(ops);
		else
			assert_string_equal(ops->name, names[i]);
		behind |= !strcmp(names[i], name);
	}
	assert_true(behind);
}

static void test_whole(void **state)
{
	(void)state;
	best_is(&whole, "amx");
	best_is(&(struct kern_machine){0}, "ref");
}

/* one register that is not saved, and all that needs it is gone */
static void test_not_saved(void **state)
{
	static const struct {
		int bit;
		const char *best;
	} cases[] = {
		{1, "ref"},    {2, "ref"},    {5, "avx2"},	 {6, "avx2"},
		{7, "avx2"},   {9, "amx"},    {17, "avx512bf16"}, {18, "avx512bf16"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct kern_machine m = whole;

		m.xcr0 &= ~(1ULL << cases[i].bit);
		best_is(&m, cases[i].best);
	}
}

/* one feature of the processor less, each in its turn */
static void test_not_there(void **state)
{
	static const struct {
		size_t at;
		uint32_t bit;
		const char *best;
	} cases[] = {
#define CASE(field, shift, best) {offsetof(struct kern_machine, field), 1U << (shift), best}
		CASE(leaf1_ecx, 27, "ref"),	     CASE(leaf1_ecx, 28, "ref"),
		CASE(leaf1_ecx, 12, "ref"),	     CASE(leaf1_ecx, 29, "ref"),
		CASE(leaf7_ebx, 5, "ref"),	     CASE(leaf7_ebx, 16, "avx2"),
		CASE(leaf7_ebx, 17, "avx2"),	     CASE(leaf7_ebx, 30, "avx2"),
		CASE(leaf7_ebx, 31, "avx2"),	     CASE(leaf7_ecx, 11, "avx512"),
		CASE(leaf7_1_eax, 5, "avx512vnni"),  CASE(leaf7_edx, 22, "avx512bf16"),
		CASE(leaf7_edx, 24, "avx512bf16"),   CASE(leaf7_edx, 25, "avx512bf16"),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct kern_machine m = whole;
		uint32_t value;

		memcpy(&value, (char *)&m + cases[i].at, sizeof(value));
		assert_true(value & cases[i].bit);
		value &= ~cases[i].bit;
		memcpy((char *)&m + cases[i].at, &value, sizeof(value));
		best_is(&m, cases[i].best);
	}
}

/* tiles that are smaller or fewer than what the kernels configure; greater ones do */
static void test_palettes(void **state)
{
	static const struct {
		uint32_t eax, ebx, ecx;
		const char *best;
	} cases[] = {
		{0, 0, 0, "avx512bf16"},
		{0x02002000, 0x00080040, 16, "avx512bf16"},
		{0x04002000, 0x00040040, 16, "avx512bf16"},
		{0x04002000, 0x00080020, 16, "avx512bf16"},
		{0x04002000, 0x00080040, 8, "avx512bf16"},
		{0x08004000, 0x00080080, 16, "amx"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct kern_machine m = whole;

		m.palette_eax = cases[i].eax;
		m.palette_ebx = cases[i].ebx;
		m.palette_ecx = cases[i].ecx;
		best_is(&m, cases[i].best);
	}
}

static void test_not_permitted(void **state)
{
	struct kern_machine m = whole;

	(void)state;
	m.tiles_permitted = false;
	assert_true(kern_machine_has_tiles(&m));
	best_is(&m, "avx512bf16");
	/* and a permission alone is nothing */
	m = (struct kern_machine){.tiles_permitted = true};
	best_is(&m, "ref");
}

/* what this machine says of itself is what kern_ops_get() goes by */
static void test_here(void **state)
{
	struct kern_machine m;

	(void)state;
	kern_machine_ask(&m);
	assert_false(m.tiles_permitted);
	if (kern_machine_has_tiles(&m))
		kern_machine_permit_tiles(&m);
	assert_ptr_equal(kern_ops_get(NULL), kern_ops_on(&m, NULL));
	assert_true(!kern_ops_get("amx") == !kern_machine_has_amx(&m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	      cmocka_unit_test(test_not_saved),
		cmocka_unit_test(test_not_there),     cmocka_unit_test(test_palettes),
		cmocka_unit_test(test_not_permitted), cmocka_unit_test(test_here),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
