/* SPDX-License-Identifier: MIT */
/* The buffers of an encoding, and the ids it gives out. */
#include "tokenizer/work.h"

#include "tokenizer/pretok.h"

void tok_work_free(struct tok_work *work)
{
	free(work->symbols);
	free(work->heap);
	free(work->text);
	pretok_work_free(work->pretok);
	unigram_work_done(&work->unigram);
}

int tok_grow(void *array, size_t *capacity, size_t count, size_t size)
{
	size_t n = MAX(*capacity, (size_t)16), bytes;
	void *p;

	if (count <= *capacity)
		return 0;
	while (n < count)
		if (!size_mul(&n, n, 2))
			return -ENOMEM;
	if (!size_mul(&bytes, n, size))
		return -ENOMEM;
	p = realloc(*(void **)array, bytes);
	if (!p)
		return -ENOMEM;
	*(void **)array = p;
	*capacity = n;
	return 0;
}

int tok_push(struct tok_work *work, uint32_t id)
{
	struct tok_ids *ids = work->ids;
	int r;

	if (ids->count >= work->max)
		return -E2BIG;
	r = tok_grow(&ids->ids, &ids->capacity, ids->count + 1, sizeof(*ids->ids));
	if (r < 0)
		return r;
	ids->ids[ids->count++] = id;
	return 0;
}

bool tok_has_bytes(const struct tokenizer *tok, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (tok->byte_ids[(unsigned char)text[i]] == TOK_NONE)
			return false;
	return true;
}

int tok_push_bytes(struct tok_work *work, const char *text, size_t len)
{
	const struct tokenizer *tok = work->tok;
	int r = 0;

	if (!tok_has_bytes(tok, text, len))
		return tok->unk == TOK_NONE ? 0 : tok_push(work, tok->unk);
	for (size_t i = 0; r >= 0 && i < len; i++)
		r = tok_push(work, tok->byte_ids[(unsigned char)text[i]]);
	return r;
}
