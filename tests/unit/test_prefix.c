/* SPDX-License-Identifier: MIT */
/*
 * The prefix store against a model of it that is as plain as can be: a list of entries, each with
 * the whole text that leads to it. What is found, what is dropped and in which order, who pays,
 * and that no domain sees, or loses its share to, another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "engine/prefix.h"

#define PAGES		48
#define DEPTH		6	/* pages of a text at most */
#define SYMBOLS		3	/* what a page of text can be */
#define DOMAINS		5
#define PAYERS		3
#define WALKERS		4	/* sequences at once */
#define SEEDS		40
#define OPERATIONS	3000

/* ---- what both are driven by ---- */

static const int sources[2];

#define ADAPTED		DOMAINS	/* these are domain 1, with adapters */

static const struct engine_domain domains[DOMAINS + 3] = {
	{ .source = &sources[0], .group = 7, .user = 1000 },
	{ .source = &sources[0], .group = 7, .user = 1001 },
	{ .source = &sources[0], .group = 8, .user = 1000 },
	{ .source = &sources[1], .group = 7, .user = 1000 },
	{ .source = &sources[0], .group = 7, .user = UINT32_MAX },
	{ .source = &sources[0], .group = 7, .user = 1001, .adapters = { { 7, 1 } } },
	{ .source = &sources[0], .group = 7, .user = 1001, .adapters = { { 7, 2 } } },
	{ .source = &sources[0], .group = 7, .user = 1001, .adapters = { { 7, 1 }, { 8, 1 } } },
};

static struct engine_payer payer_at(unsigned int i)
{
	return (struct engine_payer){ (void *)&sources[i / 2], 70 + i };
}

static uint64_t dice;

static unsigned int roll(unsigned int n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n;
}

/* pages of different symbols differ in their last token alone */
static void text_of(uint32_t *tokens, unsigned int symbol)
{
	for (unsigned int i = 0; i < KV_PAGE_TOKENS; i++)
		tokens[i] = i;
	tokens[KV_PAGE_TOKENS - 1] = 100 + symbol;
}

/* ---- the model ---- */

struct entry {
	bool is_kept;
	unsigned int domain;
	unsigned int depth;		/* symbols of its text, itself included */
	unsigned char text[DEPTH];
	unsigned int payer;
	unsigned int users;
	uint64_t idle_since;		/* 0: it is used */
};

struct walker {
	bool is_walking;
	unsigned int domain;
	unsigned int depth;
	unsigned char text[DEPTH];
	uint32_t pages[DEPTH];
};

static struct {
	struct kv kv;
	struct prefix prefix;
	struct entry entries[PAGES];	/* by number of their page */
	struct walker walkers[WALKERS];
	uint64_t active_since[DOMAINS];	/* 0: keeps nothing */
	uint64_t clock;
	size_t paid[PAYERS];		/* pages, by the model */
	size_t told[PAYERS];		/* pages that were dropped, as the store told */
	size_t kept[PAYERS];		/* pages that it was given to keep */
} t;

static void on_dropped(void *arg, const struct engine_payer *payer, size_t bytes)
{
	assert_ptr_equal(arg, &t);
	assert_int_equal(bytes, t.kv.page_bytes);
	t.told[payer->group - 70]++;
}

static void open_store(uint32_t limit)
{
	const struct kern_kv form = kv_form(KERN_F16, 8);

	memset(&t, 0, sizeof(t));
	assert_int_equal(kv_open(&t.kv, PAGES, 1, 1, &form), 0);
	assert_int_equal(prefix_open(&t.prefix, &t.kv, limit), 0);
	t.prefix.dropped = on_dropped;
	t.prefix.dropped_arg = &t;
}

static void close_store(void)
{
	prefix_close(&t.prefix);
	kv_close(&t.kv);
}

static unsigned int model_count(unsigned int domain)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		count += t.entries[i].is_kept &&
			 (domain == DOMAINS || t.entries[i].domain == domain);
	return count;
}

static struct entry *model_find(unsigned int domain, const unsigned char *text, unsigned int depth)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		struct entry *e = &t.entries[i];

		if (e->is_kept && e->domain == domain && e->depth == depth &&
		    !memcmp(e->text, text, depth))
			return e;
	}
	return NULL;
}

