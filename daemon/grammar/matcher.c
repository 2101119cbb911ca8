/* SPDX-License-Identifier: MIT */
/*
 * The walk over the tree of tokens: states stand beside the path to a branch, and where one is
 * dead, what is below it is skipped. Masks are kept by state, for many answers come back to where they
 * have been: within a string, say. See matcher.h.
 */
#include "grammar/matcher.h"

#include <string.h>

#include "grammar/machine.h"

#define MASKS_BYTES	(2U << 20)	/* kept of one answer */
#define MASKS_MAX	64U

/** struct kept_mask - of a state; GRAM_DEAD: free */
struct kept_mask {
	uint32_t state;
	uint32_t count;
	uint32_t *words;
};

/**
 * struct gram_matcher - see matcher.h
 * @state: where the answer is
 * @fresh: no token with bytes has been said, and it begins a text
 * @path: of the walk: the state behind each byte up to the current branch (vocab->depth + 1)
 * @branch: of the walk: the next one
 * @walking: a walk has begun and not ended
 * @is_new: nothing was there when the walk began that it could have used
 * @mask, @count: what the walk has found, or the kept one
 * @found: the walk's own mask
 * @kept: masks of other states (kept_count); the next one to be replaced is kept_next
 */
struct gram_matcher {
	struct grammar *grammar;
	struct gram_vocab *vocab;
	struct gram_machine machine;
	uint32_t state;
	bool fresh;
	uint32_t *path;
	size_t branch;
	bool walking;
	bool is_new;
	const uint32_t *mask;
	uint32_t count;
	uint32_t *found;
	struct kept_mask kept[MASKS_MAX];
	size_t kept_count;
	size_t kept_next;
};

/* ---- life ---- */

static size_t mask_bytes(const struct gram_vocab *vocab)
{
	return gram_vocab_words(vocab) * sizeof(uint32_t);
}

/* masks that are kept, and the one of the walk */
static size_t masks_max(const struct gram_vocab *vocab)
{
	return MIN(MASKS_BYTES / (mask_bytes(vocab) + 1) + 1, (size_t)MASKS_MAX);
}

static int matcher_init(struct gram_matcher *m)
{
	const size_t words = gram_vocab_words(m->vocab);
	int r;

	m->path = calloc(m->vocab->depth + 1, sizeof(*m->path));
	m->found = calloc(words, sizeof(*m->found));
	if (!m->path || !m->found)
		return -ENOMEM;
	m->kept_count = masks_max(m->vocab);
	r = gram_machine_init(&m->machine, m->grammar, &m->state);
	return r == -ENOBUFS ? -E2BIG : r;
}

int gram_matcher_new(struct gram_matcher **ret, struct grammar *grammar,
		     struct gram_vocab *vocab, bool fresh)
{
	_cleanup_(gram_matcher_freep) struct gram_matcher *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		gram_free(grammar);
		return -ENOMEM;
	}
	m->grammar = grammar;
	m->vocab = gram_vocab_ref(vocab);
	m->fresh = fresh && vocab->first_tree.branches;
	r = matcher_init(m);
	if (r < 0)
		return r;
	*ret = steal_ptr(m);
	return 0;
}

void gram_matcher_free(struct gram_matcher *m)
{
	if (!m)
		return;
	gram_machine_done(&m->machine);
	gram_free(m->grammar);
	gram_vocab_unref(m->vocab);
	for (size_t i = 0; i < MASKS_MAX; i++)
		free(m->kept[i].words);
	free(m->path);
	free(m->found);
	free(m);
}

size_t gram_matcher_bytes(const struct gram_matcher *m)
{
	size_t masks = 1;

	for (size_t i = 0; i < m->kept_count; i++)
		masks += m->kept[i].words != NULL;
	return sizeof(*m) + gram_machine_bytes(&m->machine) + masks * mask_bytes(m->vocab) +
	       (m->vocab->depth + 1) * sizeof(*m->path);
}

size_t gram_matcher_bytes_max(const struct gram_vocab *vocab)
{
	return sizeof(struct gram_matcher) + GRAM_MACHINE_BYTES_MAX +
	       (masks_max(vocab) + 1) * mask_bytes(vocab) +
	       (vocab->depth + 1) * sizeof(uint32_t);
}

/* ---- states come and go ---- */

/*
 * Whether bounds are met must not depend on what the machine happens to know, or an answer that is
 * put together again would end elsewhere. It does not: what fails with a full machine is tried
 * again with an empty one, and what succeeds with a full one does so with an empty one, whose
 * bounds are the same.
 */
static int start_anew(struct gram_matcher *m)
{
	int r = gram_machine_reset(&m->machine, &m->state);

	for (size_t i = 0; i < MASKS_MAX; i++)
		m->kept[i].state = GRAM_DEAD;
	m->is_new = true;
	m->walking = false;
	m->mask = NULL;
	return r == -ENOBUFS ? -E2BIG : r;
}

/* ---- one token ---- */

static int follow(struct gram_matcher *m, const char *bytes, size_t len, uint32_t *ret)
{
	uint32_t state = m->state;
	int r = 0;

	for (size_t i = 0; !r && i < len && state != GRAM_DEAD; i++)
		r = gram_machine_step(&m->machine, state, (uint8_t)bytes[i], &state);
	*ret = state;
	return r;
}

