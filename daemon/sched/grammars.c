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

static int compile(struct grammar **ret, uint32_t type, const char *text, size_t len,
		   struct error *error)
{
	switch (type) {
	case LLM_OPTION_SCHEMA:
		return gram_new_schema(ret, text, len, error);
	case LLM_OPTION_GRAMMAR:
		return gram_new_gbnf(ret, text, len, error);
	default:
		return gram_new_json(ret, error);
	}
}

static bool is_same(const struct held_grammar *a, const struct held_grammar *b)
{
	return a->is_shared && b->is_shared && a->type == b->type && a->hash == b->hash &&
	       a->len == b->len && (!a->len || !memcmp(a->text, b->text, a->len));
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

static void take(struct grammars *grammars, struct held_grammar *held)
{
	held->tenant->bytes += held->bytes;
	list_append(&held->tenant->held, &held->link);
	atomic_fetch_add_explicit(&grammars->bytes, held->bytes, memory_order_relaxed);
}

/* a copy of @like and its text, with its grammar */
static int held_new(struct held_grammar **ret, struct grammars *grammars,
		    const struct held_grammar *like, bool is_owed, struct error *error)
{
	_cleanup_(held_freep) struct held_grammar *held = calloc(1, sizeof(*held));
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
	held->bytes = sizeof(*held) + held->len;
	r = is_owed ? 0 : check_room(grammars, held->tenant, held->bytes, error);
	if (!r)
		r = compile(&held->grammar, held->type, held->text, held->len, error);
	if (r < 0)
		return r;
	held->bytes += gram_bytes(held->grammar);
	r = is_owed ? 0 : check_room(grammars, held->tenant, held->bytes, error);
	if (r < 0)
		return r;
	take(grammars, held);
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
	}, *held;
	int r;

	like.tenant = tenant_get(grammars, ipc, event->domain_cgroup,
				 has_domain ? event->domain_uid : event->uid);
	if (!like.tenant)
		return error_set(error, -ENOMEM, "the grammar: %s", strerror(ENOMEM));
	list_each(held, &like.tenant->held, link)
		if (is_same(held, &like)) {
			held->users++;
			*ret = held;
			return 0;
		}
	r = held_new(ret, grammars, &like, event->journal_len, error);
	tenant_put(like.tenant);
	return r;
}

void grammars_put(struct grammars *grammars, struct held_grammar *held)
{
	struct grammars_tenant *tenant;

	if (!held || --held->users)
		return;
	tenant = held->tenant;
	tenant->bytes -= held->bytes;
	atomic_fetch_sub_explicit(&grammars->bytes, held->bytes, memory_order_relaxed);
	list_remove(&held->link);
	held_free(held);
	tenant_put(tenant);
}
