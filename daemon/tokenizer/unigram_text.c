/* SPDX-License-Identifier: MIT */
/*
 * What is done to a text before a unigram vocabulary spells it.
 *
 * tokenizer.json lists steps, which are done one after the other. Its map of characters is looked
 * up by clusters of characters (UAX #29): a short cluster that begins with a string of the map
 * becomes what stands in its place, as a whole; a longer one is looked up character by character.
 *
 * GGUF has the same map, of which the longest string counts wherever one begins, and says whether
 * there is a space before a text and whether several become one.
 */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/nfc.h"
#include "tokenizer/unigram.h"

#define CLUSTER_BYTES	6	/* a longer one, or one of as many, is not looked up as a whole */

bool unigram_is_white(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

void unigram_work_done(struct unigram_work *work)
{
	for (size_t i = 0; i < ARRAY_SIZE(work->text); i++)
		bytes_free(&work->text[i]);
	free(work->nodes);
}

/* ---- keys ---- */

static int load_map(struct unigram *unigram, const struct gguf *gguf, struct error *error)
{
	static const char key[] = "tokenizer.ggml.precompiled_charsmap";
	struct gguf_array array;
	int r = gguf_get_array(gguf, key, &array);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || (array.type != GGUF_U8 && array.type != GGUF_I8))
		return error_set(error, -EBADMSG, "tokenizer: key '%s' has no bytes", key);
	unigram->has_map = array.count;
	return array.count ? charsmap_load(&unigram->map, array.data, array.count, error) : 0;
}

static int add_step(struct unigram *unigram, enum unigram_step step)
{
	if (unigram->step_count == UNIGRAM_STEPS_MAX)
		return -E2BIG;
	/* one map: each could make a text as many times longer */
	for (size_t i = 0; step == UNIGRAM_MAP && i < unigram->step_count; i++)
		if (unigram->steps[i] == UNIGRAM_MAP)
			return -EEXIST;
	if (step == UNIGRAM_MAP && !unigram->has_map)
		return -ENOENT;
	unigram->steps[unigram->step_count++] = step;
	return 0;
}

/* words that end with ';': those of tokenizer_json_unigram.c */
static int load_steps(struct unigram *unigram, const struct gguf *gguf, struct error *error)
{
	static const struct {
		const char *word;
		enum unigram_step step;
	} known[] = {
		{ "Map;", UNIGRAM_MAP }, { "Collapse;", UNIGRAM_COLLAPSE },
		{ "CollapseMark;", UNIGRAM_COLLAPSE_MARK }, { "StripLeft;", UNIGRAM_STRIP_LEFT },
		{ "StripRight;", UNIGRAM_STRIP_RIGHT }, { "NFC;", UNIGRAM_NFC },
		{ "NFKC;", UNIGRAM_NFKC },
	};
	struct gguf_string rest;
	int r = gguf_get_string(gguf, TOK_KEY_STEPS, &rest);

	if (r == -ENOENT)
		return 0;
	unigram->has_steps = true;
	while (r >= 0 && rest.len) {
		size_t i = 0, len = 0;

		for (; i < ARRAY_SIZE(known); i++) {
			len = strlen(known[i].word);
			if (rest.len >= len && !memcmp(rest.data, known[i].word, len))
				break;
		}
		r = i == ARRAY_SIZE(known) ? -EINVAL : add_step(unigram, known[i].step);
		if (r < 0)
			break;
		rest.data += len;
		rest.len -= len;
	}
	return r < 0 ? error_set(error, -EBADMSG, "tokenizer: key '" TOK_KEY_STEPS
				 "' has steps that are none") : 0;
}

static int get_flag(const struct gguf *gguf, const char *key, bool *ret, struct error *error)
{
	const int r = gguf_get_bool(gguf, key, ret);

	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no boolean", key);
	return 0;
}

