/* SPDX-License-Identifier: MIT */
/*
 * From expressions to positions, from the end to the beginning: what an expression becomes depends
 * on what follows it. What has been made once, with the same continuation, is used again. See
 * program.h.
 */
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "grammar/grow.h"
#include "grammar/program.h"

#define COMPILE_WORK_MAX	(1U << 20)	/* repetitions of nothing make no positions */
#define COMPILE_DEPTH_MAX	4096		/* of expressions: no source can use up the stack */

/**
 * struct compile - a compilation
 * @set_slots, @pos_slots: hash tables of what there is, as index + 1
 * @work: steps done
 * @depth: expressions within expressions
 */
struct compile {
	const struct gram_build *build;
	struct grammar *g;
	size_t pos_capacity;
	size_t set_capacity;
	struct hash_key key;
	uint32_t *set_slots;
	uint32_t *pos_slots;
	uint32_t work;
	uint32_t depth;
	int error;
};

#define SET_SLOTS	(2 * GRAM_SETS_MAX)
#define POS_SLOTS	(2 * GRAM_POSITIONS_MAX)

static void compile_done(struct compile *c)
{
	free(c->set_slots);
	free(c->pos_slots);
}

static void compile_fail(struct compile *c, int r)
{
	if (!c->error)
		c->error = r;
}

/* ---- sets and positions, each once ---- */

static uint32_t add_set(struct compile *c, const struct gram_set *set)
{
	uint32_t slot = (uint32_t)(hash_bytes(&c->key, set, sizeof(*set)) % SET_SLOTS);
	struct gram_set *grown;

	for (; c->set_slots[slot]; slot = (slot + 1) % SET_SLOTS)
		if (!memcmp(&c->g->sets[c->set_slots[slot] - 1], set, sizeof(*set)))
			return c->set_slots[slot] - 1;
	if (c->g->set_count == GRAM_SETS_MAX) {
		compile_fail(c, -E2BIG);
		return 0;
	}
	grown = grow(c->g->sets, &c->set_capacity, c->g->set_count + 1, sizeof(*grown));
	if (!grown) {
		compile_fail(c, -ENOMEM);
		return 0;
	}
	c->g->sets = grown;
	grown[c->g->set_count] = *set;
	c->set_slots[slot] = (uint32_t)++c->g->set_count;
	return c->set_slots[slot] - 1;
}

static uint32_t new_pos(struct compile *c, enum gram_pos_kind kind, uint32_t next, uint32_t arg)
{
	struct gram_pos *grown;

	if (c->error)
		return GRAM_END;
	if (c->g->pos_count == GRAM_POSITIONS_MAX) {
		compile_fail(c, -E2BIG);
		return GRAM_END;
	}
	grown = grow(c->g->pos, &c->pos_capacity, c->g->pos_count + 1, sizeof(*grown));
	if (!grown) {
		compile_fail(c, -ENOMEM);
		return GRAM_END;
	}
	c->g->pos = grown;
	grown[c->g->pos_count] = (struct gram_pos){ .kind = kind, .next = next, .arg = arg };
	return (uint32_t)c->g->pos_count++;
}

static uint32_t add_pos(struct compile *c, enum gram_pos_kind kind, uint32_t next, uint32_t arg)
{
	const uint64_t hash = hash_u64(&c->key, (uint64_t)next << 32 | arg) + kind;
	uint32_t slot = (uint32_t)(hash % POS_SLOTS);

	if (kind == GRAM_POS_SPLIT && next == arg)
		return next;
	for (; c->pos_slots[slot]; slot = (slot + 1) % POS_SLOTS) {
		const struct gram_pos *pos = &c->g->pos[c->pos_slots[slot] - 1];

		if (pos->kind == kind && pos->next == next && pos->arg == arg)
			return c->pos_slots[slot] - 1;
	}
	next = new_pos(c, kind, next, arg);
	if (!c->error)
		c->pos_slots[slot] = next + 1;
	return next;
}

/* ---- characters ---- */

/** struct way - bytes that lead to a position */
struct way {
	uint32_t to;
	struct gram_bytes bytes;
};

static int compare_ways(const void *a, const void *b)
{
	const struct way *x = a, *y = b;

	return x->to < y->to ? -1 : x->to > y->to;
}

static void set_add(struct gram_set *set, struct gram_bytes bytes)
{
	for (unsigned int byte = bytes.first; byte <= bytes.last; byte++)
		set->bits[byte / 64] |= UINT64_C(1) << byte % 64;
}

/* one position for all bytes that lead to the same one */
static uint32_t compile_ways(struct compile *c, struct way *ways, size_t count)
{
	uint32_t at = GRAM_NONE;

	qsort(ways, count, sizeof(*ways), compare_ways);
	for (size_t i = 0; i < count;) {
		struct gram_set set = { 0 };
		const uint32_t to = ways[i].to;
		uint32_t one;

		for (; i < count && ways[i].to == to; i++)
			set_add(&set, ways[i].bytes);
		one = add_pos(c, GRAM_POS_BYTE, to, add_set(c, &set));
		at = at == GRAM_NONE ? one : add_pos(c, GRAM_POS_SPLIT, one, at);
	}
	return at;
}