static struct entry *model_oldest(unsigned int domain)
{
	struct entry *oldest = NULL;

	for (unsigned int i = 0; i < PAGES; i++) {
		struct entry *e = &t.entries[i];

		if (e->is_kept && e->domain == domain && e->idle_since &&
		    (!oldest || e->idle_since < oldest->idle_since))
			oldest = e;
	}
	return oldest;
}

/* of those with something idle; of equals, who has been keeping for longest */
static int model_largest(void)
{
	int largest = -1;

	for (unsigned int i = 0; i < DOMAINS; i++) {
		if (!model_oldest(i))
			continue;
		if (largest < 0 || model_count(i) > model_count(largest) ||
		    (model_count(i) == model_count(largest) &&
		     t.active_since[i] < t.active_since[largest]))
			largest = i;
	}
	return largest;
}

static void model_drop(struct entry *entry)
{
	unsigned int domain = entry->domain;

	assert_int_equal(entry->users, 0);
	t.paid[entry->payer]--;
	entry->is_kept = false;
	if (!model_count(domain))
		t.active_since[domain] = 0;
}

/* Return: there is room for one more of that domain */
static bool model_make_room(unsigned int domain)
{
	unsigned int active = !t.active_since[domain];
	int largest = model_largest();

	if (model_count(DOMAINS) < t.prefix.limit)
		return true;
	for (unsigned int i = 0; i < DOMAINS; i++)
		active += t.active_since[i] > 0;
	if (largest >= 0 && model_count(largest) > model_count(domain) + 1 &&
	    model_count(largest) > t.prefix.limit / active)
		model_drop(model_oldest(largest));
	else if (model_oldest(domain))
		model_drop(model_oldest(domain));
	else
		return false;
	return true;
}

/* both say the same of everything */
static void compare(void)
{
	uint32_t tokens[KV_PAGE_TOKENS], held = 0, used = 0;

	assert_true(prefix_check(&t.prefix));
	assert_int_equal(t.prefix.count, model_count(DOMAINS));
	for (unsigned int i = 0; i < PAGES; i++) {
		const struct entry *e = &t.entries[i], *parent;

		if (!e->is_kept)
			continue;
		parent = model_find(e->domain, e->text, e->depth - 1);
		text_of(tokens, e->text[e->depth - 1]);
		for (unsigned int d = 0; d < DOMAINS; d++) {
			uint32_t found = prefix_find(&t.prefix, &domains[d], e->depth > 1 ?
						     parent - t.entries : KV_PAGE_NONE, tokens);

			if (d == e->domain)
				assert_int_equal(found, i);
			else if (e->depth > 1)
				assert_int_equal(found, KV_PAGE_NONE);
			else
				assert_true(found == KV_PAGE_NONE ||
					    t.entries[found].domain == d);
		}
		used += e->users > 0;
		held++;
	}
	assert_int_equal(t.prefix.idle_count, held - used);
	for (unsigned int i = 0; i < WALKERS; i++)
		for (unsigned int j = 0; t.walkers[i].is_walking && j < t.walkers[i].depth; j++)
			held += !t.entries[t.walkers[i].pages[j]].is_kept;
	assert_int_equal(t.kv.free_count, PAGES - held);
	for (unsigned int i = 0; i < PAYERS; i++)
		assert_int_equal(t.kept[i] - t.told[i], t.paid[i]);
}

/* ---- what sequences do ---- */

static void walker_use(struct walker *w, struct entry *entry)
{
	prefix_use(&t.prefix, entry - t.entries);
	entry->users++;
	entry->idle_since = 0;
	w->pages[w->depth++] = entry - t.entries;
}

static uint32_t walker_last(const struct walker *w)
{
	return w->depth ? w->pages[w->depth - 1] : KV_PAGE_NONE;
}

