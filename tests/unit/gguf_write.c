/* SPDX-License-Identifier: MIT */
/* Writing GGUF files for tests, and three small vocabularies. */
#include "gguf_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/bpe.h"

#define SPACE "\xe2\x96\x81"

void gguf_write_bytes(struct gguf_write *w, const void *data, size_t size)
{
	if (w->size + size > w->capacity) {
		w->capacity = (w->size + size) * 2;
		w->data = realloc(w->data, w->capacity);
		if (!w->data)
			abort();
	}
	if (size)
		memcpy(w->data + w->size, data, size);
	w->size += size;
}

void gguf_write_u32(struct gguf_write *w, uint32_t value)
{
	gguf_write_bytes(w, &value, sizeof(value));
}

void gguf_write_u64(struct gguf_write *w, uint64_t value)
{
	gguf_write_bytes(w, &value, sizeof(value));
}

void gguf_write_string(struct gguf_write *w, const char *data, size_t len)
{
	gguf_write_u64(w, len);
	gguf_write_bytes(w, data, len);
}

void gguf_write_header(struct gguf_write *w, uint32_t version, uint64_t tensors, uint64_t keys)
{
	gguf_write_bytes(w, "GGUF", 4);
	gguf_write_u32(w, version);
	gguf_write_u64(w, tensors);
	gguf_write_u64(w, keys);
}

void gguf_write_key(struct gguf_write *w, const char *name, uint32_t type)
{
	gguf_write_string(w, name, strlen(name));
	gguf_write_u32(w, type);
}

void gguf_write_key_u32(struct gguf_write *w, const char *name, uint32_t value)
{
	gguf_write_key(w, name, GGUF_U32);
	gguf_write_u32(w, value);
}

void gguf_write_key_bool(struct gguf_write *w, const char *name, unsigned char value)
{
	gguf_write_key(w, name, GGUF_BOOL);
	gguf_write_bytes(w, &value, 1);
}

void gguf_write_key_string(struct gguf_write *w, const char *name, const char *value)
{
	gguf_write_key(w, name, GGUF_STRING);
	gguf_write_string(w, value, strlen(value));
}

void gguf_write_key_array(struct gguf_write *w, const char *name, uint32_t type, uint64_t count)
{
	gguf_write_key(w, name, GGUF_ARRAY);
	gguf_write_u32(w, type);
	gguf_write_u64(w, count);
}

void gguf_write_tensor(struct gguf_write *w, const char *name, uint32_t type, uint64_t offset,
		       uint32_t n_dims, const uint64_t *dims)
{
	gguf_write_string(w, name, strlen(name));
	gguf_write_u32(w, n_dims);
	gguf_write_bytes(w, dims, n_dims * sizeof(*dims));
	gguf_write_u32(w, type);
	gguf_write_u64(w, offset);
}

void gguf_write_pad(struct gguf_write *w, size_t alignment)
{
	while (w->size % alignment)
		gguf_write_bytes(w, "", 1);
}

void gguf_write_vocab(struct gguf_write *w, const struct vocab_token *tokens, size_t count)
{
	gguf_write_key_array(w, "tokenizer.ggml.tokens", GGUF_STRING, count);
	for (size_t i = 0; i < count; i++)
		gguf_write_string(w, tokens[i].text, strlen(tokens[i].text));
	gguf_write_key_array(w, "tokenizer.ggml.scores", GGUF_F32, count);
	for (size_t i = 0; i < count; i++)
		gguf_write_bytes(w, &tokens[i].score, sizeof(tokens[i].score));
	gguf_write_key_array(w, "tokenizer.ggml.token_type", GGUF_I32, count);
	for (size_t i = 0; i < count; i++)
		gguf_write_u32(w, tokens[i].type ? (uint32_t)tokens[i].type : 1);
}

/* ---- small vocabularies ---- */

struct vocab {
	struct vocab_token tokens[1024];
	size_t count;
	char text[512][8];		/* of tokens that are made here */
	size_t text_count;
};

static void add(struct vocab *v, const char *text, float score, int32_t type)
{
	v->tokens[v->count++] = (struct vocab_token){ text, score, type };
}

static char *new_text(struct vocab *v)
{
	return v->text[v->text_count++];
}

static void add_list(struct vocab *v, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add(v, texts[i], -1.0f - (float)i, 1);
}