/* those that begin alike, up to byte @level, go on together; as deep as a character is long */
static uint32_t compile_spellings(struct compile *c, const struct gram_spelling *list, size_t count,
				  unsigned int level, uint32_t next)
{
	_cleanup_free_ struct way *ways = calloc(count, sizeof(*ways));
	size_t n = 0, end;

	if (!ways) {
		compile_fail(c, -ENOMEM);
		return GRAM_END;
	}
	for (size_t i = 0; i < count && !c->error; i = end) {
		const struct gram_bytes bytes = list[i].bytes[level];

		for (end = i + 1; end < count; end++)
			if (list[end].bytes[level].first != bytes.first)
				break;
		ways[n].bytes = bytes;
		ways[n++].to = list[i].len == level + 1 ? next :
			       compile_spellings(c, list + i, end - i, level + 1, next);
	}
	return compile_ways(c, ways, n);
}

static uint32_t compile_class(struct compile *c, const struct gram_node *node, uint32_t next)
{
	_cleanup_free_ struct gram_range *ranges = calloc(node->count + 1, sizeof(*ranges));
	_cleanup_free_ struct gram_spelling *list = NULL;
	size_t count = 0;
	int r = -ENOMEM;

	if (ranges) {
		if (node->count)
			memcpy(ranges, c->build->ranges + node->at,
			       node->count * sizeof(*ranges));
		r = gram_spell(ranges, node->count, &list, &count);
	}
	c->work += node->count;
	if (r < 0) {
		compile_fail(c, r);
		return GRAM_END;
	}
	if (!count)
		return add_pos(c, GRAM_POS_BYTE, next, add_set(c, &(struct gram_set){ 0 }));
	return compile_spellings(c, list, count, 0, next);
}

static uint32_t compile_literal(struct compile *c, const struct gram_node *node, uint32_t next)
{
	c->work += node->count;
	for (uint32_t i = node->count; i-- > 0 && !c->error;) {
		const uint8_t byte = (uint8_t)c->build->bytes[node->at + i];
		struct gram_set set = { 0 };

		set_add(&set, (struct gram_bytes){ byte, byte });
		next = add_pos(c, GRAM_POS_BYTE, next, add_set(c, &set));
	}
	return next;
}

/* ---- the rest; as deep as expressions are nested ---- */

static uint32_t compile_node(struct compile *c, uint32_t index, uint32_t next);

static uint32_t compile_repeat(struct compile *c, const struct gram_node *node, uint32_t next)
{
	const uint32_t end = next;

	if (node->last == GRAM_NONE)
		return next;
	if (node->count == GRAM_ENDLESS) {
		const uint32_t loop = new_pos(c, GRAM_POS_SPLIT, GRAM_END, next);
		const uint32_t body = compile_node(c, node->last, loop);

		if (c->error)
			return GRAM_END;
		c->g->pos[loop].next = body;
		next = loop;
	} else {
		for (uint32_t i = node->at; i < node->count && !c->error; i++)
			next = add_pos(c, GRAM_POS_SPLIT, compile_node(c, node->last, next), end);
	}
	for (uint32_t i = 0; i < node->at && !c->error; i++)
		next = compile_node(c, node->last, next);
	return next;
}

static uint32_t compile_choice(struct compile *c, const struct gram_node *node, uint32_t next)
{
	uint32_t at = GRAM_NONE, part;

	for (part = node->last; part != GRAM_NONE && !c->error;
	     part = c->build->nodes[part].before) {
		const uint32_t one = compile_node(c, part, next);

		at = at == GRAM_NONE ? one : add_pos(c, GRAM_POS_SPLIT, one, at);
	}
	if (at == GRAM_NONE)	/* nothing to choose from matches nothing */
		at = add_pos(c, GRAM_POS_BYTE, next, add_set(c, &(struct gram_set){ 0 }));
	return at;
}

static uint32_t compile_kind(struct compile *c, const struct gram_node *node, uint32_t next)
{
	uint32_t part;

	switch (node->kind) {
	case GRAM_LITERAL:
		return compile_literal(c, node, next);
	case GRAM_CLASS:
		return compile_class(c, node, next);
	case GRAM_RULE:
		return add_pos(c, GRAM_POS_CALL, next, node->at);
	case GRAM_REPEAT:
		return compile_repeat(c, node, next);
	case GRAM_CHOICE:
		return compile_choice(c, node, next);
	case GRAM_SEQUENCE:
		for (part = node->last; part != GRAM_NONE && !c->error;
		     part = c->build->nodes[part].before)
			next = compile_node(c, part, next);
		break;
	}
	return next;
}

static uint32_t compile_node(struct compile *c, uint32_t index, uint32_t next)
{
	const struct gram_node *node = &c->build->nodes[index];

	if (c->error)
		return GRAM_END;
	if (++c->work > COMPILE_WORK_MAX || c->depth == COMPILE_DEPTH_MAX) {
		compile_fail(c, -E2BIG);
		return GRAM_END;
	}
	c->depth++;
	next = compile_kind(c, node, next);
	c->depth--;
	return next;
}