static void walker_begin(struct walker *w)
{
	uint32_t tokens[KV_PAGE_TOKENS], found;
	struct entry *entry;

	*w = (struct walker){ .is_walking = true, .domain = roll(DOMAINS) };
	for (unsigned int i = 0; i < DEPTH; i++)
		w->text[i] = roll(SYMBOLS);
	while (w->depth < DEPTH) {
		entry = model_find(w->domain, w->text, w->depth + 1);
		text_of(tokens, w->text[w->depth]);
		found = prefix_find(&t.prefix, &domains[w->domain], walker_last(w), tokens);
		assert_int_equal(found, entry ? entry - t.entries : KV_PAGE_NONE);
		if (!entry)
			break;
		walker_use(w, entry);
	}
}

/* one page more, computed and kept; or another one has kept the same meanwhile */
static void walker_keep(struct walker *w)
{
	const struct engine_payer payer = payer_at(roll(PAYERS));
	uint32_t tokens[KV_PAGE_TOKENS], page;
	struct entry *entry;
	bool fits;

	if (w->depth == DEPTH || (w->depth && !t.entries[walker_last(w)].is_kept))
		return;
	entry = model_find(w->domain, w->text, w->depth + 1);
	if (entry) {
		walker_use(w, entry);
		return;
	}
	if (!t.kv.free_count) {
		int largest = model_largest();

		assert_int_equal(prefix_evict(&t.prefix), largest >= 0);
		if (largest < 0)
			return;
		model_drop(model_oldest(largest));
	}
	page = kv_take(&t.kv);
	text_of(tokens, w->text[w->depth]);
	fits = model_make_room(w->domain);
	assert_int_equal(prefix_keep(&t.prefix, &domains[w->domain], &payer, walker_last(w), tokens,
				     page), fits);
	w->pages[w->depth++] = page;
	if (!fits)
		return;
	if (!roll(8)) {
		prefix_unkeep(&t.prefix, page);
		return;
	}
	t.entries[page] = (struct entry){
		.is_kept = true, .domain = w->domain, .depth = w->depth, .users = 1,
		.payer = payer.group - 70,
	};
	memcpy(t.entries[page].text, w->text, w->depth);
	t.paid[payer.group - 70]++;
	t.kept[payer.group - 70]++;
	if (!t.active_since[w->domain])
		t.active_since[w->domain] = ++t.clock;
}

/* some of its pages, the last one first */
static void walker_truncate(struct walker *w, unsigned int depth)
{
	while (w->depth > depth) {
		uint32_t page = w->pages[--w->depth];
		struct entry *entry = &t.entries[page];

		if (!entry->is_kept) {
			kv_give(&t.kv, page);
			continue;
		}
		prefix_leave(&t.prefix, page);
		if (!--entry->users)
			entry->idle_since = ++t.clock;
	}
	w->is_walking = depth > 0;
}

static void drop_some(void)
{
	unsigned int number = roll(PAYERS);
	const struct engine_payer payer = payer_at(number);
	size_t before = t.told[number], want = roll(4) * t.kv.page_bytes, idle = 0, dropped;

	for (unsigned int i = 0; i < PAGES; i++)
		idle += t.entries[i].is_kept && t.entries[i].idle_since &&
			t.entries[i].payer == number;
	dropped = prefix_drop(&t.prefix, &payer, want);
	assert_int_equal(dropped, (t.told[number] - before) * t.kv.page_bytes);
	assert_true(dropped >= MIN(want, idle * t.kv.page_bytes));
	/* which ones is the store's choice, but never one without what is behind it */
	for (unsigned int i = 0; i < PAGES; i++)
		if (t.entries[i].is_kept && !t.prefix.pages[i].domain)
			model_drop(&t.entries[i]);
	for (unsigned int i = 0; i < PAGES; i++)
		if (t.entries[i].is_kept && t.entries[i].depth > 1)
			assert_non_null(model_find(t.entries[i].domain, t.entries[i].text,
						   t.entries[i].depth - 1));
}

static void operate(void)
{
	struct walker *w = &t.walkers[roll(WALKERS)];
	unsigned int what = roll(32);

	if (!w->is_walking) {
		walker_begin(w);
	} else if (what < 22) {
		walker_keep(w);
	} else if (what < 28) {
		walker_truncate(w, w->depth ? roll(w->depth) : 0);
	} else if (what < 29) {
		drop_some();
	} else if (what < 30) {
		int largest = model_largest();

		assert_int_equal(prefix_evict(&t.prefix), largest >= 0);
		if (largest >= 0)
			model_drop(model_oldest(largest));
	} else {
		walker_truncate(w, 0);
	}
}

