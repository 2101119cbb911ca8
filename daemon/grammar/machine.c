/* SPDX-License-Identifier: MIT */
/* States of an answer in its grammar; see machine.h. */
#include "grammar/machine.h"

#include <string.h>

#include "grammar/grow.h"

/* bounds since the last reset: see GRAM_MACHINE_BYTES_MAX, and about 0.1 s */
#define STATES_MAX	(1U << 15)
#define ITEMS_MAX	(1U << 19)
#define WAYS_MAX	(1U << 21)
#define STACKS_MAX	(1U << 17)
#define ENTRIES_MAX	(1U << 19)
#define TODO_MAX	(1U << 19)
#define WORK_MAX	(1U << 22)
#define STEP_MAX	GRAM_POSITIONS_MAX	/* items that one step adds before it is looked */

#define STATE_SLOTS	(2 * STATES_MAX)
#define STACK_SLOTS	(2 * STACKS_MAX)
#define UNIONS_MAX	(1U << 12)	/* that a step remembers */
#define UNION_SLOTS	(2 * UNIONS_MAX)
#define STACK_BOTTOM	0U	/* the stack that is empty */

/* ---- arrays ---- */

/* room for @count more; NULL: there is none */
static void *array_room(struct gram_array *array, size_t count, size_t element_bytes)
{
	void *memory = grow_to(array->memory, &array->capacity, array->count + count, array->most,
			       element_bytes);

	if (!memory)
		return NULL;
	array->memory = memory;
	return (char *)memory + array->count * element_bytes;
}

static int array_add(struct gram_array *array, struct gram_item item)
{
	struct gram_item *room = array_room(array, 1, sizeof(*room));

	if (!room)
		return -ENOMEM;
	*room = item;
	array->count++;
	return 0;
}

static struct gram_item *items_at(const struct gram_array *array, size_t index)
{
	return array->memory ? (struct gram_item *)array->memory + index : NULL;
}

static struct gram_stack *stack_at(const struct gram_machine *m, uint32_t stack)
{
	return (struct gram_stack *)m->stacks.memory + stack;
}

static bool items_equal(const struct gram_item *a, const struct gram_item *b, size_t count)
{
	return !count || !memcmp(a, b, count * sizeof(*a));
}

/* ---- stacks, each set once ---- */

/**
 * stack_intern() - the number of a set of stacks
 * @first: of its entries, the last ones of m->entries; taken back if it is there already
 */
