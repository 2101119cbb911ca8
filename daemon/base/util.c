/* SPDX-License-Identifier: MIT */
/* The one function of util.h that is too big to be inline. */
#include "base/util.h"

#include <stdio.h>

int error_set(struct error *error, int r, const char *format, ...)
{
	va_list ap;

	if (!error)
		return r;
	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	return r;
}