int gram_matcher_advance(struct gram_matcher *m, uint32_t id)
{
	const char *bytes;
	uint32_t state;
	size_t len = 0;
	int r;

	bytes = gram_vocab_piece(m->vocab, id, m->fresh, &len);
	if (!len)
		return -EILSEQ;
	r = follow(m, bytes, len, &state);
	if (r == -ENOBUFS) {
		r = start_anew(m);
		if (!r)
			r = follow(m, bytes, len, &state);
	}
	if (r < 0)
		return r == -ENOBUFS ? -E2BIG : r;
	if (state == GRAM_DEAD)
		return -EILSEQ;
	m->state = state;
	m->fresh = false;
	m->is_new = false;
	m->walking = false;
	m->mask = NULL;
	return 0;
}

int gram_matcher_catch_up(struct gram_matcher *m, const uint32_t *ids, size_t *count,
			  size_t branches)
{
	uint64_t steps = 0;
	size_t i = 0;
	int r = 0;

	for (; i < *count && steps < branches; i++) {
		const uint64_t before = m->machine.work;

		r = gram_matcher_advance(m, ids[i]);
		if (r < 0)
			break;
		/* with less it has begun to count anew */
		steps += m->machine.work - (m->machine.work < before ? 0 : before);
	}
	*count = i;
	return r;
}

bool gram_matcher_can_end(const struct gram_matcher *m)
{
	return gram_state(&m->machine, m->state)->accepts;
}

/* ---- the walk ---- */

static void set_bit(uint32_t *mask, uint32_t id)
{
	mask[id / 32] |= 1U << id % 32;
}

static bool find_kept(struct gram_matcher *m)
{
	for (size_t i = 0; i < m->kept_count && !m->fresh; i++) {
		if (m->kept[i].state != m->state)
			continue;
		m->mask = m->kept[i].words;
		m->count = m->kept[i].count;
		return true;
	}
	return false;
}

/* without memory for it, it is found again next time */
static void keep(struct gram_matcher *m)
{
	const size_t bytes = gram_vocab_words(m->vocab) * sizeof(*m->found);
	struct kept_mask *kept = &m->kept[m->kept_next];

	if (m->fresh)
		return;
	if (!kept->words)
		kept->words = malloc(bytes);
	if (!kept->words)
		return;
	memcpy(kept->words, m->found, bytes);
	kept->state = m->state;
	kept->count = m->count;
	m->kept_next = (m->kept_next + 1) % m->kept_count;
}

static void begin_walk(struct gram_matcher *m)
{
	memset(m->found, 0, gram_vocab_words(m->vocab) * sizeof(*m->found));
	m->count = 0;
	m->branch = 0;
	m->path[0] = m->state;
	m->walking = true;
}

/* Return: 1 it is at the end; 0 not yet; as gram_machine_find() */
static int walk(struct gram_matcher *m, size_t branches)
{
	const struct gram_tree *tree = m->fresh ? &m->vocab->first_tree : &m->vocab->tree;
	const uint64_t work = m->machine.work;
	size_t at = m->branch;
	int r = 0;

	/* a step that is not in the table yet takes as long as some branches */
	for (; at < tree->branch_count && branches; branches--) {
		const struct gram_branch *branch = &tree->branches[at];
		uint32_t state;

		if (m->machine.work - work > branches)
			break;
		r = gram_machine_step(&m->machine, m->path[branch->depth - 1], branch->byte,
				      &state);
		if (r < 0)
			break;
		if (state == GRAM_DEAD) {
			at = branch->skip;
			continue;
		}
		m->path[branch->depth] = state;
		for (uint32_t i = branch[0].tokens; i < branch[1].tokens; i++)
			set_bit(m->found, tree->ids[i]);
		m->count += branch[1].tokens - branch[0].tokens;
		at++;
	}
	m->branch = at;
	return r < 0 ? r : at == tree->branch_count;
}

static void end_walk(struct gram_matcher *m)
{
	m->walking = false;
	m->is_new = false;
	m->mask = m->found;
	if (gram_matcher_can_end(m)) {
		for (size_t i = 0; i < m->vocab->end_count; i++)
			set_bit(m->found, m->vocab->ends[i]);
		m->count += (uint32_t)m->vocab->end_count;
	}
	keep(m);
}

int gram_matcher_work(struct gram_matcher *m, size_t branches)
{
	int r = 0;

	if (m->mask || (!m->walking && find_kept(m)))
		return 1;
	if (!m->walking && gram_machine_is_full(&m->machine))
		r = start_anew(m);
	if (r < 0)
		return r;
	if (!m->walking)
		begin_walk(m);
	r = walk(m, branches);
	if (r == -ENOBUFS) {
		if (m->is_new)
			return -E2BIG;
		r = start_anew(m);
	}
	if (r == 1)
		end_walk(m);
	return r;
}

const uint32_t *gram_matcher_mask(const struct gram_matcher *m)
{
	return m->mask;
}

uint32_t gram_matcher_count(const struct gram_matcher *m)
{
	return m->count;
}
