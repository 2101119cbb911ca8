/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a grammar: rules that call themselves before they have taken a byte, and
 * positions from which nothing leads to the end. Time is linear in the number of positions.
 */
#include <string.h>

#include "grammar/program.h"

/**
 * struct check - scratch
 * @first: of each position: its first edge; edges lead from a position to those that depend on it
 * @edges: sorted by where they begin
 * @todo: positions to look at
 * @good: those of which it is known
 */
struct check {
	struct grammar *grammar;
	uint32_t *first;
	uint32_t *edges;
	uint32_t *todo;
	size_t todo_count;
	bool *good;
};

static void check_done(struct check *check)
{
	free(check->first);
	free(check->edges);
	free(check->todo);
	free(check->good);
}

/* on what a position depends: two others at most */
static unsigned int parts_of(const struct grammar *g, uint32_t at, uint32_t parts[2])
{
	const struct gram_pos *pos = &g->pos[at];

	switch (pos->kind) {
	case GRAM_POS_BYTE:
		parts[0] = pos->next;
		return 1;
	case GRAM_POS_SPLIT:
		parts[0] = pos->next;
		parts[1] = pos->arg;
		return 2;
	case GRAM_POS_CALL:
		parts[0] = pos->next;
		parts[1] = g->entries[pos->arg];
		return 2;
	default:
		return 0;
	}
}

static int find_edges(struct check *check)
{
	const struct grammar *g = check->grammar;
	uint32_t parts[2], sum = 0;

	check->first = calloc(g->pos_count + 2, sizeof(*check->first));
	check->edges = calloc(2 * g->pos_count, sizeof(*check->edges));
	check->todo = calloc(g->pos_count, sizeof(*check->todo));
	check->good = calloc(g->pos_count, sizeof(*check->good));
	if (!check->first || !check->edges || !check->todo || !check->good)
		return -ENOMEM;
	for (uint32_t at = 0; at < g->pos_count; at++)
		for (unsigned int n = parts_of(g, at, parts); n; n--)
			check->first[parts[n - 1] + 2]++;
	for (size_t at = 0; at <= g->pos_count; at++)
		sum = check->first[at + 1] += sum;
	for (uint32_t at = 0; at < g->pos_count; at++)
		for (unsigned int n = parts_of(g, at, parts); n; n--)
			check->edges[check->first[parts[n - 1] + 1]++] = at;
	return 0;
}

static void mark(struct check *check, uint32_t at)
{
	if (check->good[at])
		return;
	check->good[at] = true;
	check->todo[check->todo_count++] = at;
}

/* does it hold for a position whose parts are known? */
static bool holds(const struct check *check, uint32_t at, bool takes_bytes)
{
	const struct grammar *g = check->grammar;
	const struct gram_pos *pos = &g->pos[at];

	switch (pos->kind) {
	case GRAM_POS_BYTE: {
		const struct gram_set *set = &g->sets[pos->arg];

		return takes_bytes && check->good[pos->next] &&
		       (set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]);
	}
	case GRAM_POS_SPLIT:
		return check->good[pos->next] || check->good[pos->arg];
	case GRAM_POS_CALL:
		return check->good[pos->next] && check->good[g->entries[pos->arg]];
	default:
		return true;
	}
}

/* from which positions the end can be reached, with or without taking bytes */
static void find_good(struct check *check, bool takes_bytes)
{
	memset(check->good, 0, check->grammar->pos_count * sizeof(*check->good));
	check->todo_count = 0;
	mark(check, GRAM_END);
	while (check->todo_count) {
		const uint32_t at = check->todo[--check->todo_count];

		for (uint32_t i = check->first[at]; i < check->first[at + 1]; i++)
			if (holds(check, check->edges[i], takes_bytes))
				mark(check, check->edges[i]);
	}
}

/* ---- left recursion: a circle of steps that take no byte, one of which is a call ---- */

/**
 * struct circle - Tarjan's search for strongly connected components, without recursion
 * @index: of each position: when it was met, from 1 on
 * @low: the earliest that it leads to
 * @group: its component, 0: none yet
 * @open: met, and in no component yet
 * @path: where the search is, and @step: which of its parts is next
 */
