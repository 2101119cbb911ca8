// SPDX-License-Identifier: MIT
/*
 * The module's request logic driven by a fuzzer's bytes: see tests/unit/kshim/driver.h.
 */
#include "tests/unit/kshim/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct driver_stats stats;

	driver_run(data, size, &stats);
	return 0;
}
