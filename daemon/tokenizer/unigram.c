/* SPDX-License-Identifier: MIT */
/*
 * Spelling a text with a unigram vocabulary: at each byte the best way to get there is known before
 * anything goes on from it, so one pass over the text finds the best way to its end (Viterbi). A
 * character that is no token counts as unknown, for less than the worst token; several in a row
 * are one. Control tokens can't come out of a text, even where their names could.
 */
#include "tokenizer/unigram.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/words.h"
#include "tokenizer/work.h"

#define UNKNOWN_PENALTY	10		/* below the worst token: SentencePiece's own */
#define TEXTS_MAX	(16U << 20)	/* bytes of all tokens; of 260,000 real ones, 2 MiB */

void unigram_free(struct unigram *unigram)
{
	if (!unigram)
		return;
	trie_free(&unigram->trie);
	charsmap_done(&unigram->map);
	free(unigram->scores);
	free(unigram);
}

/* ---- building ---- */

static int build_trie(struct tokenizer *tok, struct error *error)
{
	_cleanup_free_ uint32_t *ids = calloc(tok->n_vocab, sizeof(*ids));
	size_t count = 0, len;
	int r;

	if (!ids)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		tok_text(&tok->texts, i, &len);
		if (!len || !tok_is_text(tok, i) || tok->types[i] == TOK_TYPE_UNUSED)
			continue;
		/* a sum with it could not be compared with another one any more */
		if (!isfinite(tok->unigram->scores[i]))
			continue;
		if (len > UNIGRAM_TOKEN_MAX)
			return error_set(error, -EOPNOTSUPP, "tokenizer: token %" PRIu32
					 " has %zu bytes, the limit is %u", i, len,
					 UNIGRAM_TOKEN_MAX);
		ids[count++] = i;
	}
	r = trie_build(&tok->unigram->trie, &tok->texts, ids, count);
	return r < 0 ? error_set(error, r, "tokenizer: %s", strerror(-r)) : 0;
}

/* does an unknown character count for less than this token? with GGUF normal ones are asked */
static bool bounds_unknown(const struct tokenizer *tok, uint32_t id)
{
	if (!isfinite(tok->unigram->scores[id]))
		return false;	/* it is only added */
	return tok->unigram->has_steps ? tok->types[id] != TOK_TYPE_UNUSED :
					 tok->types[id] == TOK_TYPE_NORMAL;
}

static int load_scores(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct unigram *unigram = tok->unigram;
	double least = INFINITY;
	int r;

	unigram->scores = calloc(tok->n_vocab, sizeof(*unigram->scores));
	if (!unigram->scores)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	r = vocab_load_scores(tok, gguf, unigram->scores, error);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		/* in GGUF what is always one token goes before all others, whatever its score */
		if (tok->types[i] == TOK_TYPE_USER_DEFINED && !unigram->has_steps)
			unigram->scores[i] = 0;
		if (bounds_unknown(tok, i))
			least = MIN(least, unigram->scores[i]);
	}
	unigram->unknown_score = (isfinite(least) ? least : 0) - UNKNOWN_PENALTY;
	return 0;
}

int unigram_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	int r;

	if (tok->unk == TOK_NONE)
		return error_set(error, -EBADMSG, "tokenizer: no token for what is unknown");
	if (tok->texts.at[tok->n_vocab] > TEXTS_MAX)
		return error_set(error, -EOPNOTSUPP,
				 "tokenizer: a vocabulary of %" PRIu32 " bytes, the limit is %u",
				 tok->texts.at[tok->n_vocab], TEXTS_MAX);
	tok->unigram = calloc(1, sizeof(*tok->unigram));
	if (!tok->unigram)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	r = unigram_load_text(tok, gguf, error);
	if (r >= 0)
		r = load_scores(tok, gguf, error);
	if (r >= 0)
		r = build_trie(tok, error);
	tok->words_apart = words_are_apart(tok);
	return r;
}

/* ---- spelling ---- */

/* a way to the byte at @end, if it is better than what is known */
static void offer(struct unigram_node *nodes, size_t start, size_t end, uint32_t id, double score)
{
	struct unigram_node *node = &nodes[end];

	score += nodes[start].score;
	if (!node->len || score > node->score)
		*node = (struct unigram_node){
			.score = score, .id = id, .len = (uint8_t)(end - start),
		};
}

/* all tokens that begin at @at, and the character there as unknown where it is none */
static void offer_from(const struct tokenizer *tok, struct unigram_node *nodes, const char *text,
		       size_t len, size_t at)
{
	const struct unigram *unigram = tok->unigram;
	const size_t char_end = at + utf8_len(text[at]);
	uint32_t node = TRIE_ROOT;
	bool is_token = false;

	for (size_t end = at; end < len;) {
		node = trie_step(&unigram->trie, node, (uint8_t)text[end++]);
		if (node == TRIE_NONE)
			break;
		if (unigram->trie.nodes[node].id == TOK_NONE)
			continue;
		is_token |= end == char_end;
		offer(nodes, at, end, unigram->trie.nodes[node].id,
		      unigram->scores[unigram->trie.nodes[node].id]);
	}
	if (!is_token)
		offer(nodes, at, char_end, tok->unk, unigram->unknown_score);
}