struct circle {
	uint32_t *index;
	uint32_t *low;
	uint32_t *group;
	uint32_t *open;
	uint32_t *path;
	uint8_t *step;
	uint32_t last_index;
	uint32_t last_group;
	size_t open_count;
	size_t path_count;
};

static void circle_done(struct circle *c)
{
	free(c->index);
	free(c->low);
	free(c->group);
	free(c->open);
	free(c->path);
	free(c->step);
}

static int circle_init(struct circle *c, size_t count)
{
	c->index = calloc(count, sizeof(*c->index));
	c->low = calloc(count, sizeof(*c->low));
	c->group = calloc(count, sizeof(*c->group));
	c->open = calloc(count, sizeof(*c->open));
	c->path = calloc(count, sizeof(*c->path));
	c->step = calloc(count, sizeof(*c->step));
	return c->index && c->low && c->group && c->open && c->path && c->step ? 0 : -ENOMEM;
}

/* where a step without a byte leads; @empty: positions from which such steps lead to the end */
static unsigned int steps_of(const struct grammar *g, const bool *empty, uint32_t at,
			     uint32_t steps[2])
{
	const struct gram_pos *pos = &g->pos[at];
	unsigned int n = 0;

	if (pos->kind == GRAM_POS_SPLIT) {
		steps[n++] = pos->next;
		steps[n++] = pos->arg;
	} else if (pos->kind == GRAM_POS_CALL) {
		steps[n++] = g->entries[pos->arg];
		if (empty[steps[0]])
			steps[n++] = pos->next;
	}
	return n;
}

static void circle_enter(struct circle *c, uint32_t at)
{
	c->index[at] = c->low[at] = ++c->last_index;
	c->open[c->open_count++] = at;
	c->step[c->path_count] = 0;
	c->path[c->path_count++] = at;
}

static void circle_leave(struct circle *c)
{
	const uint32_t at = c->path[--c->path_count];

	if (c->low[at] == c->index[at]) {
		c->last_group++;
		do {
			c->group[c->open[--c->open_count]] = c->last_group;
		} while (c->open[c->open_count] != at);
	}
	if (c->path_count) {
		const uint32_t before = c->path[c->path_count - 1];

		c->low[before] = MIN(c->low[before], c->low[at]);
	}
}

static void circle_search(struct circle *c, const struct grammar *g, const bool *empty,
			  uint32_t from)
{
	circle_enter(c, from);
	while (c->path_count) {
		const uint32_t at = c->path[c->path_count - 1];
		uint32_t steps[2];

		if (c->step[c->path_count - 1] == steps_of(g, empty, at, steps)) {
			circle_leave(c);
			continue;
		}
		from = steps[c->step[c->path_count - 1]++];
		if (!c->index[from])
			circle_enter(c, from);
		else if (!c->group[from])
			c->low[at] = MIN(c->low[at], c->index[from]);
	}
}

static int check_left(const struct grammar *g, const bool *empty, struct error *error)
{
	struct circle c = { 0 };
	int r = circle_init(&c, g->pos_count);

	for (uint32_t at = 0; !r && at < g->pos_count; at++)
		if (!c.index[at])
			circle_search(&c, g, empty, at);
	for (uint32_t at = 0; !r && at < g->pos_count; at++) {
		const uint32_t rule = g->pos[at].arg;
		const char *name;

		if (g->pos[at].kind != GRAM_POS_CALL ||
		    c.group[at] != c.group[g->entries[rule]])
			continue;
		name = g->names[rule];
		r = error_set(error, -EINVAL,
			      name ? "rule '%.80s' begins with itself: left recursion is not supported" :
				     "%sa part begins with itself", name ?: "");
	}
	circle_done(&c);
	return r < 0 && r != -EINVAL ? error_set(error, r, "grammar: %s", strerror(-r)) : r;
}

int gram_check(struct grammar *grammar, struct error *error)
{
	_cleanup_(check_done) struct check check = { .grammar = grammar };
	int r;

	r = find_edges(&check);
	if (r < 0)
		return error_set(error, r, "grammar: %s", strerror(-r));
	find_good(&check, true);
	for (size_t i = 0; i < grammar->pos_count; i++)
		grammar->pos[i].is_dead = !check.good[i];
	if (!check.good[grammar->start])
		return error_set(error, -EINVAL, "no answer that ends matches the grammar");
	find_good(&check, false);
	return check_left(grammar, check.good, error);
}
