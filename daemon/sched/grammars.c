// SPDX-License-Identifier: MIT
#include "sched/grammars.h"

#include <string.h>

#define GRAMMARS_OVERFLOW_UID	65534U	/* stands for many users, who share nothing */
#define GRAMMARS_MIB		(1024.0 * 1024.0)

void grammars_init(struct grammars *grammars, uint64_t max_bytes)
{
	list_init(&grammars->tenants);
	hash_key_init(&grammars->key);
	grammars->max_bytes = max_bytes ? MAX(max_bytes, GRAMMARS_BYTES_LEAST) : GRAMMARS_BYTES;
	atomic_init(&grammars->bytes, 0);
	grammars->compiler = NULL;
}

int grammars_start(struct grammars *grammars, int news_fd)
{
	return compiler_new(&grammars->compiler, news_fd);
}

/* ---- whose ---- */

static struct grammars_tenant *tenant_get(struct grammars *grammars, const struct ipc *source,
					  uint64_t group, uint32_t user)
{
	struct grammars_tenant *tenant;

	list_each(tenant, &grammars->tenants, link)
		if (tenant->source == source && tenant->group == group && tenant->user == user)
			return tenant;
	tenant = calloc(1, sizeof(*tenant));
	if (!tenant)
		return NULL;
	tenant->source = source;
	tenant->group = group;
	tenant->user = user;
	list_init(&tenant->held);
	compile_line_init(&tenant->line);
	list_append(&grammars->tenants, &tenant->link);
	return tenant;
}

/* once it has none */
static void tenant_put(struct grammars_tenant *tenant)
{
	if (!list_empty(&tenant->held))
		return;
	list_remove(&tenant->link);
	free(tenant);
}

/* ---- one of them ---- */

/* what has failed may be tried again */
static bool is_same(const struct held_grammar *a, const struct held_grammar *b)
{
	return a->is_shared && b->is_shared && a->type == b->type && a->hash == b->hash &&
	       a->len == b->len && (!a->len || !memcmp(a->text, b->text, a->len)) &&
	       !a->result;
}

static void held_free(struct held_grammar *held)
{
	if (!held)
		return;
	gram_free(held->grammar);
	free(held->text);
	free(held);
}
DEFINE_CLEANUP(struct held_grammar *, held_free);

/* a tenant may have as much as it leaves free of what grammars may take */
static int check_room(const struct grammars *grammars, const struct grammars_tenant *tenant,
		      size_t bytes, struct error *error)
{
	const uint64_t all = atomic_load_explicit(&grammars->bytes, memory_order_relaxed) + bytes;

	if (tenant->bytes + bytes + all <= grammars->max_bytes / 2)
		return 0;
	return error_set(error, -EBUSY,
			 "the grammars of your other requests take %.1f MB, there is no room for %.1f MB more until some end",
			 (double)tenant->bytes / GRAMMARS_MIB, (double)bytes / GRAMMARS_MIB);
}

/* so many bytes, from now on */
static void count_bytes(struct grammars *grammars, struct held_grammar *held, size_t bytes)
{
	held->tenant->bytes += bytes - held->bytes;
	/* as a difference modulo 2^64, which may be less */
	atomic_fetch_add_explicit(&grammars->bytes, bytes - held->bytes, memory_order_relaxed);
	held->bytes = bytes;
}

/* a copy of @like and its text, which waits for its turn */
static int held_new(struct held_grammar **ret, struct grammars *grammars,
		    const struct held_grammar *like, struct error *error)
{
	_cleanup_(held_freep) struct held_grammar *held = calloc(1, sizeof(*held));
	const size_t bytes = sizeof(*held) + like->len;
	int r;

	if (!held)
		return error_set(error, -ENOMEM, "the grammar: %s", strerror(ENOMEM));
	*held = *like;
	list_init(&held->link);
	held->text = malloc(held->len + 1);
	if (!held->text)
		return error_set(error, -ENOMEM, "the grammar: %s", strerror(ENOMEM));
	memcpy(held->text, like->text, held->len);
	/* where there is not even room for its text, nobody waits until it is compiled */
	r = held->is_owed ? 0 : check_room(grammars, held->tenant, bytes, error);
	if (r < 0)
		return r;
	held->compiling = (struct compiling){
		.type = held->type, .text = held->text, .len = held->len,
	};
	r = compiler_begin(grammars->compiler, &held->tenant->line, &held->compiling);
	if (r < 0)
		return error_set(error, r, "the grammar: %s", strerror(-r));
	list_append(&held->tenant->held, &held->link);
	count_bytes(grammars, held, bytes);
	*ret = steal_ptr(held);
	return 0;
}