static void test_random(void **state)
{
	size_t told = 0;

	(void)state;
	for (unsigned int seed = 1; seed <= SEEDS; seed++) {
		dice = seed * UINT64_C(0x9e3779b97f4a7c15);
		open_store(seed % 3 ? 8 + seed % 24 : PAGES);
		for (unsigned int i = 0; i < OPERATIONS; i++) {
			operate();
			if (i % 4 == 0)
				compare();
		}
		for (unsigned int i = 0; i < WALKERS; i++)
			walker_truncate(&t.walkers[i], 0);
		compare();
		while (prefix_evict(&t.prefix))
			model_drop(model_oldest(model_largest()));
		compare();
		assert_int_equal(t.kv.free_count, PAGES);
		for (unsigned int i = 0; i < PAYERS; i++)
			told += t.told[i];
		close_store();
	}
	assert_true(told > SEEDS * 100);
}

/* ---- single promises ---- */

/* keep a text of pages that nobody uses afterwards; Return: how many of them are kept */
static unsigned int keep_text(unsigned int domain, unsigned int first, unsigned int pages)
{
	const struct engine_payer payer = payer_at(0);
	uint32_t tokens[KV_PAGE_TOKENS], numbers[PAGES], last = KV_PAGE_NONE;
	unsigned int kept = 0;

	while (kept < pages) {
		if (!t.kv.free_count)
			assert_true(prefix_evict(&t.prefix));
		numbers[kept] = kv_take(&t.kv);
		text_of(tokens, first + kept);
		if (!prefix_keep(&t.prefix, &domains[domain], &payer, last, tokens,
				 numbers[kept])) {
			kv_give(&t.kv, numbers[kept]);
			break;
		}
		last = numbers[kept++];
	}
	for (unsigned int i = kept; i-- > 0;)
		prefix_leave(&t.prefix, numbers[i]);
	assert_true(prefix_check(&t.prefix));
	return kept;
}

static unsigned int find_text(unsigned int domain, unsigned int first, unsigned int pages)
{
	uint32_t tokens[KV_PAGE_TOKENS], last = KV_PAGE_NONE;
	unsigned int found;

	for (found = 0; found < pages; found++) {
		text_of(tokens, first + found);
		last = prefix_find(&t.prefix, &domains[domain], last, tokens);
		if (last == KV_PAGE_NONE)
			break;
	}
	return found;
}

/* who keeps no more than an equal share loses none of it, however much others want to keep */
static void test_shares(void **state)
{
	(void)state;
	open_store(24);
	assert_int_equal(keep_text(0, 1000, 8), 8);
	for (unsigned int i = 0; i < 50; i++)
		keep_text(1, 2000 + 100 * i, 10);
	assert_int_equal(find_text(0, 1000, 8), 8);
	/* a third one gets its own share, from the one who has more */
	for (unsigned int i = 0; i < 20; i++)
		keep_text(2, 9000 + 100 * i, 3);
	assert_int_equal(find_text(0, 1000, 8), 8);
	assert_int_equal(find_text(2, 9000 + 1900, 3), 3);
	close_store();
}

/* alone, one may have all of it, and loses what was not asked for for longest, the far end first */
static void test_oldest_first(void **state)
{
	(void)state;
	open_store(10);
	assert_int_equal(keep_text(0, 100, 4), 4);
	assert_int_equal(keep_text(0, 200, 4), 4);
	assert_int_equal(keep_text(0, 300, 4), 4);
	assert_int_equal(find_text(0, 100, 4), 2);
	assert_int_equal(find_text(0, 200, 4), 4);
	assert_int_equal(find_text(0, 300, 4), 4);
	assert_int_equal(t.told[0], 2);
	/* more than there is room for: its beginning is what is worth keeping */
	assert_int_equal(keep_text(0, 400, 14), 10);
	assert_int_equal(find_text(0, 400, 14), 10);
	close_store();
}

