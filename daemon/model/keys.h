/* SPDX-License-Identifier: MIT */
/*
 * Hyperparameters by key, "<architecture>.<suffix>", each checked against its bounds before anyone
 * computes with it. A key that has one value for each layer counts as one value where all are the
 * same. For the readers of architectures alone.
 */
#ifndef LLMOS_MODEL_KEYS_H
#define LLMOS_MODEL_KEYS_H

#include "model/gguf.h"

/**
 * struct keys - where to read from
 * @error: gets the name of the key that is wrong
 */
struct keys {
	const struct gguf *gguf;
	struct error *error;
};

/*
 * Return: 0; -EBADMSG the key is missing, out of bounds or of another type, -EOPNOTSUPP its value
 * is not one number, or differs from layer to layer.
 */
/** keys_u32() - a number in [min, max]; @fallback where the key is missing, 0: it must be there */
int keys_u32(const struct keys *keys, const char *suffix, uint32_t min, uint32_t max,
	     uint32_t fallback, uint32_t *ret);
/** keys_u32_optional() - a number up to @max; a missing key leaves *ret as it is */
int keys_u32_optional(const struct keys *keys, const char *suffix, uint32_t max, uint32_t *ret);
/** keys_f32() - a finite number >= min; a missing key leaves *ret as it is, NaN: it must be there */
int keys_f32(const struct keys *keys, const char *suffix, float min, float *ret);
/** keys_bool() - a missing key leaves *ret as it is */
int keys_bool(const struct keys *keys, const char *suffix, bool *ret);
/** keys_layers_bool() - (@layers) one for each layer; a missing key leaves *ret as it is */
int keys_layers_bool(const struct keys *keys, const char *suffix, uint32_t layers,
		     const uint8_t **ret);

#endif /* LLMOS_MODEL_KEYS_H */
