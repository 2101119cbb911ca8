/* SPDX-License-Identifier: MIT */
/* Hyperparameters by key. The file is hostile: nothing that is read here is trusted. */
#include "model/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define KEY_MAX	160	/* longest key that is looked for, in bytes */

/* full_key() - false where the architecture's name is too long for any key that we know */
static bool full_key(const struct keys *keys, const char *suffix, char key[KEY_MAX])
{
	struct gguf_string arch = { .data = "" };

	(void)gguf_get_string(keys->gguf, "general.architecture", &arch);
	return snprintf(key, KEY_MAX, "%.*s.%s", (int)MIN(arch.len, (size_t)KEY_MAX), arch.data,
			suffix) < KEY_MAX;
}

/* same_u32() - the one value of an array of integers of 32 bits */
static int same_u32(const struct gguf_array *array, uint32_t *ret)
{
	uint32_t first, value;

	if (!array->count || (array->type != GGUF_U32 && array->type != GGUF_I32))
		return -EINVAL;
	memcpy(&first, array->data, sizeof(first));
	for (uint64_t i = 1; i < array->count; i++) {
		memcpy(&value, (const char *)array->data + i * sizeof(value), sizeof(value));
		if (value != first)
			return -EDOM;
	}
	*ret = first;
	return 0;
}

static int get_u32(const struct keys *keys, const char *suffix, uint32_t *ret)
{
	struct gguf_array array;
	char key[KEY_MAX];
	int r = gguf_get_arch_u32(keys->gguf, suffix, ret);

	if (r != -EINVAL || !full_key(keys, suffix, key) ||
	    gguf_get_array(keys->gguf, key, &array) < 0)
		return r;
	return same_u32(&array, ret);
}

static int check_u32(const struct keys *keys, const char *suffix, int r, uint32_t value,
		     uint32_t min, uint32_t max)
{
	if (r == -EDOM)
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: '%s' differs from layer to layer, which is not supported",
				 suffix);
	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EOPNOTSUPP,
				 "model: key '%s' is not one number in range", suffix);
	if (value < min || value > max)
		return error_set(keys->error, -EBADMSG, "model: '%s' is %u, not %u to %u", suffix,
				 value, min, max);
	return 0;
}

int keys_u32(const struct keys *keys, const char *suffix, uint32_t min, uint32_t max,
	     uint32_t fallback, uint32_t *ret)
{
	uint32_t value = fallback;
	int r = get_u32(keys, suffix, &value);

	if (r == -ENOENT && !fallback)
		return error_set(keys->error, -EBADMSG, "model: key '%s' is missing", suffix);
	r = check_u32(keys, suffix, r, value, min, max);
	if (r >= 0)
		*ret = value;
	return r;
}

int keys_u32_optional(const struct keys *keys, const char *suffix, uint32_t max, uint32_t *ret)
{
	uint32_t value = 0;
	int r = get_u32(keys, suffix, &value);

	if (r == -ENOENT)
		return 0;
	r = check_u32(keys, suffix, r, value, 0, max);
	if (r >= 0)
		*ret = value;
	return r;
}

int keys_f32(const struct keys *keys, const char *suffix, float min, float *ret)
{
	float value = *ret;
	int r = gguf_get_arch_f32(keys->gguf, suffix, &value);

	if (r == -ENOENT && isnan(value))
		return error_set(keys->error, -EBADMSG, "model: key '%s' is missing", suffix);
	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EBADMSG,
				 "model: key '%s' is not a floating-point number", suffix);
	if (!isfinite(value) || value < min)
		return error_set(keys->error, -EBADMSG, "model: '%s' is %g, not %g or more",
				 suffix, (double)value, (double)min);
	*ret = value;
	return 0;
}

int keys_bool(const struct keys *keys, const char *suffix, bool *ret)
{
	char key[KEY_MAX];
	int r = full_key(keys, suffix, key) ? gguf_get_bool(keys->gguf, key, ret) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		return error_set(keys->error, -EBADMSG, "model: key '%s' is no boolean", suffix);
	return 0;
}

int keys_layers_bool(const struct keys *keys, const char *suffix, uint32_t layers,
		     const uint8_t **ret)
{
	struct gguf_array array;
	char key[KEY_MAX];
	int r = full_key(keys, suffix, key) ? gguf_get_array(keys->gguf, key, &array) : -ENOENT;

	if (r == -ENOENT)
		return 0;
	if (r < 0 || array.type != GGUF_BOOL || array.count < layers)
		return error_set(keys->error, -EBADMSG,
				 "model: key '%s' is not one boolean for each of %u layers", suffix,
				 layers);
	*ret = array.data;
	return 0;
}