/* the same text in each domain is a page of its own in each */
static void test_domains(void **state)
{
	uint32_t before;

	(void)state;
	open_store(PAGES);
	for (unsigned int i = 0; i < DOMAINS; i++) {
		assert_int_equal(find_text(i, 500, 3), 0);
		before = t.kv.free_count;
		assert_int_equal(keep_text(i, 500, 3), 3);
		assert_int_equal(t.kv.free_count, before - 3);
	}
	close_store();
}

/* what was computed with adapters is found with the same ones alone */
static void test_adapters(void **state)
{
	(void)state;
	open_store(PAGES);
	assert_int_equal(keep_text(1, 500, 3), 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(find_text(ADAPTED + i, 500, 3), 0);
		assert_int_equal(keep_text(ADAPTED + i, 500, 3), 3);
		assert_int_equal(t.prefix.count, 3 * (i + 2));
	}
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(find_text(ADAPTED + i, 500, 3), 3);
	assert_int_equal(find_text(0, 500, 3), 0);
	close_store();
	/* and counts as what its domain keeps, however many there are */
	open_store(24);
	assert_int_equal(keep_text(0, 1000, 12), 12);
	for (unsigned int i = 0; i < 60; i++)
		keep_text(i % 4 ? ADAPTED + i % 4 - 1 : 1, 2000 + 100 * i, 10);
	assert_int_equal(find_text(0, 1000, 12), 12);
	close_store();
}

/* what is behind a page of the one who pays goes with it, whoever pays for that */
static void test_drop_behind(void **state)
{
	const struct engine_payer first = payer_at(0), second = payer_at(1);
	uint32_t tokens[KV_PAGE_TOKENS], a, b;

	(void)state;
	open_store(PAGES);
	a = kv_take(&t.kv);
	text_of(tokens, 1);
	assert_true(prefix_keep(&t.prefix, &domains[4], &first, KV_PAGE_NONE, tokens, a));
	b = kv_take(&t.kv);
	assert_true(prefix_keep(&t.prefix, &domains[4], &second, a, tokens, b));
	/* they are used: nothing can be dropped */
	assert_int_equal(prefix_drop(&t.prefix, &first, 1), 0);
	assert_false(prefix_evict(&t.prefix));
	prefix_leave(&t.prefix, b);
	prefix_leave(&t.prefix, a);
	assert_int_equal(prefix_drop(&t.prefix, &(struct engine_payer){ NULL, 70 }, 1), 0);
	assert_int_equal(prefix_drop(&t.prefix, &first, 0), 0);
	assert_int_equal(prefix_drop(&t.prefix, &first, 1), t.kv.page_bytes);
	assert_int_equal(t.told[0], 1);
	assert_int_equal(t.told[1], 1);
	assert_int_equal(t.prefix.count, 0);
	assert_int_equal(t.kv.free_count, PAGES);
	assert_true(prefix_check(&t.prefix));
	close_store();
}

/* ---- domains that begin in another one ---- */

/* a text of @depth pages, of which those that are there are used; Return: how many it has now */
static unsigned int grow_text(struct walker *w, const struct engine_domain *whose,
			      const struct engine_payer *payer, unsigned int depth)
{
	uint32_t tokens[KV_PAGE_TOKENS];

	for (w->depth = 0; w->depth < depth; w->depth++) {
		const struct engine_domain where =
			engine_domain_at(whose, w->depth * KV_PAGE_TOKENS, KV_PAGE_TOKENS);
		const uint32_t last = w->depth ? w->pages[w->depth - 1] : KV_PAGE_NONE;
		uint32_t page;

		text_of(tokens, w->text[w->depth]);
		page = prefix_find(&t.prefix, &where, last, tokens);
		if (page != KV_PAGE_NONE) {
			prefix_use(&t.prefix, page);
		} else {
			if (!t.kv.free_count && !prefix_evict(&t.prefix))
				break;
			page = kv_take(&t.kv);
			if (!prefix_keep(&t.prefix, &where, payer, last, tokens, page)) {
				kv_give(&t.kv, page);
				break;
			}
			t.paid[payer->group - 70]++;
		}
		w->pages[w->depth] = page;
	}
	return w->depth;
}

