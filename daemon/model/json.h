/* SPDX-License-Identifier: MIT */
/*
 * JSON files that come with models: read whole, up to a size, and refused where a key is there
 * twice or nothing but JSON is not all there is. Integers and reals are one kind here: files hold
 * integers of any length, and a double has each integer that is a size or an id.
 */
#ifndef LLMOS_MODEL_JSON_H
#define LLMOS_MODEL_JSON_H

#include <jansson.h>

#include "model/gguf.h"

#define JSON_CONFIG_MAX		(4U << 20)	/* bytes of a file of settings */
/* A value takes up to a hundred bytes once it is parsed: a file may have one in this many of its
 * largest size. Real ones have less than half of that.
 */
#define JSON_VALUE_BYTES	16

#define _cleanup_json_	_cleanup_(json_decrefp)

/**
 * json_parse() - one value, and nothing behind it but white space
 * @what: the file's name, for the text of an error
 *
 * Return: 0; -EBADMSG it is none (the text says where), -E2BIG more than @max bytes, or values than
 * one in JSON_VALUE_BYTES of @max, -ENOMEM.
 */
int json_parse(json_t **ret, const char *text, size_t len, size_t max, const char *what,
	       struct error *error);
/** json_read() - the same from a file of a folder; what open() says as well */
int json_read(json_t **ret, const char *folder, const char *file, size_t max, struct error *error);

/** json_get_u64() - an integer in [0, 2^53]; -EINVAL it is something else, *ret stays */
int json_get_u64(const json_t *json, uint64_t *ret);
/** json_get_u32() - the same in [0, 2^32) */
int json_get_u32(const json_t *json, uint32_t *ret);
/** json_show() - a string as gguf_show(), "?" where it is none */
struct gguf_shown json_show(const json_t *json);
/** json_is() - is it this string? */
bool json_is(const json_t *json, const char *text);

#endif /* LLMOS_MODEL_JSON_H */