void gguf_write_spm(struct gguf_write *w, const char *template)
{
	/* better ones first: "he" before "th", so that "the" needs "t" and "he" */
	static const char *const pieces[] = {
		"he", "th", "the", SPACE "t", SPACE "the", "in", "ing", "an", "and", "er", "re",
		SPACE SPACE, SPACE SPACE SPACE SPACE, "aa", "aaaa", "\xc3\xa9", "\xe6\x97\xa5",
		"s>", "<s", "/s", "</s", "<", ">", "/",
	};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz.,!?\n0123456789";
	struct vocab v = { 0 };

	add(&v, "<unk>", 0, 2);
	add(&v, "<s>", 0, 3);
	add(&v, "</s>", 0, 3);
	for (unsigned int i = 0; i < 256; i++) {
		char *text = new_text(&v);

		snprintf(text, sizeof(v.text[0]), "<0x%02X>", i);
		add(&v, text, 0, 6);
	}
	add_list(&v, pieces, ARRAY_SIZE(pieces));
	add(&v, SPACE, -100, 1);
	for (const char *p = letters; *p; p++) {
		char *text = new_text(&v);

		text[0] = *p;
		add(&v, text, -101, 1);
	}
	add(&v, "<|user|>", 0, 3);
	add(&v, "<ud>", 0, 4);
	gguf_write_header(w, 3, 0, template ? 7 : 6);
	gguf_write_key_string(w, "tokenizer.ggml.model", "llama");
	gguf_write_vocab(w, v.tokens, v.count);
	gguf_write_key_u32(w, "tokenizer.ggml.bos_token_id", 1);
	gguf_write_key_u32(w, "tokenizer.ggml.eos_token_id", 2);
	if (template)
		gguf_write_key_string(w, "tokenizer.chat_template", template);
}

void gguf_write_bpe(struct gguf_write *w, const char *pre, const char *template)
{
	/* U+0120 is a space; "xyz" is no token, but a step on the way to "xyzw" */
	static const char *const merges[] = {
		"h e", "\xc4\xa0 t", "\xc4\xa0t he", "t h", "t he", "i n", "in g", "a a", "aa aa",
		"\xc3\x83 \xc2\xa9", "\xc4\xa0 \xc4\xa0", "x y", "xy z", "xyz w",
		"\xc4\x8a \xc4\x8a", "1 2", "12 3",
	};
	static const char *const pieces[] = {
		"th", "he", "the", "\xc4\xa0t", "\xc4\xa0the", "in", "ing", "aa", "aaaa",
		"\xc3\x83\xc2\xa9", "\xc4\xa0\xc4\xa0", "xy", "xyzw", "\xc4\x8a\xc4\x8a",
		"12", "123", "whole",
	};
	struct vocab v = { 0 };

	for (unsigned int i = 0; i < 256; i++) {
		char *text = new_text(&v);

		bpe_byte_char(i, text);
		add(&v, text, 0, 1);
	}
	add_list(&v, pieces, ARRAY_SIZE(pieces));
	add(&v, "<|eot_id|>", 0, 3);
	add(&v, "<end_of_turn>", 0, 3);
	add(&v, "<|end|>", 0, 3);
	add(&v, "<｜end▁of▁sentence｜>", 0, 3);
	add(&v, "<s>", 0, 3);
	add(&v, "</s>", 0, 3);
	add(&v, "<|im_start|>", 0, 3);
	add(&v, "<|im_end|>", 0, 3);
	add(&v, "<ud>", 0, 4);
	gguf_write_header(w, 3, 0, template ? 9 : 8);
	gguf_write_key_string(w, "tokenizer.ggml.model", "gpt2");
	gguf_write_key_string(w, "tokenizer.ggml.pre", pre);
	gguf_write_vocab(w, v.tokens, v.count);
	gguf_write_key_array(w, "tokenizer.ggml.merges", GGUF_STRING, ARRAY_SIZE(merges));
	for (size_t i = 0; i < ARRAY_SIZE(merges); i++)
		gguf_write_string(w, merges[i], strlen(merges[i]));
	gguf_write_key_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)v.count - 5);
	gguf_write_key_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)v.count - 4);
	if (template)
		gguf_write_key_string(w, "tokenizer.chat_template", template);
}

void gguf_write_wordpiece(struct gguf_write *w)
{
	static const char *const pieces[] = {
		SPACE "the", SPACE "t", "he", SPACE "cat", "s", SPACE "un", "aff", "able",
		SPACE "cafe", SPACE "!", SPACE "'", SPACE "\xe4\xbd\xa0", SPACE "\xe5\xa5\xbd",
		SPACE "a", "a", "aa", SPACE "\xd0\xb6", SPACE "i",
	};
	struct vocab v = { 0 };

	add(&v, "[PAD]", 0, 3);
	add(&v, "[UNK]", 0, 3);
	add(&v, "[CLS]", 0, 3);
	add(&v, "[SEP]", 0, 3);
	add(&v, "[MASK]", 0, 3);
	add_list(&v, pieces, ARRAY_SIZE(pieces));
	gguf_write_header(w, 3, 0, 4);
	gguf_write_key_string(w, "tokenizer.ggml.model", "bert");
	gguf_write_vocab(w, v.tokens, v.count);
}

