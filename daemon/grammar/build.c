/* SPDX-License-Identifier: MIT */
/* Expressions and rules; see build.h. */
#include "grammar/build.h"

#include <string.h>

#include "grammar/grow.h"

void gram_build_done(struct gram_build *build)
{
	for (size_t i = 0; i < build->rule_count; i++)
		free(build->rules[i].name);
	free(build->nodes);
	free(build->ranges);
	free(build->bytes);
	free(build->rules);
	*build = (struct gram_build){ 0 };
}

static void stick(struct gram_build *build, int r)
{
	if (!build->error)
		build->error = r;
}

static uint32_t add_node(struct gram_build *build, struct gram_node node)
{
	struct gram_node *nodes;

	if (build->error)
		return GRAM_NONE;
	if (build->node_count == GRAM_NODES_MAX) {
		stick(build, -E2BIG);
		return GRAM_NONE;
	}
	nodes = grow(build->nodes, &build->node_capacity, build->node_count + 1, sizeof(*nodes));
	if (!nodes) {
		stick(build, -ENOMEM);
		return GRAM_NONE;
	}
	build->nodes = nodes;
	node.last = GRAM_NONE;
	node.before = GRAM_NONE;
	nodes[build->node_count] = node;
	return (uint32_t)build->node_count++;
}

uint32_t gram_literal(struct gram_build *build, const char *bytes, size_t len)
{
	const uint32_t at = (uint32_t)build->byte_count;
	char *grown;

	if (build->error)
		return GRAM_NONE;
	grown = grow(build->bytes, &build->byte_capacity, build->byte_count + len + 1, 1);
	if (!grown) {
		stick(build, -ENOMEM);
		return GRAM_NONE;
	}
	build->bytes = grown;
	if (len)
		memcpy(grown + at, bytes, len);
	build->byte_count += len;
	if (build->byte_count > GRAM_NODES_MAX) {
		stick(build, -E2BIG);
		return GRAM_NONE;
	}
	return add_node(build, (struct gram_node){
		.kind = GRAM_LITERAL, .at = at, .count = (uint32_t)len });
}

uint32_t gram_text(struct gram_build *build, const char *text)
{
	return gram_literal(build, text, strlen(text));
}

uint32_t gram_class(struct gram_build *build, const struct gram_range *ranges, size_t count)
{
	const size_t at = build->range_count;
	struct gram_range *grown;

	if (build->error)
		return GRAM_NONE;
	if (at + count > GRAM_NODES_MAX) {
		stick(build, -E2BIG);
		return GRAM_NONE;
	}
	grown = grow(build->ranges, &build->range_capacity, at + count + 1, sizeof(*grown));
	if (!grown) {
		stick(build, -ENOMEM);
		return GRAM_NONE;
	}
	build->ranges = grown;
	if (count)
		memcpy(grown + at, ranges, count * sizeof(*ranges));
	build->range_count += count;
	return add_node(build, (struct gram_node){
		.kind = GRAM_CLASS, .at = (uint32_t)at, .count = (uint32_t)count });
}

uint32_t gram_range(struct gram_build *build, uint32_t first, uint32_t last)
{
	const struct gram_range range = { first, last };

	return gram_class(build, &range, 1);
}

uint32_t gram_use(struct gram_build *build, uint32_t rule)
{
	return add_node(build, (struct gram_node){ .kind = GRAM_RULE, .at = rule });
}

uint32_t gram_sequence(struct gram_build *build)
{
	return add_node(build, (struct gram_node){ .kind = GRAM_SEQUENCE });
}

uint32_t gram_choice(struct gram_build *build)
{
	return add_node(build, (struct gram_node){ .kind = GRAM_CHOICE });
}

void gram_add(struct gram_build *build, uint32_t list, uint32_t part)
{
	if (build->error || part == GRAM_NONE)
		return;
	build->nodes[part].before = build->nodes[list].last;
	build->nodes[list].last = part;
}

uint32_t gram_pair(struct gram_build *build, uint32_t first, uint32_t second)
{
	const uint32_t list = gram_sequence(build);

	gram_add(build, list, first);
	gram_add(build, list, second);
	return list;
}

uint32_t gram_repeat(struct gram_build *build, uint32_t part, uint32_t least, uint32_t most)
{
	const uint32_t node = add_node(build, (struct gram_node){
		.kind = GRAM_REPEAT, .at = least, .count = most });

	gram_add(build, node, part);
	return node;
}

uint32_t gram_maybe(struct gram_build *build, uint32_t part)
{
	return gram_repeat(build, part, 0, 1);
}

uint32_t gram_rule(struct gram_build *build, const char *name, size_t len)
{
	struct gram_rule *grown;

	if (build->error)
		return GRAM_NONE;
	grown = build->rule_count == GRAM_NODES_MAX ? NULL :
		grow(build->rules, &build->rule_capacity, build->rule_count + 1, sizeof(*grown));
	if (!grown) {
		stick(build, build->rule_count == GRAM_NODES_MAX ? -E2BIG : -ENOMEM);
		return GRAM_NONE;
	}
	build->rules = grown;
	grown += build->rule_count;
	*grown = (struct gram_rule){ .name = name ? strndup(name, len) : NULL, .body = GRAM_NONE };
	if (name && !grown->name) {
		stick(build, -ENOMEM);
		return GRAM_NONE;
	}
	return (uint32_t)build->rule_count++;
}

void gram_define(struct gram_build *build, uint32_t rule, uint32_t body)
{
	if (!build->error)
		build->rules[rule].body = body;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct gram_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

size_t gram_invert(const struct gram_range *ranges, size_t count, struct gram_range *to)
{
	struct gram_range *sorted = to + count + 2;	/* the second half */
	uint32_t next = 0;
	size_t n = 0;

	if (count)
		memcpy(sorted, ranges, count * sizeof(*ranges));
	qsort(sorted, count, sizeof(*sorted), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		if (sorted[i].first > next)
			to[n++] = (struct gram_range){ next, sorted[i].first - 1 };
		next = MAX(next, sorted[i].last + 1);
	}
	if (next <= GRAM_CODE_MAX)
		to[n++] = (struct gram_range){ next, GRAM_CODE_MAX };
	return n;
}
