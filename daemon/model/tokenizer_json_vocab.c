/* SPDX-License-Identifier: MIT */
/*
 * The vocabulary of a tokenizer.json: the texts of its model, the tokens added to them, and the
 * merges. Ids are the files' own and must be below the number of rows of the embedding, so what is
 * taken for them is bounded by a file that is really there.
 */
#include <inttypes.h>
#include <string.h>

#include "model/tokenizer_json_internal.h"
#include "tokenizer/tokenizer.h"

#define MARK		"\xe2\x96\x81"	/* how GGUF marks the beginning of a word */
#define MARK_LEN	3
#define TOKENS_MAX	(1U << 24)

/* kinds of tokens, as GGUF numbers them */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

#define STRIP_LEFT	(1U << 1)
#define STRIP_RIGHT	(1U << 2)

/** struct pool - room for texts that was counted before */
struct pool {
	char *at;
};

static char *pool_add(struct pool *pool, const char *text, size_t len)
{
	char *copy = pool->at;

	memcpy(copy, text, len);
	pool->at += len;
	return copy;
}

static int no_memory(struct reader *r)
{
	return error_set(r->error, -ENOMEM, TOKENIZER_JSON ": %s", strerror(ENOMEM));
}

static struct gguf_shown show(const char *text, size_t len)
{
	return gguf_show((struct gguf_string){ text, len });
}

/* ---- tokens ---- */

int tokenizer_set_text(struct reader *r, uint32_t id, const char *text, size_t len)
{
	if (id >= r->n_vocab)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": token '%s' is number %" PRIu32 " of %" PRIu32,
				 show(text, len).text, id, r->n_vocab);
	if (r->texts[id].data)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": two tokens are number %" PRIu32, id);
	r->texts[id] = (struct gguf_string){ text, len };
	return 0;
}

/* what the model's own tokens are in GGUF: bare continuations, marked beginnings */
static void add_mark(struct reader *r, uint32_t id, struct pool *pool)
{
	const struct gguf_string text = r->texts[id];

	if (text.len > 2 && text.data[0] == '#' && text.data[1] == '#') {
		/* bare, it would look like the beginning of a word: nothing becomes this token */
		if (text.len >= 2 + MARK_LEN && !memcmp(text.data + 2, MARK, MARK_LEN)) {
			r->texts[id] = (struct gguf_string){ .data = pool->at };
			r->types[id] = UNUSED;
			return;
		}
		r->texts[id].data = pool_add(pool, text.data + 2, text.len - 2);
		r->texts[id].len = text.len - 2;
		return;
	}
	r->texts[id].data = pool_add(pool, MARK, MARK_LEN);
	pool_add(pool, text.data, text.len);
	r->texts[id].len = text.len + MARK_LEN;
}

static int read_id(struct reader *r, const json_t *json, const char *text, size_t len,
		   uint32_t *ret)
{
	if (json_get_u32(json, ret) < 0)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": the id of '%s' is none",
				 show(text, len).text);
	return 0;
}

static int load_tokens(struct reader *r, const json_t *vocab)
{
	const char *text;
	json_t *value;

	json_object_foreach((json_t *)vocab, text, value) {
		size_t len = strlen(text);
		uint32_t id = 0;
		int e = read_id(r, value, text, len, &id);

		if (e >= 0)
			e = tokenizer_set_text(r, id, text, len);
		if (e < 0)
			return e;
		e = table_add(&r->ids, text, len, id);
		if (e < 0)
			return reader_added(r, e);
		r->types[id] = NORMAL;
	}
	return 0;
}

static int load_added_one(struct reader *r, const json_t *json)
{
	const json_t *content = json_object_get(json, "content");
	const char *text = json_string_value(content);
	size_t len = json_string_length(content);
	uint32_t id = 0, known;
	int e;

	if (!text || !len)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": an added token has no text");
	e = read_id(r, json_object_get(json, "id"), text, len, &id);
	if (e < 0)
		return e;
	if (json_is_true(json_object_get(json, "single_word")))
		return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON
				 ": token '%s' that must be a single word is not supported",
				 show(text, len).text);
	/* tokens of images and the like, which this embedding has no row for */
	if (id >= r->n_vocab && r->is_padded)
		return 0;
	if (len > TOK_SPECIAL_LEN_MAX)
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": the added token '%s' has %zu bytes, the limit is %d",
				 show(text, len).text, len, TOK_SPECIAL_LEN_MAX);
	known = table_find(&r->ids, text, len);
	if (known != TABLE_NONE && known != id)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": token '%s' is number %" PRIu32 " and %" PRIu32,
				 show(text, len).text, known, id);
	e = known == id ? 0 : tokenizer_set_text(r, id, text, len);
	if (e >= 0 && known != id)
		e = reader_added(r, table_add(&r->ids, text, len, id));
	if (e < 0)
		return e;
	r->types[id] = json_is_true(json_object_get(json, "special")) ? CONTROL : USER_DEFINED;
	if (json_is_true(json_object_get(json, "lstrip")))
		r->strips[id] |= STRIP_LEFT;
	if (json_is_true(json_object_get(json, "rstrip")))
		r->strips[id] |= STRIP_RIGHT;
	return 0;
}