int unigram_load_text(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	static const char suffix[] = "tokenizer.ggml.treat_whitespace_as_suffix";
	struct unigram *unigram = tok->unigram;
	bool is_suffix = false, is_first = false;
	int r;

	/* llama.cpp's own default where a file does not say it */
	unigram->merges_spaces = false;
	if ((r = load_map(unigram, gguf, error)) < 0 ||
	    (r = load_steps(unigram, gguf, error)) < 0 ||
	    (r = get_flag(gguf, suffix, &is_suffix, error)) < 0 ||
	    (r = get_flag(gguf, "tokenizer.ggml.remove_extra_whitespaces", &unigram->merges_spaces,
			  error)) < 0 ||
	    (r = get_flag(gguf, TOK_KEY_WHITE_APART, &unigram->is_white_apart, error)) < 0 ||
	    (r = get_flag(gguf, TOK_KEY_SPACES_APART, &tok->spaces_apart, error)) < 0 ||
	    (r = get_flag(gguf, TOK_KEY_PREFIX_FIRST, &is_first, error)) < 0)
		return r;
	/* each text between special tokens has one before it, or only what all begins with */
	if (is_first)
		tok->prefix = TOK_PREFIX_FIRST;
	if (is_suffix)
		return error_set(error, -EOPNOTSUPP, "tokenizer: '%s' is not supported", suffix);
	return 0;
}

/* ---- steps of tokenizer.json ---- */

static size_t cluster_end(const char *text, size_t len, size_t at)
{
	utf8proc_int32_t state = 0, code = (utf8proc_int32_t)utf8_decode(text + at);

	for (at += utf8_len(text[at]); at < len; at += utf8_len(text[at])) {
		const utf8proc_int32_t next = (utf8proc_int32_t)utf8_decode(text + at);

		if (utf8proc_grapheme_break_stateful(code, next, &state))
			return at;
		code = next;
	}
	return len;
}

static int map_chars(const struct charsmap *map, const char *text, size_t len, struct bytes *to)
{
	size_t n;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len; at += n) {
		const char *given = text + at;
		size_t given_len = n = utf8_len(text[at]);

		charsmap_find(map, text + at, n, false, &given, &given_len);
		r = bytes_append(to, given, given_len);
	}
	return r;
}

static int map_clusters(const struct charsmap *map, const char *text, size_t len, struct bytes *to)
{
	size_t end;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len; at = end) {
		const char *given;
		size_t given_len;

		end = cluster_end(text, len, at);
		if (end - at < CLUSTER_BYTES &&
		    charsmap_find(map, text + at, end - at, false, &given, &given_len))
			r = bytes_append(to, given, given_len);
		else
			r = map_chars(map, text + at, end - at, to);
	}
	return r;
}

static int collapse(const char *text, size_t len, const char *with, struct bytes *to)
{
	size_t end;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len; at = end) {
		const bool is_space = text[at] == ' ';

		for (end = at; end < len && (text[end] == ' ') == is_space; end++)
			;
		if (is_space && end - at > 1)
			r = bytes_append(to, with, strlen(with));
		else
			r = bytes_append(to, text + at, end - at);
	}
	return r;
}

static int strip_left(const char *text, size_t len, struct bytes *to)
{
	size_t at = 0;

	while (at < len && unigram_is_white(utf8_decode(text + at)))
		at += utf8_len(text[at]);
	return bytes_append(to, text + at, len - at);
}

static int strip_right(const char *text, size_t len, struct bytes *to)
{
	size_t end = len;

	while (end) {
		size_t last = end - 1;

		while (((unsigned char)text[last] & 0xc0) == 0x80)
			last--;
		if (!unigram_is_white(utf8_decode(text + last)))
			break;
		end = last;
	}
	return bytes_append(to, text, end);
}