/* the way to the end, from its beginning on: each node gets how far the next one is */
static void turn_round(struct unigram_node *nodes, size_t len)
{
	uint8_t next = 0;

	for (size_t end = len; end;) {
		const uint8_t last = nodes[end].len;

		nodes[end].len = next;
		next = last;
		end -= last;
	}
	nodes[0].len = next;
}

static int push_way(struct tok_work *work, const char *text, size_t len)
{
	const struct tokenizer *tok = work->tok;
	struct unigram_work *unigram = &work->unigram;
	const struct unigram_node *nodes = unigram->nodes;
	int r = 0;

	turn_round(unigram->nodes, len);
	for (size_t at = 0, end; r >= 0 && at < len; at = end) {
		bool is_unknown;

		end = at + nodes[at].len;
		/* bytes, where the vocabulary has them, are not unknown */
		is_unknown = nodes[end].id == tok->unk && !tok_has_bytes(tok, text + at, end - at);
		if (nodes[end].id != tok->unk)
			r = tok_push(work, nodes[end].id);
		else if (!is_unknown || !unigram->was_unknown)
			r = tok_push_bytes(work, text + at, end - at);
		unigram->was_unknown = is_unknown;
	}
	return r;
}

/* @text is not empty */
static int spell(struct tok_work *work, const char *text, size_t len)
{
	struct unigram_work *unigram = &work->unigram;
	int r;

	if (len > UNIGRAM_PIECE_MAX)
		return -E2BIG;
	r = tok_grow(&unigram->nodes, &unigram->node_capacity, len + 1, sizeof(*unigram->nodes));
	if (r < 0)
		return r;
	for (size_t i = 1; i <= len; i++)
		unigram->nodes[i].len = 0;
	unigram->nodes[0] = (struct unigram_node){ .id = TOK_NONE };
	for (size_t at = 0; at < len; at += utf8_len(text[at]))
		offer_from(work->tok, unigram->nodes, text, len, at);
	return push_way(work, text, len);
}

/* ---- cutting ---- */

/* a text whose spaces are U+2581 */
static int encode_marked(struct tok_work *work, const char *text, size_t len)
{
	const struct tokenizer *tok = work->tok;
	int r = 0;

	for (size_t at = 0, n; r >= 0 && at < len; at += n) {
		n = len - at;
		if (tok->spaces_apart)
			n = words_next_space(text + at, n);
		else if (tok->words_apart)
			n = words_end(text + at, n);
		r = spell(work, text + at, n);
		/* cut for the sake of memory, unknown characters are still in a row */
		if (tok->spaces_apart)
			work->unigram.was_unknown = false;
	}
	return r;
}

/* a text or word as tokenizer.json has it: spaces are marked; @wants_prefix: one is before it */
static int encode_piece(struct tok_work *work, const char *text, size_t len, bool wants_prefix)
{
	struct bytes *marked = &work->unigram.text[1];
	size_t end;
	int r = 0;

	bytes_clear(marked);
	if (wants_prefix && *text != ' ' && !words_is_space(text, len))
		r = bytes_append(marked, TOK_SPACE, TOK_SPACE_LEN);
	for (size_t at = 0; r >= 0 && at < len; at = end) {
		for (end = at; end < len && text[end] != ' '; end++)
			;
		r = bytes_append(marked, text + at, end - at);
		if (r >= 0 && end < len) {
			r = bytes_append(marked, TOK_SPACE, TOK_SPACE_LEN);
			end++;
		}
	}
	work->unigram.was_unknown = false;
	return r < 0 ? r : encode_marked(work, (const char *)bytes_data(marked), marked->len);
}

/* the words between white space */
static int encode_words(struct tok_work *work, const char *text, size_t len)
{
	const bool wants_prefix = work->tok->add_space_prefix;
	size_t begin = 0;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < len;) {
		const size_t n = utf8_len(text[at]);

		if (unigram_is_white(utf8_decode(text + at))) {
			if (at > begin)
				r = encode_piece(work, text + begin, at - begin,
						 wants_prefix);
			begin = at + n;
		}
		at += n;
	}
	return r >= 0 && len > begin ?
		encode_piece(work, text + begin, len - begin, wants_prefix) : r;
}

int unigram_encode(struct tok_work *work, const char *text, size_t len, bool at_start)
{
	const struct tokenizer *tok = work->tok;
	const struct unigram *unigram = tok->unigram;
	const struct bytes *normal = &work->unigram.text[0];
	int r = unigram_normalise(work->tok, &work->unigram, text, len);

	work->unigram.was_unknown = false;
	if (r < 0 || !normal->len)
		return r;
	text = (const char *)bytes_data(normal);
	if (!unigram->has_steps)
		return encode_marked(work, text, normal->len);
	return unigram->is_white_apart ? encode_words(work, text, normal->len) :
		encode_piece(work, text, normal->len, tok->add_space_prefix &&
			     (at_start || tok->prefix != TOK_PREFIX_FIRST));
}