static void leave_text(struct walker *w)
{
	while (w->depth)
		prefix_leave(&t.prefix, w->pages[--w->depth]);
}

/* the first two pages are those of a base, the others of three lines in each */
static struct engine_domain line_of(unsigned int number)
{
	const struct engine_domain *base = &domains[number % 2];

	return (struct engine_domain){
		.source = &domains, .group = 1 + number % 3,
		.base = { base->source, base->group, base->user },
		.base_tokens = 2 * KV_PAGE_TOKENS + 7,
	};
}

static void test_bases(void **state)
{
	const struct engine_payer payer = payer_at(0);
	struct engine_domain lines[2] = { line_of(0), line_of(4) };
	struct walker a = { .text = "abcd" }, b = { .text = "abcd" };
	uint32_t tokens[KV_PAGE_TOKENS], page;

	(void)state;
	open_store(PAGES);
	assert_int_equal(grow_text(&a, &lines[0], &payer, 4), 4);
	assert_int_equal(grow_text(&b, &lines[1], &payer, 4), 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(a.pages[i] == b.pages[i], i < 2);
	/* nobody else may go on behind a page of a base */
	text_of(tokens, 'x');
	page = kv_take(&t.kv);
	lines[1].base_tokens = 0;
	assert_false(prefix_keep(&t.prefix, &lines[1], &payer, a.pages[1], tokens, page));
	assert_false(prefix_keep(&t.prefix, &domains[3], &payer, a.pages[1], tokens, page));
	kv_give(&t.kv, page);
	leave_text(&a);
	assert_true(prefix_check(&t.prefix));
	prefix_forget(&t.prefix, &lines[0]);
	assert_int_equal(t.prefix.count, 4);
	leave_text(&b);
	/* what is behind a page goes with it, also where it is another domain's */
	assert_int_equal(prefix_drop(&t.prefix, &payer, 1), 3 * t.kv.page_bytes);
	while (prefix_evict(&t.prefix))
		assert_true(prefix_check(&t.prefix));
	assert_int_equal(t.kv.free_count, PAGES);
	close_store();
}

static void test_random_bases(void **state)
{
	struct walker walkers[WALKERS] = { 0 };

	(void)state;
	dice = UINT64_C(0x9e3779b97f4a7c15);
	open_store(PAGES / 2);
	for (unsigned int i = 0; i < 20000; i++) {
		struct walker *w = &walkers[roll(WALKERS)];
		const struct engine_payer payer = payer_at(roll(PAYERS));
		const struct engine_domain line = line_of(roll(6));

		switch (roll(8)) {
		case 0:
			prefix_evict(&t.prefix);
			break;
		case 1:
			prefix_drop(&t.prefix, &payer, roll(4) * t.kv.page_bytes);
			break;
		case 2:
			prefix_forget(&t.prefix, &line);
			break;
		default:
			leave_text(w);
			for (unsigned int at = 0; at < DEPTH; at++)
				w->text[at] = (unsigned char)('a' + roll(2));
			grow_text(w, roll(4) ? &line : &domains[roll(2)], &payer, 1 + roll(DEPTH));
		}
		assert_true(prefix_check(&t.prefix));
	}
	for (unsigned int i = 0; i < WALKERS; i++)
		leave_text(&walkers[i]);
	while (prefix_evict(&t.prefix))
		;
	assert_int_equal(t.kv.free_count, PAGES);
	assert_int_equal(t.prefix.count, 0);
	for (unsigned int i = 0; i < PAYERS; i++)
		assert_int_equal(t.paid[i], t.told[i]);
	close_store();
}

/* switched off, it keeps and finds nothing */
static void test_off(void **state)
{
	(void)state;
	open_store(0);
	assert_int_equal(keep_text(0, 1, 3), 0);
	assert_int_equal(find_text(0, 1, 3), 0);
	assert_false(prefix_evict(&t.prefix));
	assert_int_equal(prefix_bytes(&t.prefix), 0);
	assert_int_equal(t.kv.free_count, PAGES);
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_adapters),
		cmocka_unit_test(test_drop_behind),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_random_bases),
		cmocka_unit_test(test_off),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
