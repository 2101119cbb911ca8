/* SPDX-License-Identifier: MIT */
/* Adapters that a caller names, as options of a request. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "request.h"

#define SCALE_MAX	100.0
#define MILLION		1000000.0

_Static_assert(LLMOS_ADAPTERS_MAX == LLM_ADAPTERS_MAX, "a request has as many as a caller may name");
/* the name follows the head without padding */
_Static_assert(offsetof(struct llmos_adapter_data, name) == sizeof(struct llm_adapter), "no hole");

int llmos_spec_adapters(struct llmos *llmos, struct llmos_spec *spec,
			const struct llmos_adapter *adapters, size_t count,
			struct llmos_adapter_data *data)
{
	size_t i, len;

	if (count > LLM_ADAPTERS_MAX)
		return llmos_fail(llmos, -EINVAL, "'%zu' adapters (at most %d)", count,
				  LLM_ADAPTERS_MAX);
	if (count && !adapters)
		return llmos_fail(llmos, -EINVAL, "'%zu' adapters, but none is given", count);
	for (i = 0; i < count; i++) {
		const double scale = adapters[i].scale;

		len = adapters[i].name ? strlen(adapters[i].name) : 0;
		if (!len || len >= sizeof(data->name))
			return llmos_fail(llmos, -EINVAL, "the name of adapter '%s'",
					  adapters[i].name ? adapters[i].name : "");
		/* not a number fails every comparison */
		if (!(scale >= -SCALE_MAX && scale <= SCALE_MAX))
			return llmos_fail(llmos, -EINVAL, "scale '%g' of an adapter (from %g to %g)",
					  scale, -SCALE_MAX, SCALE_MAX);
		data[i].head.scale = (__s32)(scale * MILLION + (scale < 0 ? -0.5 : 0.5));
		memcpy(data[i].name, adapters[i].name, len);
		spec->options[spec->option_count++] = (struct llmos_option){
			.type = LLM_OPTION_ADAPTER,
			.data = &data[i],
			.len = offsetof(struct llmos_adapter_data, name) + len,
		};
	}
	return 0;
}