/* ---- a map of characters ---- */

#define MAP_BLOCK	256U		/* units of a node's children, one for each byte */

/** struct charsmap_write - a double array whose nodes share no units: large, and simply right */
struct charsmap_write {
	uint32_t units[CHARSMAP_MAX / 4];
	uint32_t unit_count;
	char texts[256];
	uint32_t text_bytes;
};

/* the children of @unit: in the next free block, unless it has one already */
static uint32_t block_of(struct charsmap_write *map, uint32_t unit)
{
	const uint32_t old = map->units[unit];

	if (old >> 10)
		return unit ^ old >> 10 << (old & 1U << 9 ? 8 : 0);
	map->units[unit] |= (unit ^ map->unit_count) << 10;
	map->unit_count += MAP_BLOCK;
	return map->unit_count - MAP_BLOCK;
}

static void charsmap_add(struct charsmap_write *map, const char *from, const char *to)
{
	uint32_t unit = 0;

	for (const char *p = from; *p; p++) {
		const uint32_t byte = (unsigned char)*p;

		unit = block_of(map, unit) ^ byte;
		map->units[unit] |= byte;
	}
	map->units[block_of(map, unit)] = 1U << 31 | map->text_bytes;
	map->units[unit] |= 1U << 8;
	memcpy(map->texts + map->text_bytes, to, strlen(to) + 1);
	map->text_bytes += (uint32_t)strlen(to) + 1;
}

size_t gguf_write_charsmap(uint8_t *to)
{
	static const char *const pairs[][2] = {
		{ "\xef\xac\x81", "fi" }, { "\xc2\xad", "" }, { "\t", " " }, { "\xc2\xa0", " " },
		{ "e\xcc\x81", "\xc3\xa9" }, { "o\xcc\x88", "\xc3\xb6" },
		{ "o\xcc\x88\xcc\x84", "\xc8\xab" }, { "\xef\xbc\x9c", "<" },
		{ "\xef\xbc\x9e", ">" },
	};
	/* the root's unit has no label; its block is the first */
	struct charsmap_write *map = calloc(1, sizeof(*map));
	uint32_t bytes;

	if (!map)
		abort();
	map->unit_count = MAP_BLOCK;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		charsmap_add(map, pairs[i][0], pairs[i][1]);
	bytes = map->unit_count * (uint32_t)sizeof(*map->units);
	memcpy(to, &bytes, sizeof(bytes));
	memcpy(to + sizeof(bytes), map->units, bytes);
	memcpy(to + sizeof(bytes) + bytes, map->texts, map->text_bytes);
	bytes += (uint32_t)sizeof(bytes) + map->text_bytes;
	free(map);
	return bytes;
}

void gguf_write_unigram(struct gguf_write *w)
{
	static const struct {
		const char *text;
		float score;
	} pieces[] = {
		{ SPACE, -3 }, { SPACE "the", -2 }, { SPACE "t", -4 }, { "he", -4 }, { "t", -5 },
		{ "h", -6 }, { "e", -5 }, { "fi", -5 }, { SPACE "fish", -5 }, { "sh", -5 },
		{ "s", -6 }, { "i", -6 }, { "f", -7 }, { "\xc3\xa9", -6 }, { "\xc3\xb6", -7 },
		{ "\xc8\xab", -7 }, { "a", -5 }, { "aa", -9 }, { "aaa", -12 }, { "<", -8 },
		{ ">", -8 }, { "u", -8 }, { "\xe6\x97\xa5", -7 }, { SPACE "<ud", -7 },
	};
	static uint8_t charsmap[CHARSMAP_MAX];
	const size_t bytes = gguf_write_charsmap(charsmap);
	struct vocab v = { 0 };

	add(&v, "<s>", 0, 3);
	add(&v, "<pad>", 0, 3);
	add(&v, "</s>", 0, 3);
	add(&v, "<unk>", 0, 2);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		add(&v, pieces[i].text, pieces[i].score, 1);
	add(&v, "<ud>", -1, 4);
	add(&v, SPACE "these", -1, 5);
	gguf_write_header(w, 3, 0, 10);
	gguf_write_key_string(w, "tokenizer.ggml.model", "t5");
	gguf_write_vocab(w, v.tokens, v.count);
	gguf_write_key_array(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, bytes);
	gguf_write_bytes(w, charsmap, bytes);
	gguf_write_key_bool(w, "tokenizer.ggml.remove_extra_whitespaces", 1);
	gguf_write_key_bool(w, "tokenizer.ggml.add_space_prefix", 1);
	gguf_write_key_bool(w, "tokenizer.ggml.add_bos_token", 1);
	gguf_write_key_bool(w, "tokenizer.ggml.add_eos_token", 1);
	gguf_write_key_bool(w, "tokenizer.ggml.add_sep_token", 1);
}