/* ---- bytes that nothing tells apart ---- */

static void find_classes(struct grammar *g)
{
	uint8_t inside[256], outside[256];
	unsigned int count = 1;

	for (size_t i = 0; i < g->set_count && count < 256; i++) {
		const struct gram_set *set = &g->sets[i];
		bool has_in[256] = { false }, has_out[256] = { false };
		unsigned int old = count;

		for (unsigned int byte = 0; byte < 256; byte++)
			(gram_set_has(set, (uint8_t)byte) ? has_in : has_out)[g->class_of[byte]] =
				true;
		for (unsigned int class = 0; class < old; class++) {
			outside[class] = (uint8_t)class;
			inside[class] = (uint8_t)(has_in[class] && has_out[class] ? count++ :
						  class);
		}
		for (unsigned int byte = 0; byte < 256 && count > old; byte++)
			if (gram_set_has(set, (uint8_t)byte))
				g->class_of[byte] = inside[g->class_of[byte]];
			else
				g->class_of[byte] = outside[g->class_of[byte]];
	}
	g->class_count = count;
	for (unsigned int byte = 0; byte < 256; byte++)
		g->byte_of[g->class_of[byte]] = (uint8_t)byte;
}

/* ---- all of it ---- */

static void free_names(struct grammar *g)
{
	for (size_t i = 0; g->names && i < g->rule_count; i++)
		free(g->names[i]);
	free(g->names);
	g->names = NULL;
}

struct grammar *gram_ref(struct grammar *grammar)
{
	atomic_fetch_add_explicit(&grammar->users, 1, memory_order_relaxed);
	return grammar;
}

void gram_free(struct grammar *grammar)
{
	/* whoever frees it sees all that the others have done with it */
	if (!grammar || atomic_fetch_sub_explicit(&grammar->users, 1, memory_order_acq_rel) > 1)
		return;
	free_names(grammar);
	free(grammar->entries);
	free(grammar->pos);
	free(grammar->sets);
	free(grammar);
}

size_t gram_bytes(const struct grammar *grammar)
{
	return sizeof(*grammar) + grammar->pos_count * sizeof(*grammar->pos) +
	       grammar->set_count * sizeof(*grammar->sets) +
	       (grammar->rule_count + 1) * sizeof(*grammar->entries);
}

/* what only errors need goes, and what arrays have grown by in advance */
static void compile_trim(struct grammar *g)
{
	void *pos = realloc(g->pos, MAX(g->pos_count, (size_t)1) * sizeof(*g->pos));
	void *sets = realloc(g->sets, MAX(g->set_count, (size_t)1) * sizeof(*g->sets));

	g->pos = pos ? pos : g->pos;
	g->sets = sets ? sets : g->sets;
	free_names(g);
}

static int compile_init(struct compile *c, size_t rule_count)
{
	struct grammar *g = c->g;

	hash_key_init(&c->key);
	c->set_slots = calloc(SET_SLOTS, sizeof(*c->set_slots));
	c->pos_slots = calloc(POS_SLOTS, sizeof(*c->pos_slots));
	g->entries = calloc(rule_count + 1, sizeof(*g->entries));
	g->names = calloc(rule_count + 1, sizeof(*g->names));
	if (!c->set_slots || !c->pos_slots || !g->entries || !g->names)
		return -ENOMEM;
	g->rule_count = rule_count;
	new_pos(c, GRAM_POS_END, GRAM_END, 0);
	return c->error;
}

static int compile_rules(struct compile *c, struct gram_build *build, struct error *error)
{
	for (size_t i = 0; i < build->rule_count; i++) {
		struct gram_rule *rule = &build->rules[i];

		if (rule->body == GRAM_NONE)
			return error_set(error, -EINVAL, "rule '%.80s' is not defined",
					 rule->name ?: "");
		c->g->entries[i] = compile_node(c, rule->body, GRAM_END);
		c->g->names[i] = steal_ptr(rule->name);
		if (c->error)
			break;
	}
	return c->error;
}

static struct grammar *gram_calloc(void)
{
	struct grammar *g = calloc(1, sizeof(*g));

	if (g)
		atomic_init(&g->users, 1);
	return g;
}

int gram_compile(struct grammar **ret, struct gram_build *build, uint32_t root,
		 struct error *error)
{
	_cleanup_(gram_freep) struct grammar *g = gram_calloc();
	_cleanup_(compile_done) struct compile c = { .build = build, .g = g };
	struct error why = { "" };
	int r = g ? build->error : -ENOMEM;

	if (!r)
		r = compile_init(&c, build->rule_count);
	if (!r)
		r = compile_rules(&c, build, &why);
	if (!r) {
		g->start = g->entries[root];
		find_classes(g);
		r = gram_check(g, &why);
	}
	if (*why.text)
		return error_set(error, r, "%s", why.text);
	if (r == -E2BIG)
		return error_set(error, r, "the grammar needs more than %u states",
				 GRAM_POSITIONS_MAX);
	if (r < 0)
		return error_set(error, r, "grammar: %s", strerror(-r));
	compile_trim(g);
	*ret = steal_ptr(g);
	return 0;
}