static int load_added(struct reader *r, const json_t *added)
{
	for (size_t i = 0; i < json_array_size(added); i++) {
		int e = load_added_one(r, json_array_get(added, i));

		if (e < 0)
			return e;
	}
	return 0;
}

/* @ret_bytes: of all texts, with marks */
static void count_bytes(const struct reader *r, size_t *ret_bytes)
{
	*ret_bytes = 0;
	for (uint32_t i = 0; i < r->n_vocab; i++)
		*ret_bytes += r->texts[i].len + MARK_LEN;
}

/* texts move from the parsed files into memory that stays, and become what GGUF has */
static int keep_texts(struct reader *r)
{
	struct pool pool;
	size_t bytes;

	count_bytes(r, &bytes);
	pool.at = gguf_alloc(r->gguf, bytes + 1);
	if (!pool.at)
		return no_memory(r);
	for (uint32_t i = 0; i < r->n_vocab; i++) {
		if (r->kind == KIND_WORDPIECE && r->types[i] == NORMAL)
			add_mark(r, i, &pool);
		else
			r->texts[i].data = pool_add(&pool, r->texts[i].data ?: "",
						    r->texts[i].len);
	}
	return 0;
}

/* ---- kinds of tokens ---- */

static int find_unknown(struct reader *r)
{
	const json_t *unk = json_object_get(r->model, "unk_token");

	if (r->kind != KIND_UNIGRAM)
		r->unk = reader_find(r, unk);
	if (r->unk != TABLE_NONE) {
		r->types[r->unk] = UNKNOWN;
		return 0;
	}
	if (r->kind == KIND_WORDPIECE || !json_is_none(unk))
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": the token for what is unknown is none");
	return 0;
}

static int find_bytes(struct reader *r)
{
	const bool wanted = r->kind == KIND_SPM ||
			    (r->kind == KIND_UNIGRAM &&
			     json_is_true(json_object_get(r->model, "byte_fallback")));
	char text[8];

	for (unsigned int byte = 0; wanted && byte < 256; byte++) {
		static const char digits[] = "0123456789ABCDEF";
		uint32_t id;

		memcpy(text, "<0x00>", 7);
		text[3] = digits[byte >> 4];
		text[4] = digits[byte & 15];
		id = table_find(&r->ids, text, 6);
		if (id == TABLE_NONE)
			return error_set(r->error, -EBADMSG,
					 TOKENIZER_JSON ": there is no token for the byte %s", text);
		r->types[id] = BYTE;
	}
	return 0;
}

/* ---- merges ---- */

/* "left right", or [left, right] as later writers have it */
static int merge_length(struct reader *r, const json_t *merge, size_t number, size_t *ret)
{
	const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
	const char *text = json_string_value(merge), *space;
	size_t len = json_string_length(merge);
	bool is_pair = false;

	if (text) {
		space = memchr(text, ' ', len);
		is_pair = space && space > text && space + 1 < text + len &&
			  !memchr(space + 1, ' ', (size_t)(text + len - space - 1));
	} else if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right)) {
		len = json_string_length(left) + 1 + json_string_length(right);
		is_pair = json_string_length(left) && json_string_length(right) &&
			  !strchr(json_string_value(left), ' ') &&
			  !strchr(json_string_value(right), ' ');
	}
	if (!is_pair)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": merge %zu is no pair", number);
	*ret = len;
	return 0;
}

static struct gguf_string add_merge(struct pool *pool, const json_t *merge)
{
	struct gguf_string line = { .data = pool->at };

