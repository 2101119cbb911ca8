/* SPDX-License-Identifier: MIT */
/* Models as text files, a token for each byte and a few words, turns of a conversation. */
#include "sched_engine_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FAKE_KEYS	5

static const char *const words[FAKE_VOCAB - FAKE_WORDS] = {
	"the ", "cat", "st", "op", "sto", "p it", "\n", "end", "ab", "aba", "\xc3", "\xa9", "ing ",
	"stop",
};

/* ---- files ---- */

static void gguf_parse_text(struct gguf *gguf)
{
	char text[sizeof(gguf->text)], *word, *save = NULL;

	memcpy(text, gguf->text, sizeof(text));
	for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		sscanf(word, "context=%u", &gguf->context);
		sscanf(word, "page=%u", &gguf->page);
		sscanf(word, "pages=%u", &gguf->pages);
		sscanf(word, "bos=%u", &gguf->bos);
		sscanf(word, "encoder=%u", &gguf->encoder);
		sscanf(word, "labels=%u", &gguf->labels);
		sscanf(word, "wrong=%u", &gguf->wrong);
		sscanf(word, "other=%u", &gguf->other);
		sscanf(word, "blank=%u", &gguf->blank);
		sscanf(word, "pairs=%u", &gguf->pairs);
		sscanf(word, "chat=%15s", gguf->chat);
	}
}

int model_file_open(struct gguf **ret, const char *path, struct error *error)
{
	struct gguf *gguf;
	FILE *file;

	if (fake_on_open)
		fake_on_open(path);
	/* several threads may */
	__atomic_fetch_add(&fake_counts.opens, 1, __ATOMIC_RELAXED);
	if (fake_open_error)
		return error_set(error, fake_open_error, "'%s': %s", path,
				 strerror(-fake_open_error));
	file = fopen(path, "r");
	if (!file)
		return error_set(error, -errno, "'%s': %s", path, strerror(errno));
	gguf = calloc(1, sizeof(*gguf));
	gguf->context = 64;
	gguf->page = 4;
	gguf->pages = 64;
	gguf->bos = 1;
	gguf->size_bytes = fread(gguf->text, 1, sizeof(gguf->text) - 1, file);
	fclose(file);
	if (strncmp(gguf->text, "FAKE", 4)) {
		free(gguf);
		return error_set(error, -EBADMSG, "not a model file");
	}
	gguf_parse_text(gguf);
	gguf->context = MIN(gguf->context, 4096U);
	*ret = gguf;
	return 0;
}

void gguf_free(struct gguf *gguf)
{
	free(gguf);
}

size_t gguf_size_bytes(const struct gguf *gguf)
{
	return gguf->size_bytes;
}

bool gguf_has(const struct gguf *gguf, uintptr_t address)
{
	(void)gguf;
	(void)address;
	return false;
}

size_t gguf_key_count(const struct gguf *gguf)
{
	(void)gguf;
	return FAKE_KEYS;
}

/* the last value is long, so that an answer takes several commits */
int gguf_key_print(const struct gguf *gguf, size_t index, char *key, size_t key_size, char *value,
		   size_t value_size)
{
	snprintf(key, key_size, "key.%zu", index);
	snprintf(value, value_size, "%s", gguf->text);
	if (index == FAKE_KEYS - 1) {
		memset(value, 'x', value_size - 1);
		value[value_size - 1] = '\0';
	}
	return 0;
}

/* ---- tokens: a byte each, but for the words ---- */

static const struct tokenizer tokenizers[16] = {
	{ 0, 0, 0, 0 }, { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 1, 1, 0, 0 },
	{ 0, 0, 1, 0 }, { 1, 0, 1, 0 }, { 0, 1, 1, 0 }, { 1, 1, 1, 0 },
	{ 0, 0, 0, 1 }, { 1, 0, 0, 1 }, { 0, 1, 0, 1 }, { 1, 1, 0, 1 },
	{ 0, 0, 1, 1 }, { 1, 0, 1, 1 }, { 0, 1, 1, 1 }, { 1, 1, 1, 1 },
};

const struct tokenizer *fake_tokenizer(const struct gguf *gguf)
{
	return &tokenizers[gguf->bos + 2 * gguf->other + 4 * gguf->blank + 8 * gguf->pairs];
}

int tok_new(struct tokenizer **ret, const struct gguf *gguf, struct error *error)
{
	(void)error;
	*ret = malloc(sizeof(**ret));
	**ret = *fake_tokenizer(gguf);
	return 0;
}

void tok_free(struct tokenizer *tok)
{
	free(tok);
}

const char *tok_kind_name(const struct tokenizer *tok)
{
	(void)tok;
	return "spm";
}

uint32_t tok_vocab(const struct tokenizer *tok)
{
	(void)tok;
	return FAKE_VOCAB;
}

uint32_t tok_bos(const struct tokenizer *tok)
{
	return tok->bos ? FAKE_BOS : TOK_NONE;
}

bool tok_add_bos(const struct tokenizer *tok)
{
	return tok->bos;
}

bool tok_has_no_pairs(const struct tokenizer *tok)
{
	(void)tok;
	return false;
}

bool tok_pair_apart(const struct tokenizer *tok)
{
	(void)tok;
	return false;
}

bool tok_is_end(const struct tokenizer *tok, uint32_t id)
{
	(void)tok;
	return id == FAKE_EOS;
}

bool tok_is_control(const struct tokenizer *tok, uint32_t id)
{
	(void)tok;
	return id == FAKE_BOS || id == FAKE_EOS;
}

