/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON to standard output; valid whatever the bytes. The writer only keeps track of commas.
 */
#ifndef LLMCTL_JSON_H
#define LLMCTL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct json - a document; all zero is an empty one */
struct json {
	bool comma;	/* the next value needs one in front */
};

void json_object(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_array(struct json *json, const char *key);
void json_end_array(struct json *json);
/* key NULL: an element of an array. What is no UTF-8 becomes U+FFFD */
void json_string(struct json *json, const char *key, const char *text);
/* the same for bytes; if they are no UTF-8, "bytes" follows with their numbers */
void json_text(struct json *json, const char *key, const char *text, size_t len);
void json_number(struct json *json, const char *key, uint64_t number);
/* not a number and infinity become null */
void json_real(struct json *json, const char *key, double number);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* newline and flush; 0, -errno */
int json_done(struct json *json);

#endif /* LLMCTL_JSON_H */