static int stack_intern(struct gram_machine *m, size_t first, bool has_bottom, uint32_t *ret)
{
	const uint32_t count = (uint32_t)(m->entries.count - first);
	const struct gram_item *entries = items_at(&m->entries, first);
	uint64_t hash = hash_bytes(&m->key, entries, count * sizeof(*entries)) + has_bottom;
	uint32_t slot = (uint32_t)(hash % STACK_SLOTS), depth = 0;
	struct gram_stack *stack;

	for (; m->stack_slots[slot]; slot = (slot + 1) % STACK_SLOTS) {
		stack = stack_at(m, m->stack_slots[slot] - 1);
		if (stack->entry_count == count && stack->has_bottom == has_bottom &&
		    items_equal(items_at(&m->entries, stack->entries), entries, count)) {
			m->entries.count = first;
			*ret = m->stack_slots[slot] - 1;
			return 0;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		depth = MAX(depth, stack_at(m, entries[i].stack)->depth + 1);
	if (m->stacks.count == STACKS_MAX)
		return -ENOBUFS;
	stack = array_room(&m->stacks, 1, sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	*stack = (struct gram_stack){ (uint32_t)first, count, depth, has_bottom };
	*ret = (uint32_t)m->stacks.count++;
	m->stack_slots[slot] = *ret + 1;
	return 0;
}

static int stack_push(struct gram_machine *m, uint32_t pos, uint32_t below, uint32_t *ret)
{
	const size_t first = m->entries.count;
	int r = array_add(&m->entries, (struct gram_item){ pos, below });

	return r < 0 ? r : stack_intern(m, first, false, ret);
}

static int work_done(struct gram_machine *m, uint64_t steps)
{
	m->work += steps;
	return m->work > WORK_MAX || m->items.count > ITEMS_MAX ||
	       m->entries.count > ENTRIES_MAX || m->todo.count > TODO_MAX ? -ENOBUFS : 0;
}

/* the slot of a union that this step has found, or the one for it */
static struct gram_union *union_slot(const struct gram_machine *m, uint32_t a, uint32_t b)
{
	const uint32_t pair[] = { MIN(a, b), MAX(a, b) };
	uint32_t slot = (uint32_t)(hash_bytes(&m->key, pair, sizeof(pair)) % UNION_SLOTS);

	while (m->unions[slot].step == m->step &&
	       (m->unions[slot].a != pair[0] || m->unions[slot].b != pair[1]))
		slot = (slot + 1) % UNION_SLOTS;
	return &m->unions[slot];
}

static void union_keep(struct gram_machine *m, uint32_t a, uint32_t b, uint32_t both)
{
	if (m->union_count == UNIONS_MAX)
		return;
	m->union_count++;
	*union_slot(m, a, b) = (struct gram_union){ MIN(a, b), MAX(a, b), both, m->step };
}

/* those of another step are forgotten: what a step costs must not depend on what was before */
static void union_begin(struct gram_machine *m)
{
	m->step++;
	m->union_count = 0;
}

/*
 * stack_union() - the stacks of both; as deep as they are
 *
 * Without those that the step has made before, stacks that share what is below them at each level
 * would take as long as all ways through them.
 *
 * What is below is united before the entries are written, for that needs the end of m->entries
 * itself. Where both have the same position on top, the result stands in @todo meanwhile.
 */
static int stack_union(struct gram_machine *m, uint32_t a, uint32_t b, uint32_t *ret)
{
	const struct gram_stack x = *stack_at(m, a), y = *stack_at(m, b);
	const size_t kept = m->todo.count;
	const struct gram_union *found;
	uint32_t i = 0, j = 0;
	size_t first;
	int r = 0;

	if (a == b) {
		*ret = a;
		return 0;
	}
	found = union_slot(m, a, b);
	if (found->step == m->step) {
		*ret = found->both;
		return work_done(m, 1);
	}
	while (!r && (i < x.entry_count || j < y.entry_count)) {
		const struct gram_item *left = items_at(&m->entries, x.entries + i);
		const struct gram_item *right = items_at(&m->entries, y.entries + j);
		struct gram_item both;

		if (j == y.entry_count || (i < x.entry_count && left->pos < right->pos)) {
			both = *left;
			i++;
		} else if (i == x.entry_count || right->pos < left->pos) {
			both = *right;
			j++;
		} else {
			both.pos = left->pos;
			r = stack_union(m, left->stack, right->stack, &both.stack);
			i++;
			j++;
		}
		if (!r)
			r = array_add(&m->todo, both);
		if (!r)
			r = work_done(m, 1);
	}
	first = m->entries.count;
	for (size_t k = kept; !r && k < m->todo.count; k++)
		r = array_add(&m->entries, *items_at(&m->todo, k));
	m->todo.count = kept;
	if (!r)
		r = stack_intern(m, first, x.has_bottom || y.has_bottom, ret);
	if (!r)
		union_keep(m, a, b, *ret);
	return r;
}

/* ---- making a state: all positions that are reached without a byte ---- */

/* a position is reached with these stacks, perhaps with others before */
static int open_add(struct gram_machine *m, uint32_t pos, uint32_t stack)
{
	struct gram_item *item;
	uint32_t both;
	int r = work_done(m, 1);

	if (r < 0 || m->grammar->pos[pos].is_dead)
		return r;
	if (!m->at[pos]) {
		r = array_add(&m->open, (struct gram_item){ pos, stack });
		if (r < 0)
			return r;
		m->at[pos] = (uint32_t)m->open.count;
		return array_add(&m->todo, (struct gram_item){ pos, 0 });
	}
	item = items_at(&m->open, m->at[pos] - 1);
	r = stack_union(m, item->stack, stack, &both);
	if (r < 0 || both == item->stack)
		return r;
	item->stack = both;
	return array_add(&m->todo, (struct gram_item){ pos, 0 });
}

static int open_call(struct gram_machine *m, const struct gram_pos *pos, uint32_t stack)
{
	const uint32_t entry = m->grammar->entries[pos->arg];
	int r;

	/* who has nothing to do afterwards need not be returned to */
	if (pos->next == GRAM_END)
		return open_add(m, entry, stack);
	if (stack_at(m, stack)->depth >= GRAM_DEPTH_MAX)
		return 0;
	r = stack_push(m, pos->next, stack, &stack);
	return r < 0 ? r : open_add(m, entry, stack);
}

static int open_return(struct gram_machine *m, uint32_t stack)
{
	const struct gram_stack top = *stack_at(m, stack);
	int r = 0;

	for (uint32_t i = 0; !r && i < top.entry_count; i++) {
		const struct gram_item entry = *items_at(&m->entries, top.entries + i);

		r = open_add(m, entry.pos, entry.stack);
	}
	return r;
}

static int open_follow(struct gram_machine *m)
{
	int r = 0;

	while (!r && m->todo.count) {
		const uint32_t at = items_at(&m->todo, --m->todo.count)->pos;
		const struct gram_pos *pos = &m->grammar->pos[at];
		const uint32_t stack = items_at(&m->open, m->at[at] - 1)->stack;

		switch (pos->kind) {
		case GRAM_POS_END:
			r = open_return(m, stack);
			break;
		case GRAM_POS_SPLIT:
			r = open_add(m, pos->next, stack);
			if (!r)
				r = open_add(m, pos->arg, stack);
			break;
		case GRAM_POS_CALL:
			r = open_call(m, pos, stack);
			break;
		}
	}
	return r;
}

static int compare_items(const void *a, const void *b)
{
	const struct gram_item *x = a, *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

static int state_intern(struct gram_machine *m, size_t first, bool accepts, uint32_t *ret)
{
	const uint32_t count = (uint32_t)(m->items.count - first);
	const struct gram_item *items = items_at(&m->items, first);
	uint64_t hash = hash_bytes(&m->key, items, count * sizeof(*items)) + accepts;
	uint32_t slot = (uint32_t)(hash % STATE_SLOTS);
	struct gram_state *state;

	for (; m->state_slots[slot]; slot = (slot + 1) % STATE_SLOTS) {
		state = (struct gram_state *)m->states.memory + m->state_slots[slot] - 1;
		if (state->item_count == count && state->accepts == accepts &&
		    items_equal(items_at(&m->items, state->items), items, count)) {
			m->items.count = first;
			*ret = m->state_slots[slot] - 1;
			return 0;
		}
	}
	if (m->states.count == STATES_MAX)
		return -ENOBUFS;
	state = array_room(&m->states, 1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	*state = (struct gram_state){ (uint32_t)first, count, GRAM_UNKNOWN, accepts };
	*ret = (uint32_t)m->states.count++;
	m->state_slots[slot] = *ret + 1;
	return 0;
}

/* of what is open, those that take a byte are the state */
static int state_make(struct gram_machine *m, uint32_t *ret)
{
	const size_t first = m->items.count;
	bool accepts = false;
	int r = 0;

	for (size_t i = 0; !r && i < m->open.count; i++) {
		const struct gram_item item = *items_at(&m->open, i);

		switch (m->grammar->pos[item.pos].kind) {
		case GRAM_POS_BYTE:
			r = array_add(&m->items, item);
			break;
		case GRAM_POS_END:
			accepts = stack_at(m, item.stack)->has_bottom;
			break;
		}
	}
	if (r < 0)
		return r;
	if (m->items.count > first)
		qsort(items_at(&m->items, first), m->items.count - first,
		      sizeof(struct gram_item), compare_items);
	return state_intern(m, first, accepts, ret);
}

static void open_clear(struct gram_machine *m)
{
	for (size_t i = 0; i < m->open.count; i++)
		m->at[items_at(&m->open, i)->pos] = 0;
	m->open.count = 0;
	m->todo.count = 0;
}

/* ---- steps ---- */

static int find_ways(struct gram_machine *m, struct gram_state *state)
{
	const unsigned int count = m->grammar->class_count;
	uint32_t *ways;

	if (state->ways != GRAM_UNKNOWN)
		return 0;
	if (m->ways.count + count > WAYS_MAX)
		return -ENOBUFS;
	ways = array_room(&m->ways, count, sizeof(*ways));
	if (!ways)
		return -ENOMEM;
	memset(ways, 0xff, count * sizeof(*ways));
	state->ways = (uint32_t)m->ways.count;
	m->ways.count += count;
	return 0;
}

int gram_machine_find(struct gram_machine *m, uint32_t state, unsigned int class, uint32_t *ret)
{
	const struct grammar *g = m->grammar;
	struct gram_state from;
	int r = find_ways(m, (struct gram_state *)m->states.memory + state);

	if (r < 0)
		return r;
	from = *gram_state(m, state);
	union_begin(m);
	for (uint32_t i = 0; !r && i < from.item_count; i++) {
		const struct gram_item item = *items_at(&m->items, from.items + i);
		const struct gram_pos *pos = &g->pos[item.pos];

		if (gram_set_has(&g->sets[pos->arg], g->byte_of[class]))
			r = open_add(m, pos->next, item.stack);
		else
			r = work_done(m, 1);
	}
	if (!r)
		r = open_follow(m);
	if (!r)
		r = state_make(m, ret);
	open_clear(m);
	if (r < 0)
		return r;
	((uint32_t *)m->ways.memory)[from.ways + class] = *ret;
	return 0;
}

/* ---- life ---- */

/* nothing but the empty stack, and the state without items */
static int clear(struct gram_machine *m)
{
	uint32_t number;
	int r;

	memset(m->state_slots, 0, STATE_SLOTS * sizeof(*m->state_slots));
	memset(m->stack_slots, 0, STACK_SLOTS * sizeof(*m->stack_slots));
	m->states.count = m->items.count = m->ways.count = 0;
	m->stacks.count = m->entries.count = 0;
	memset(m->unions, 0, UNION_SLOTS * sizeof(*m->unions));
	m->step = 0;
	m->work = 0;
	r = stack_intern(m, 0, true, &number);
	return r < 0 ? r : state_intern(m, 0, false, &number);
}

int gram_machine_init(struct gram_machine *m, const struct grammar *grammar, uint32_t *ret_start)
{
	int r;

	*m = (struct gram_machine){
		.grammar = grammar,
		.states.most = STATES_MAX,
		.items.most = ITEMS_MAX + STEP_MAX,
		.ways.most = WAYS_MAX,
		.stacks.most = STACKS_MAX,
		.entries.most = ENTRIES_MAX + STEP_MAX,
		.open.most = GRAM_POSITIONS_MAX,
		.todo.most = TODO_MAX + STEP_MAX,
	};
	hash_key_init(&m->key);
	m->state_slots = calloc(STATE_SLOTS, sizeof(*m->state_slots));
	m->stack_slots = calloc(STACK_SLOTS, sizeof(*m->stack_slots));
	m->unions = calloc(UNION_SLOTS, sizeof(*m->unions));
	m->at = calloc(grammar->pos_count, sizeof(*m->at));
	if (!m->state_slots || !m->stack_slots || !m->unions || !m->at)
		return -ENOMEM;
	r = clear(m);
	union_begin(m);
	if (!r)
		r = open_add(m, grammar->start, STACK_BOTTOM);
	if (!r)
		r = open_follow(m);
	if (!r)
		r = state_make(m, ret_start);
	open_clear(m);
	return r;
}

void gram_machine_done(struct gram_machine *m)
{
	free(m->state_slots);
	free(m->stack_slots);
	free(m->unions);
	free(m->at);
	free(m->states.memory);
	free(m->items.memory);
	free(m->ways.memory);
	free(m->stacks.memory);
	free(m->entries.memory);
	free(m->open.memory);
	free(m->todo.memory);
	*m = (struct gram_machine){ 0 };
}

static size_t array_bytes(const struct gram_array *array, size_t element_bytes)
{
	return array->capacity * element_bytes;
}

size_t gram_machine_bytes(const struct gram_machine *m)
{
	return (STATE_SLOTS + STACK_SLOTS + m->grammar->pos_count) * sizeof(uint32_t) +
	       UNION_SLOTS * sizeof(struct gram_union) +
	       array_bytes(&m->states, sizeof(struct gram_state)) +
	       array_bytes(&m->ways, sizeof(uint32_t)) +
	       array_bytes(&m->stacks, sizeof(struct gram_stack)) +
	       array_bytes(&m->items, sizeof(struct gram_item)) +
	       array_bytes(&m->entries, sizeof(struct gram_item)) +
	       array_bytes(&m->open, sizeof(struct gram_item)) +
	       array_bytes(&m->todo, sizeof(struct gram_item));
}

bool gram_machine_is_full(const struct gram_machine *m)
{
	return m->states.count > STATES_MAX / 2 || m->items.count > ITEMS_MAX / 2 ||
	       m->ways.count > WAYS_MAX / 2 || m->stacks.count > STACKS_MAX / 2 ||
	       m->entries.count > ENTRIES_MAX / 2 || m->work > WORK_MAX / 2;
}

/* ---- a reset: what one state needs is copied from the old arrays ---- */

/**
 * struct move - old stacks, and their new numbers
 * @to: of each old one: its new number + 1
 */
struct move {
	struct gram_array stacks;
	struct gram_array entries;
	uint32_t *to;
};

/*
 * Stacks were numbered after those they are made of, so going up finds these moved. Those that the
 * state does not need are not marked.
 */
static int move_stacks(struct gram_machine *m, struct move *old)
{
	const struct gram_stack *stacks = old->stacks.memory;
	int r = 0;

	for (size_t i = old->stacks.count; i-- > 0;)
		for (uint32_t k = 0; old->to[i] && k < stacks[i].entry_count; k++)
			old->to[items_at(&old->entries, stacks[i].entries + k)->stack] = 1;
	for (size_t i = 0; !r && i < old->stacks.count; i++) {
		const size_t first = m->entries.count;
		uint32_t number;

		if (!old->to[i])
			continue;
		for (uint32_t k = 0; !r && k < stacks[i].entry_count; k++) {
			struct gram_item entry = *items_at(&old->entries, stacks[i].entries + k);

			entry.stack = old->to[entry.stack] - 1;
			r = array_add(&m->entries, entry);
		}
		if (!r)
			r = stack_intern(m, first, stacks[i].has_bottom, &number);
		if (!r)
			old->to[i] = number + 1;
	}
	return r;
}

static int move_state(struct gram_machine *m, struct move *old, const struct gram_state *from,
		      const struct gram_item *items, uint32_t *state)
{
	int r;

	for (uint32_t i = 0; i < from->item_count; i++)
		old->to[items[i].stack] = 1;
	r = clear(m);
	if (!r)
		r = move_stacks(m, old);
	for (uint32_t i = 0; !r && i < from->item_count; i++)
		r = array_add(&m->items, (struct gram_item){ items[i].pos,
							     old->to[items[i].stack] - 1 });
	return r < 0 ? r : state_intern(m, 0, from->accepts, state);
}

int gram_machine_reset(struct gram_machine *m, uint32_t *state)
{
	const struct gram_state from = *gram_state(m, *state);
	struct gram_item *items = calloc(from.item_count + 1, sizeof(*items));
	struct move old = { .stacks = m->stacks, .entries = m->entries };
	int r = -ENOMEM;

	old.to = calloc(old.stacks.count, sizeof(*old.to));
	if (items && old.to) {
		if (from.item_count)
			memcpy(items, items_at(&m->items, from.items),
			       from.item_count * sizeof(*items));
		m->stacks = (struct gram_array){ .most = STACKS_MAX };
		m->entries = (struct gram_array){ .most = ENTRIES_MAX + STEP_MAX };
		r = move_state(m, &old, &from, items, state);
		free(old.stacks.memory);
		free(old.entries.memory);
	}
	free(old.to);
	free(items);
	return r;
}
