/* SPDX-License-Identifier: MIT */
/*
 * Loading the merges of BPE, byte-level or of characters. The file gives them as two strings with a space between,
 * best first. Both strings and what they make are usually tokens; a string that is none still takes
 * part in later merges, so it gets a number past the vocabulary.
 */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/bpe.h"

/*
 * The 256 characters that stand for bytes: printable Latin-1 stands for itself, the other 68 bytes
 * are U+0100 to U+0143 in order.
 */
static bool is_itself(unsigned int byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

size_t bpe_byte_char(unsigned int byte, char *buf)
{
	uint32_t code = 0x100;

	if (is_itself(byte))
		return utf8_encode(byte, buf);
	for (unsigned int b = 0; b < byte; b++)
		code += !is_itself(b);
	return utf8_encode(code, buf);
}

int bpe_char_byte(uint32_t code)
{
	if (code < 0x100)
		return is_itself(code) ? (int)code : -1;
	if (code >= 0x144)
		return -1;
	if (code < 0x121)
		return (int)code - 0x100;		/* 00 to 20 */
	return code < 0x143 ? (int)code - 0x121 + 0x7f : 0xad;
}

/* ---- the hash table of merges ---- */

static struct bpe_merge *slot_find(const struct bpe *bpe, uint64_t pair)
{
	size_t i = hash_u64(&bpe->key, pair) & bpe->mask;

	while (bpe->slots[i].id != TOK_NONE && bpe->slots[i].pair != pair)
		i = (i + 1) & bpe->mask;
	return &bpe->slots[i];
}

const struct bpe_merge *bpe_merge_find(const struct bpe *bpe, uint32_t left, uint32_t right)
{
	const struct bpe_merge *slot = slot_find(bpe, (uint64_t)left << 32 | right);

	return slot->id == TOK_NONE ? NULL : slot;
}

static int slots_alloc(struct bpe *bpe, uint64_t count)
{
	size_t n = 16;

	while (n - n / 4 < count + 1)
		n *= 2;
	bpe->slots = calloc(n, sizeof(*bpe->slots));
	if (!bpe->slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		bpe->slots[i].id = TOK_NONE;
	bpe->mask = n - 1;
	hash_key_init(&bpe->key);
	return 0;
}

/* ---- strings and their numbers ---- */

/* the number of a string; of a new one, @extra has room for a copy */
static int intern(struct tokenizer *tok, struct bpe *bpe, const char *text, size_t len,
		  uint32_t *ret)
{
	uint32_t id = table_find(&tok->by_text, text, len);
	char *copy = bpe->extra + bpe->extra_size;
	int r;

	if (id == TABLE_NONE) {
		id = tok->n_vocab + bpe->extra_count;
		memcpy(copy, text, len);
		r = table_add(&tok->by_text, copy, len, id);
		if (r < 0)
			return r;
		bpe->extra_size += len;
		bpe->extra_count++;
	}
	*ret = id;
	return 0;
}

static int add_merge(struct tokenizer *tok, struct bpe *bpe, struct gguf_string line, uint32_t rank,
		     char *buf)
{
	const char *space = line.len > 1 ? memchr(line.data + 1, ' ', line.len - 1) : NULL;
	size_t left_len, right_len;
	uint32_t left, right, id;
	struct bpe_merge *slot;
	int r;

	if (!space || space + 1 == line.data + line.len)
		return -EBADMSG;
	left_len = (size_t)(space - line.data);
	right_len = line.len - left_len - 1;
	memcpy(buf, line.data, left_len);
	memcpy(buf + left_len, space + 1, right_len);
	if ((r = intern(tok, bpe, buf, left_len, &left)) < 0 ||
	    (r = intern(tok, bpe, buf + left_len, right_len, &right)) < 0 ||
	    (r = intern(tok, bpe, buf, left_len + right_len, &id)) < 0)
		return r;
	slot = slot_find(bpe, (uint64_t)left << 32 | right);
	if (slot->id == TOK_NONE)
		*slot = (struct bpe_merge){
			.pair = (uint64_t)left << 32 | right,
			.rank = rank,
			.id = id,
		};
	return 0;
}

static int add_bytes(struct tokenizer *tok, struct bpe *bpe)
{
	char buf[UTF8_MAX];

	for (unsigned int byte = 0; byte < 256; byte++) {
		size_t len = bpe_byte_char(byte, buf);
		int r = intern(tok, bpe, buf, len, &bpe->symbol_ids[byte]);

		if (r < 0)
			return r;
		if (tok_is_text(tok, bpe->symbol_ids[byte]))
			tok->byte_ids[byte] = bpe->symbol_ids[byte];
	}
	return 0;
}

/* each merge has at most three new strings: its halves, and both together */
static int extra_alloc(struct bpe *bpe, const struct gguf_array *merges, char **ret_line)
{
	size_t size = 256 * UTF8_MAX, line_max = 0;

	for (uint64_t i = 0; i < merges->count; i++) {
		if (!size_add(&size, size, 2 * merges->strings[i].len))
			return -ENOMEM;
		line_max = MAX(line_max, merges->strings[i].len);
	}
	bpe->extra = malloc(size);
	*ret_line = malloc(line_max + 1);
	return bpe->extra && *ret_line ? 0 : -ENOMEM;
}

int bpe_merges_load(struct tokenizer *tok, struct bpe *bpe, const struct gguf *gguf,
		    const char *key, struct error *error)
{
	_cleanup_free_ char *line = NULL;
	struct gguf_array merges;
	int r = gguf_get_array(gguf, key, &merges);

	if (r == -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is missing", key);
	if (r < 0 || merges.type != GGUF_STRING)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no list of strings", key);
	if ((r = extra_alloc(bpe, &merges, &line)) < 0 ||
	    (r = slots_alloc(bpe, merges.count)) < 0 ||
	    (tok->kind == TOK_BPE && (r = add_bytes(tok, bpe)) < 0))
		return error_set(error, r, "tokenizer: merges: %s", strerror(-r));
	for (uint64_t i = 0; i < merges.count; i++) {
		r = add_merge(tok, bpe, merges.strings[i], (uint32_t)i, line);
		if (r == -EBADMSG)
			return error_set(error, r, "tokenizer: merge %" PRIu64 " is no pair", i);
		if (r < 0)
			return error_set(error, r, "tokenizer: merges: %s", strerror(-r));
	}
	return 0;
}