int grammars_get(struct held_grammar **ret, struct grammars *grammars, const struct ipc *ipc,
		 const struct llm_event *event, uint32_t type, const char *text, size_t len,
		 struct error *error)
{
	const bool has_domain = event->domain_cgroup && event->domain_uid != GRAMMARS_OVERFLOW_UID;
	struct held_grammar like = {
		.users = 1,
		.type = type,
		.text = (char *)(uintptr_t)text,
		.len = len,
		.hash = hash_bytes(&grammars->key, text, len),
		.is_shared = has_domain,
		.is_owed = event->journal_len,
	}, *held;
	int r;

	like.tenant = tenant_get(grammars, ipc, event->domain_cgroup,
				 has_domain ? event->domain_uid : event->uid);
	if (!like.tenant)
		return error_set(error, -ENOMEM, "the grammar: %s", strerror(ENOMEM));
	list_each(held, &like.tenant->held, link)
		if (is_same(held, &like)) {
			held->users++;
			held->is_owed |= like.is_owed;
			*ret = held;
			return 0;
		}
	r = held_new(ret, grammars, &like, error);
	tenant_put(like.tenant);
	return r;
}

int grammars_check(const struct held_grammar *held, struct error *error)
{
	if (!held->is_ended)
		return -EINPROGRESS;
	return held->result ? error_set(error, held->result, "%s", held->why.text) : 0;
}

uint64_t grammars_bill(struct held_grammar *held)
{
	const uint64_t ns = held->compute_ns + held->tenant->owed_ns;

	held->compute_ns = 0;
	held->tenant->owed_ns = 0;
	return ns;
}

static void held_drop(struct grammars *grammars, struct held_grammar *held)
{
	struct grammars_tenant *tenant = held->tenant;

	count_bytes(grammars, held, 0);
	list_remove(&held->link);
	held_free(held);
	tenant_put(tenant);
}

void grammars_put(struct grammars *grammars, struct held_grammar *held)
{
	if (!held || --held->users)
		return;
	/* of what was begun the end is awaited: see held_end() */
	if (held->is_ended || compiler_drop(grammars->compiler, &held->compiling))
		held_drop(grammars, held);
}

/* ---- what was compiled ---- */

/* its text had room, but is there some for all of it? */
static int check_all(struct grammars *grammars, struct held_grammar *held)
{
	const size_t text_bytes = held->bytes, bytes = text_bytes + gram_bytes(held->grammar);
	int r;

	count_bytes(grammars, held, 0);
	r = held->is_owed ? 0 : check_room(grammars, held->tenant, bytes, &held->why);
	count_bytes(grammars, held, r < 0 ? text_bytes : bytes);
	return r;
}

static void held_end(struct grammars *grammars, struct held_grammar *held)
{
	held->is_ended = true;
	held->grammar = steal_ptr(held->compiling.grammar);
	held->result = held->compiling.result;
	held->why = held->compiling.why;
	held->compute_ns = held->compiling.compute_ns;
	if (!held->users) {
		held->tenant->owed_ns += held->compute_ns;
		held_drop(grammars, held);
		return;
	}
	if (!held->result)
		held->result = check_all(grammars, held);
	if (held->result)
		gram_free(steal_ptr(held->grammar));
}

bool grammars_heard(struct grammars *grammars)
{
	struct compiling *compiling;
	bool any = false;

	while ((compiling = compiler_take(grammars->compiler))) {
		held_end(grammars, container_of(compiling, struct held_grammar, compiling));
		any = true;
	}
	return any;
}

void grammars_done(struct grammars *grammars)
{
	compiler_free(steal_ptr(grammars->compiler));
	while (!list_empty(&grammars->tenants)) {
		struct grammars_tenant *tenant = list_first(&grammars->tenants,
							    struct grammars_tenant, link);

		held_drop(grammars, list_first(&tenant->held, struct held_grammar, link));
	}
}
