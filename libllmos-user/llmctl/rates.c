/* SPDX-License-Identifier: MIT */
/*
 * Usage of a cgroup contains that of all below it. Its own processes are one more child of it, with
 * the default weight, as the broker has it.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "rates.h"

#define WEIGHT_DEFAULT	100
/* more levels than the kernel nests: a circle of parents ends here */
#define DEPTH_MAX	64

/**
 * struct node - a cgroup while shares are reckoned
 * @group: the later look
 * @parent: NULL: none that is known
 * @used: units since the earlier look
 * @requests: in flight and queued
 * @child_used: units of its children
 * @child_requests: of its children
 * @weights: of its children that want something
 */
struct node {
	const struct llmos_group *group;
	struct node *parent;
	double used;
	uint64_t requests;
	double child_used;
	uint64_t child_requests;
	double weights;
};

/** struct by_id - to find a node by the number of its cgroup */
struct by_id {
	uint64_t id;
	size_t index;
};

static int by_id_compare(const void *a, const void *b)
{
	const struct by_id *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct by_id *index_make(const struct llmos_groups *groups)
{
	struct by_id *index = calloc(groups->count + 1, sizeof(*index));
	size_t i;

	for (i = 0; index && i < groups->count; i++)
		index[i] = (struct by_id){ groups->groups[i].id, i };
	if (index)
		qsort(index, groups->count, sizeof(*index), by_id_compare);
	return index;
}

static const struct by_id *index_find(const struct by_id *index, size_t count, uint64_t id)
{
	struct by_id key = { .id = id };

	return bsearch(&key, index, count, sizeof(key), by_id_compare);
}

/* counters of a cgroup that was forgotten meanwhile begin anew */
static double grown(uint64_t before, uint64_t now)
{
	return now >= before ? (double)(now - before) : (double)now;
}

static void rate_begin(struct rate *rate, const struct llmos_group *before,
		       const struct llmos_group *now, double seconds)
{
	static const struct llmos_group zero;
	double dispatched;
	size_t i;

	if (!before)
		before = &zero;
	*rate = (struct rate){ .group = now, .share = NAN, .due = NAN, .wait = NAN };
	rate->tokens = grown(before->units, now->units) / 1000 / seconds;
	dispatched = grown(before->dispatched, now->dispatched);
	if (dispatched > 0)
		rate->wait = grown(before->queue_ns, now->queue_ns) / dispatched / 1e9;
	for (i = 0; i < now->memory_count; i++)
		rate->memory += now->memory[i].bytes;
}

/* ---- shares ---- */

static bool wants(const struct node *node)
{
	return node->requests || node->used > 0;
}

static void nodes_link(struct node *nodes, const struct rates *rates, const struct by_id *index)
{
	size_t i;

	for (i = 0; i < rates->count; i++) {
		const struct llmos_group *group = rates->rates[i].group;
		const struct by_id *above = index_find(index, rates->count, group->parent_id);

		nodes[i] = (struct node){
			.group = group,
			.parent = above && above->index != i ? &nodes[above->index] : NULL,
			.used = rates->rates[i].tokens,
			.requests = (uint64_t)group->in_flight + group->queued,
		};
	}
	for (i = 0; i < rates->count; i++) {
		struct node *parent = nodes[i].parent;

		if (!parent || !wants(&nodes[i]))
			continue;
		parent->child_used += nodes[i].used;
		parent->child_requests += nodes[i].requests;
		parent->weights += nodes[i].group->quota.weight;
	}
}

/* weights of all that share what @node gets */
static double weights_below(const struct node *node)
{
	/* rounding is no use of its own */
	bool own = node->requests > node->child_requests ||
		   node->used > node->child_used * 1.0001 + 0.001;

	return node->weights + (own ? WEIGHT_DEFAULT : 0);
}

static double node_due(const struct node *node)
{
	double due = 1, weights;
	int depth;

	if (!wants(node))
		return NAN;
	for (depth = 0; node->parent && depth < DEPTH_MAX; depth++) {
		weights = weights_below(node->parent);
		if (!(weights > 0))
			return NAN;
		due *= node->group->quota.weight / weights;
		node = node->parent;
	}
	return due;
}

static int shares_make(struct rates *rates, const struct by_id *index)
{
	struct node *nodes = calloc(rates->count + 1, sizeof(*nodes));
	size_t i;

	if (!nodes)
		return -ENOMEM;
	nodes_link(nodes, rates, index);
	for (i = 0; i < rates->count; i++)
		if (!nodes[i].parent)
			rates->tokens += rates->rates[i].tokens;
	for (i = 0; i < rates->count; i++) {
		if (rates->tokens > 0)
			rates->rates[i].share = rates->rates[i].tokens / rates->tokens;
		rates->rates[i].due = node_due(&nodes[i]);
	}
	free(nodes);
	return 0;
}

int rates_make(struct rates *ret, const struct llmos_groups *before, const struct llmos_groups *now,
	       double seconds)
{
	struct rates rates = { .count = now->count };
	struct by_id *index = index_make(now), *earlier = before ? index_make(before) : NULL;
	size_t i;
	int r = -ENOMEM;

	rates.rates = calloc(now->count + 1, sizeof(*rates.rates));
	if (rates.rates && index && (earlier || !before)) {
		for (i = 0; i < now->count; i++) {
			const struct by_id *was = before ? index_find(earlier, before->count,
								      now->groups[i].id) : NULL;

			rate_begin(&rates.rates[i], was ? &before->groups[was->index] : NULL,
				   &now->groups[i], seconds);
		}
		r = shares_make(&rates, index);
	}
	free(index);
	free(earlier);
	if (r < 0) {
		rates_done(&rates);
		return r;
	}
	*ret = rates;
	return 0;
}

void rates_done(struct rates *rates)
{
	free(rates->rates);
	*rates = (struct rates){ 0 };
}

/* ---- order ---- */

static int by_name(const struct rate *a, const struct rate *b)
{
	int r = strcmp(a->group->path, b->group->path);

	return r ? r : a->group->id < b->group->id ? -1 : a->group->id > b->group->id;
}

/* more comes first; what is not there comes last */
static int by_number(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return a > b ? -1 : a < b;
}

#define ORDER(name, a_value, b_value)					\
	static int order_##name(const void *a, const void *b)		\
	{								\
		const struct rate *x = a, *y = b;			\
		int r = by_number(a_value, b_value);			\
									\
		return r ? r : by_name(x, y);				\
	}

ORDER(requests, (double)x->group->in_flight + x->group->queued,
      (double)y->group->in_flight + y->group->queued)
ORDER(tokens, x->tokens, y->tokens)
ORDER(share, x->share, y->share)
ORDER(wait, x->wait, y->wait)
ORDER(memory, (double)x->memory, (double)y->memory)
ORDER(stalled, x->group->some.avg10, y->group->some.avg10)

static int order_cgroup(const void *a, const void *b)
{
	return by_name(a, b);
}

int rates_sort(struct rates *rates, const char *column)
{
	static const struct {
		const char *column;
		int (*order)(const void *a, const void *b);
	} orders[] = {
		{ "cgroup", order_cgroup }, { "requests", order_requests },
		{ "tokens", order_tokens }, { "share", order_share },
		{ "wait", order_wait },	    { "memory", order_memory },
		{ "stalled", order_stalled },
	};
	size_t i;

	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (strcmp(orders[i].column, column))
			continue;
		if (rates->count)
			qsort(rates->rates, rates->count, sizeof(*rates->rates), orders[i].order);
		return 0;
	}
	return -EINVAL;
}