static int to_form(int (*form)(const char *text, size_t len, char **ret, size_t *ret_len),
		   const char *text, size_t len, struct bytes *to)
{
	_cleanup_free_ char *normal = NULL;
	int r = form(text, len, &normal, &len);

	return r < 0 ? r : bytes_append(to, normal, len);
}

static int do_step(const struct unigram *unigram, enum unigram_step step, const char *text,
		   size_t len, struct bytes *to)
{
	switch (step) {
	case UNIGRAM_MAP:
		return map_clusters(&unigram->map, text, len, to);
	case UNIGRAM_COLLAPSE:
		return collapse(text, len, " ", to);
	case UNIGRAM_COLLAPSE_MARK:
		return collapse(text, len, TOK_SPACE, to);
	case UNIGRAM_STRIP_LEFT:
		return strip_left(text, len, to);
	case UNIGRAM_NFC:
		return to_form(nfc_normalise, text, len, to);
	case UNIGRAM_NFKC:
		return to_form(nfkc_normalise, text, len, to);
	default:
		return strip_right(text, len, to);
	}
}

/* ---- GGUF ---- */

static int map_longest(const struct unigram *unigram, const char *text, size_t len,
		       struct bytes *to)
{
	size_t n;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len; at += n) {
		const char *given = text + at;
		size_t given_len = utf8_len(text[at]);

		n = charsmap_find(&unigram->map, text + at, len - at, true, &given, &given_len);
		/* no string of a map that was made by anyone ends inside a character */
		while (n && n < len - at && ((unsigned char)text[at + n] & 0xc0) == 0x80)
			n++;
		n = n ?: given_len;
		r = bytes_append(to, given, given_len);
	}
	return r;
}

/* spaces become U+2581, one before each word or as many as there are */
static int mark_spaces(const struct tokenizer *tok, const char *text, size_t len, struct bytes *to)
{
	const bool merges = tok->unigram->merges_spaces;
	bool wants_prefix = tok->add_space_prefix || merges;
	size_t end;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len; at = end) {
		const bool is_space = text[at] == ' ';

		for (end = at; end < len && (text[end] == ' ') == is_space; end++)
			if (is_space && !merges && r >= 0)
				r = bytes_append(to, TOK_SPACE, TOK_SPACE_LEN);
		if (is_space || r < 0)
			continue;
		if (wants_prefix)
			r = bytes_append(to, TOK_SPACE, TOK_SPACE_LEN);
		wants_prefix = merges;
		if (r >= 0)
			r = bytes_append(to, text + at, end - at);
	}
	return r;
}

static int normalise_as_gguf(const struct tokenizer *tok, struct unigram_work *work,
			     const char *text, size_t len)
{
	int r;

	if (!tok->unigram->has_map)
		return mark_spaces(tok, text, len, &work->text[0]);
	r = map_longest(tok->unigram, text, len, &work->text[1]);
	if (r < 0 || !work->text[1].len)
		return r;
	return mark_spaces(tok, (const char *)bytes_data(&work->text[1]), work->text[1].len,
			   &work->text[0]);
}

static int normalise_by_steps(const struct unigram *unigram, struct unigram_work *work,
			      const char *text, size_t len)
{
	int r = 0;

	if (!unigram->step_count)
		return bytes_append(&work->text[0], text, len);
	for (size_t i = 0; r >= 0 && len && i < unigram->step_count; i++) {
		bytes_clear(&work->text[1]);
		r = do_step(unigram, unigram->steps[i], text, len, &work->text[1]);
		bytes_swap(&work->text[0], &work->text[1]);
		text = (const char *)bytes_data(&work->text[0]);
		len = work->text[0].len;
	}
	return r;
}

int unigram_normalise(const struct tokenizer *tok, struct unigram_work *work, const char *text,
		      size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(work->text); i++)
		bytes_clear(&work->text[i]);
	return tok->unigram->has_steps ? normalise_by_steps(tok->unigram, work, text, len) :
					 normalise_as_gguf(tok, work, text, len);
}
