/* SPDX-License-Identifier: MIT */
/* Header, facts and tokenizer of a file; see opened.h. */
#include "sched/opened.h"

#include <string.h>

#include "model/gguf.h"
#include "model/hub.h"
#include "sched/guard.h"

void opened_unref(struct opened *opened)
{
	if (!opened || --opened->refs)
		return;
	tok_free(opened->tokenizer);
	gguf_free(opened->gguf);
	free(opened);
}

struct opened *opened_ref(struct opened *opened)
{
	opened->refs++;
	return opened;
}

static int opened_read(struct opened *opened, const char *path, struct error *error)
{
	int r = model_file_open(&opened->gguf, path, error);

	if (r >= 0)
		r = engine_file_info(opened->gguf, &opened->info, error);
	if (r >= 0)
		r = tok_new(&opened->tokenizer, opened->gguf, error);
	if (r < 0)
		return r;
	opened->chat = chat_detect(opened->gguf);
	return 0;
}

static int opened_read_adapter(struct opened *opened, const char *path, struct error *error)
{
	int r = engine_adapter_file_info(path, &opened->adapter, error);

	return r < 0 ? r : engine_adapter_file_open(path, &opened->gguf, error);
}

static int opened_new_by(struct opened **ret, const char *name, const char *path,
			 int (*read)(struct opened *opened, const char *path, struct error *error),
			 struct error *error)
{
	_cleanup_(opened_unrefp) struct opened *opened = calloc(1, sizeof(*opened));
	int r;

	if (!opened)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	opened->refs = 1;
	guard_opening(name);
	r = read(opened, path, error);
	guard_opening(NULL);
	if (r < 0)
		return r;
	*ret = steal_ptr(opened);
	return 0;
}

int opened_new(struct opened **ret, const char *name, const char *path, struct error *error)
{
	return opened_new_by(ret, name, path, opened_read, error);
}

int opened_new_adapter(struct opened **ret, const char *name, const char *path, struct error *error)
{
	return opened_new_by(ret, name, path, opened_read_adapter, error);
}