	if (json_is_string(merge)) {
		line.len = json_string_length(merge);
		pool_add(pool, json_string_value(merge), line.len);
		return line;
	}
	pool_add(pool, json_string_value(json_array_get(merge, 0)),
		 json_string_length(json_array_get(merge, 0)));
	pool_add(pool, " ", 1);
	pool_add(pool, json_string_value(json_array_get(merge, 1)),
		 json_string_length(json_array_get(merge, 1)));
	line.len = (size_t)(pool->at - line.data);
	return line;
}

static int load_merges(struct reader *r)
{
	const json_t *merges = json_object_get(r->model, "merges");
	const size_t count = json_array_size(merges);
	struct gguf_string *lines;
	size_t bytes = 0, len = 0;
	struct pool pool;

	if (!json_is_array(merges))
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": 'merges' are missing");
	for (size_t i = 0; i < count; i++) {
		int e = merge_length(r, json_array_get(merges, i), i, &len);

		if (e < 0)
			return e;
		bytes += len;
	}
	pool.at = gguf_alloc(r->gguf, bytes + 1);
	lines = gguf_alloc(r->gguf, count * sizeof(*lines) + 1);
	if (!pool.at || !lines)
		return no_memory(r);
	for (size_t i = 0; i < count; i++)
		lines[i] = add_merge(&pool, json_array_get(merges, i));
	return reader_added(r, gguf_add_strings(r->gguf, r->kind == KIND_SPM ?
						"llmos.tokenizer.merges" : "tokenizer.ggml.merges",
						lines, count));
}

/* ---- all of it ---- */

static int alloc_tokens(struct reader *r, size_t count)
{
	if (!r->is_padded)
		r->n_vocab = (uint32_t)MIN(count, (size_t)TOKENS_MAX);
	if (!r->n_vocab || r->n_vocab > TOKENS_MAX)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": %" PRIu32 " tokens",
				 r->n_vocab);
	r->texts = gguf_alloc(r->gguf, r->n_vocab * sizeof(*r->texts));
	r->types = gguf_alloc(r->gguf, r->n_vocab * sizeof(*r->types));
	r->strips = gguf_alloc(r->gguf, r->n_vocab);
	if (!r->texts || !r->types || !r->strips || table_init(&r->ids, count) < 0)
		return no_memory(r);
	memset(r->texts, 0, r->n_vocab * sizeof(*r->texts));
	memset(r->strips, 0, r->n_vocab);
	for (uint32_t i = 0; i < r->n_vocab; i++)
		r->types[i] = UNUSED;
	return 0;
}

/* tokens that are added but are no part of the model's vocabulary */
static size_t count_tokens(const json_t *vocab, const json_t *added)
{
	const bool is_list = json_is_array(vocab);
	size_t count = is_list ? json_array_size(vocab) : json_object_size(vocab);

	for (size_t i = 0; i < json_array_size(added); i++) {
		const json_t *token = json_array_get(added, i);
		const char *text = json_string_value(json_object_get(token, "content"));
		uint32_t id = 0;

		if (is_list)
			count += json_get_u32(json_object_get(token, "id"), &id) >= 0 &&
				 id >= json_array_size(vocab);
		else
			count += !text || !json_object_get(vocab, text);
	}
	return count;
}

static int add_keys(struct reader *r)
{
	int e = gguf_add_strings(r->gguf, "tokenizer.ggml.tokens", r->texts, r->n_vocab);

	if (e >= 0)
		e = gguf_add_array(r->gguf, "tokenizer.ggml.token_type", GGUF_I32, r->types,
				   r->n_vocab);
	if (e >= 0)
		e = gguf_add_array(r->gguf, "llmos.tokenizer.strips", GGUF_U8, r->strips,
				   r->n_vocab);
	return reader_added(r, e);
}

int tokenizer_vocab_load(struct reader *r)
{
	const json_t *vocab = json_object_get(r->model, "vocab");
	const json_t *added = json_object_get(r->files->tokenizer, "added_tokens");
	const bool is_list = r->kind == KIND_UNIGRAM;
	int e;

	if (is_list ? !json_is_array(vocab) : !json_is_object(vocab))
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": 'vocab' is missing");
	if ((e = alloc_tokens(r, count_tokens(vocab, added))) < 0 ||
	    (e = is_list ? tokenizer_unigram_load(r, vocab) : load_tokens(r, vocab)) < 0 ||
	    (e = load_added(r, added)) < 0 ||
	    (e = find_unknown(r)) < 0 || (e = find_bytes(r)) < 0 || (e = keep_texts(r)) < 0 ||
	    (e = add_keys(r)) < 0)
		return e;
	return r->kind == KIND_WORDPIECE || is_list ? 0 : load_merges(r);
}
