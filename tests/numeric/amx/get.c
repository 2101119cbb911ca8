// SPDX-License-Identifier: MIT
/*
 * kern_ops_get() for the tests that are linked with --wrap: it knows one more table,
 * "amx-emulated", which runs wherever there is AVX-512 with VNNI.
 */
#include <pthread.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/machine.h"

extern const struct kern_ops kern_ops_amx_emulated;
const struct kern_ops *__real_kern_ops_get(const char *isa);
const struct kern_ops *__wrap_kern_ops_get(const char *isa);

static struct kern_ops emulated;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	emulated = kern_ops_amx_emulated;
	emulated.name = "amx-emulated";
}

const struct kern_ops *__wrap_kern_ops_get(const char *isa)
{
	struct kern_machine machine;

	if (!isa || strcmp(isa, "amx-emulated"))
		return __real_kern_ops_get(isa);
	kern_machine_ask(&machine);
	if (!kern_machine_has_avx512vnni(&machine))
		return NULL;
	pthread_once(&once, make_table);
	return &emulated;
}
