/* SPDX-License-Identifier: MIT */
/* Reading JSON files; see json.h. */
#include "model/json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mapped.h"

#define OBJECT_VALUES	4	/* an empty object takes what this many strings do */

/* no less than there are values, without parsing them; what is no JSON is refused later */
static size_t count_values(const char *text, size_t len)
{
	bool in_string = false;
	size_t count = 1;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			i += text[i] == '\\';
		else if (text[i] == '{')
			count += OBJECT_VALUES;
		else
			count += text[i] == '[' || text[i] == ',';
	}
	return count;
}

int json_parse(json_t **ret, const char *text, size_t len, size_t max, const char *what,
	       struct error *error)
{
	json_error_t why;
	json_t *json;

	if (len > max)
		return error_set(error, -E2BIG, "'%s': %zu bytes, the limit is %zu", what, len,
				 max);
	if (count_values(text, len) > max / JSON_VALUE_BYTES)
		return error_set(error, -E2BIG, "'%s': more than %zu values", what,
				 max / JSON_VALUE_BYTES);
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL |
			  JSON_DECODE_INT_AS_REAL, &why);
	if (!json && json_error_code(&why) == json_error_out_of_memory)
		return error_set(error, -ENOMEM, "'%s': %s", what, strerror(ENOMEM));
	if (!json)
		return error_set(error, -EBADMSG, "'%s', line %d: %s", what, why.line,
				 gguf_show((struct gguf_string){ why.text, strlen(why.text) }).text);
	*ret = json;
	return 0;
}

int json_read(json_t **ret, const char *folder, const char *file, size_t max, struct error *error)
{
	struct mapped mapped = { 0 };
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return error_set(error, -ENAMETOOLONG, "'%s': %s", file, strerror(ENAMETOOLONG));
	r = mapped_read_all(&mapped, path, max, error);
	if (r < 0)
		return r;
	r = json_parse(ret, mapped.data, mapped.size_bytes, max, file, error);
	mapped_close(&mapped);
	return r;
}

int json_get_u64(const json_t *json, uint64_t *ret)
{
	double value;

	if (!json_is_real(json))
		return -EINVAL;
	value = json_real_value(json);
	if (!(value >= 0 && value <= 0x1p53) || floor(value) != value)
		return -EINVAL;
	*ret = (uint64_t)value;
	return 0;
}

int json_get_u32(const json_t *json, uint32_t *ret)
{
	uint64_t value;

	if (json_get_u64(json, &value) < 0 || value > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)value;
	return 0;
}

struct gguf_shown json_show(const json_t *json)
{
	if (!json_is_string(json))
		return (struct gguf_shown){ "?" };
	return gguf_show((struct gguf_string){ json_string_value(json), json_string_length(json) });
}

bool json_is(const json_t *json, const char *text)
{
	return json_is_string(json) && json_string_length(json) == strlen(text) &&
	       !memcmp(json_string_value(json), text, strlen(text));
}