static int ids_add(struct tok_ids *ids, uint32_t id, size_t max)
{
	if (ids->count >= max)
		return -E2BIG;
	if (ids->count == ids->capacity) {
		ids->capacity = ids->capacity * 2 + 16;
		ids->ids = realloc(ids->ids, ids->capacity * sizeof(*ids->ids));
	}
	ids->ids[ids->count++] = id;
	return 0;
}

int tok_encode(const struct tokenizer *tok, const char *text, size_t len, unsigned int flags,
	       size_t max, struct tok_ids *ids)
{
	size_t i;
	int r = 0;

	if (flags & TOK_BOS && tok->bos)
		r = ids_add(ids, FAKE_BOS, max);
	fake_counts.encoded_bytes += len;
	for (i = 0; !r && i < len; i++) {
		if (tok->blank && text[i] == ' ')
			continue;
		r = (uint8_t)text[i] == 0xff ? -EILSEQ : ids_add(ids, (uint8_t)text[i], max);
	}
	return r;
}

bool tok_has_pair_words(const struct tokenizer *tok)
{
	return tok->pairs;
}

/* {query|document} */
int tok_encode_pair(const struct tokenizer *tok, const char *query, size_t query_len,
		    const char *text, size_t len, unsigned int flags, size_t max,
		    struct tok_ids *ids)
{
	const size_t count = ids->count;
	int r = ids_add(ids, '{', max);

	if (!r)
		r = tok_encode(tok, query, query_len, flags, max, ids);
	if (!r)
		r = ids_add(ids, '|', max);
	if (!r)
		r = tok_encode(tok, text, len, flags, max, ids);
	if (!r)
		r = ids_add(ids, '}', max);
	if (r)
		ids->count = count;
	return r;
}

const uint32_t *tok_pair_end(const struct tokenizer *tok, size_t *ret_count)
{
	static const uint32_t end = '}';

	(void)tok;
	*ret_count = 1;
	return &end;
}

const char *tok_piece(const struct tokenizer *tok, uint32_t id, bool first, bool special,
		      size_t *ret_len)
{
	static char bytes[256];
	const char *text;

	fake_counts.broken_promises += !tok;
	(void)first;
	*ret_len = 0;
	if (id >= FAKE_VOCAB)
		return NULL;
	if (id < 256) {
		bytes[id] = (char)id;
		*ret_len = 1;
		return &bytes[id];
	}
	if (tok && tok->other && id == FAKE_WORDS) {
		*ret_len = 3;
		return "THE";
	}
	text = id >= FAKE_WORDS ? words[id - FAKE_WORDS] : id == FAKE_BOS ? "<s>" : "</s>";
	*ret_len = id >= FAKE_WORDS || special ? strlen(text) : 0;
	return text;
}

/* ---- chat ---- */

enum chat_template chat_detect(const struct gguf *gguf)
{
	return !strcmp(gguf->chat, "chatml") ? CHAT_CHATML :
	       !strcmp(gguf->chat, "strange") ? CHAT_UNKNOWN : CHAT_NONE;
}

const char *chat_name(enum chat_template tmpl)
{
	return tmpl == CHAT_CHATML ? "chatml" : tmpl == CHAT_UNKNOWN ? "unknown" : "";
}

int chat_encode(enum chat_template tmpl, const struct tokenizer *tok,
		const struct chat_message *messages, size_t count, size_t max, struct tok_ids *ids,
		struct error *error)
{
	size_t i, at;
	int r = 0;

	(void)tmpl;
	(void)tok;
	for (i = 0; !r && i < count; i++) {
		if (i && messages[i].role == messages[i - 1].role)
			return error_set(error, -EINVAL, "two turns of one role");
		r = ids_add(ids, FAKE_BOS, max);
		for (at = 0; !r && at < messages[i].len; at++)
			r = ids_add(ids, (uint8_t)messages[i].text[at], max);
	}
	return r;
}

int chat_encode_next(enum chat_template tmpl, const struct tokenizer *tok, uint32_t last,
		     const struct chat_message *messages, size_t count, size_t max,
		     struct tok_ids *ids, struct error *error)
{
	int r = last == FAKE_EOS ? 0 : ids_add(ids, FAKE_EOS, max);

	return r < 0 ? r : chat_encode(tmpl, tok, messages, count, max, ids, error);
}

/* the second turn, if there are two: the first one is the system's then */
int chat_find_head(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		   size_t count, size_t *ret)
{
	(void)tok;
	for (*ret = 1; *ret < count && ids[*ret] != FAKE_BOS; ++*ret)
		;
	if (tmpl != CHAT_CHATML || *ret >= count)
		*ret = 0;
	return 0;
}

int chat_find_system(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		     size_t count, size_t *ret)
{
	return chat_find_head(tmpl, tok, ids, count, ret);
}

int chat_check_session(enum chat_template tmpl, const struct tokenizer *tok,
		       const struct chat_message *messages, size_t count, struct error *error)
{
	(void)tmpl;
	(void)tok;
	(void)messages;
	return count ? 0 : error_set(error, -EINVAL, "nothing is said");
}

/* ---- a folder ---- */

static char folder[64];

const char *fake_folder(void)
{
	strcpy(folder, "/tmp/llmos-sched.XXXXXX");
	return mkdtemp(folder);
}

void fake_model(const char *where, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", where, name);
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

void fake_adapter(const char *where, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/adapters", where);
	mkdir(path, 0755);
	fake_model(path, name, text);
}

static void folder_remove(const char *where)
{
	char path[512];
	struct dirent *entry;
	DIR *dir = opendir(where);

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(where);
}

void fake_folder_remove(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/adapters", folder);
	folder_remove(path);
	folder_remove(folder);
}
