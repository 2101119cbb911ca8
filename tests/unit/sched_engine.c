/* SPDX-License-Identifier: MIT */
/* The engine for tests of the scheduler; see sched_engine.h. */
#include "sched_engine.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "model/gguf.h"
#include "model/hub.h"

#define FAKE_KEYS	5

struct fake_counts fake_counts;
void (*fake_on_step)(void);
void (*fake_on_load)(void);
unsigned int fake_context_max;
bool fake_forgets;
uint64_t fake_token_ns;
int fake_step_error;
unsigned int fake_nan_step;

static const char *const words[FAKE_VOCAB - FAKE_WORDS] = {
	"the ", "cat", "st", "op", "sto", "p it", "\n", "end", "ab", "aba", "\xc3", "\xa9", "ing ",
	"stop",
};

/* ---- files ---- */

struct gguf {
	char text[512];
	char chat[16];
	unsigned int context;
	unsigned int page;
	unsigned int pages;
	unsigned int bos;
	unsigned int encoder;
	unsigned int labels;
	unsigned int wrong;
	unsigned int other;
	unsigned int blank;
	size_t size_bytes;
};

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
		sscanf(word, "chat=%15s", gguf->chat);
	}
}

int model_file_open(struct gguf **ret, const char *path, struct error *error)
{
	struct gguf *gguf;
	FILE *file = fopen(path, "r");

	if (!file)
		return error_set(error, -errno, "'%s': %s", path, strerror(errno));
	fake_counts.opens++;
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

struct tokenizer {
	bool bos;
	bool other;
	bool blank;
};

static const struct tokenizer tokenizers[8] = {
	{ 0, 0, 0 }, { 1, 0, 0 }, { 0, 1, 0 }, { 1, 1, 0 },
	{ 0, 0, 1 }, { 1, 0, 1 }, { 0, 1, 1 }, { 1, 1, 1 },
};

static const struct tokenizer *tokenizer_of(const struct gguf *gguf)
{
	return &tokenizers[gguf->bos + 2 * gguf->other + 4 * gguf->blank];
}

int tok_new(struct tokenizer **ret, const struct gguf *gguf, struct error *error)
{
	(void)error;
	*ret = malloc(sizeof(**ret));
	**ret = *tokenizer_of(gguf);
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
int chat_find_user(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		   size_t count, size_t *ret)
{
	(void)tok;
	for (*ret = 1; *ret < count && ids[*ret] != FAKE_BOS; ++*ret)
		;
	if (tmpl != CHAT_CHATML || *ret >= count)
		*ret = 0;
	return 0;
}

int chat_check_session(enum chat_template tmpl, const struct tokenizer *tok,
		       const struct chat_message *messages, size_t count, struct error *error)
{
	(void)tmpl;
	(void)tok;
	(void)messages;
	return count ? 0 : error_set(error, -EINVAL, "nothing is said");
}

/* ---- the engine ---- */

#define FAKE_KEPT	256	/* pages kept at most */
#define FAKE_TEXT	512	/* tokens of a text that is kept, at most */

/* a page that is kept: the text that ends with it */
struct fake_kept {
	bool is_kept;
	struct engine_domain domain;
	struct engine_payer payer;
	uint32_t tokens[FAKE_TEXT];
	uint64_t hash[FAKE_TEXT];
	unsigned int length;
	unsigned int users;
	unsigned int left;		/* when the last one went */
};

struct engine_seq {
	struct engine_model *model;
	bool used;
	unsigned int length;
	unsigned int tentative;
	unsigned int pages;		/* of its own */
	unsigned int kept_count;
	bool is_fetching;
	struct fake_kept *kept[FAKE_KEPT];
	uint64_t hash[4096];		/* of the tokens so far, by length */
};

#define FAKE_SWAPPED	32

/* a text that had to make way */
struct fake_swapped {
	struct engine_domain domain;
	unsigned int count;
	uint32_t tokens[FAKE_TEXT];
	uint64_t hash[FAKE_TEXT];
};

struct engine_model {
	struct engine *engine;
	struct gguf *gguf;
	char name[64];
	struct fake_swapped swapped[FAKE_SWAPPED];
	unsigned int swapped_next;
	struct engine_seq *seqs;
	unsigned int pages_used;	/* by sequences, each for itself */
	struct fake_kept kept[FAKE_KEPT];
	unsigned int kept_count;
	unsigned int clock;
	float *logits;
	float *hidden;
};

struct engine_adapter {
	struct engine_model *model;
	uint64_t seed;
	uint64_t id;
	uint64_t bytes;
};

struct engine {
	struct engine_config config;
	uint64_t last_adapter;
};

int engine_new(struct engine **ret, const struct engine_config *config, struct error *error)
{
	(void)error;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->config = *config;
	return 0;
}

void engine_free(struct engine *engine)
{
	free(engine);
}

size_t engine_memory_bytes(void)
{
	return 1U << 30;
}

const char *engine_isa(const struct engine *engine)
{
	(void)engine;
	return "fake";
}

unsigned int engine_threads(const struct engine *engine)
{
	(void)engine;
	return 1;
}

int engine_model_load(struct engine *engine, const char *path, struct engine_model **ret,
		      struct error *error)
{
	struct engine_model *model;
	struct gguf *gguf;
	int r;

	if (fake_on_load)
		fake_on_load();
	r = model_file_open(&gguf, path, error);
	if (r < 0)
		return r;
	if (strstr(gguf->text, "unloadable")) {
		gguf_free(gguf);
		return error_set(error, -EOPNOTSUPP, "architecture 'odd' is not supported");
	}
	model = calloc(1, sizeof(*model));
	model->engine = engine;
	model->gguf = gguf;
	snprintf(model->name, sizeof(model->name), "%.63s", strrchr(path, '/') + 1);
	model->seqs = calloc(engine->config.max_seqs, sizeof(*model->seqs));
	model->logits = calloc((size_t)engine->config.logits_rows * FAKE_VOCAB, sizeof(float));
	model->hidden = calloc((size_t)engine->config.batch_tokens + gguf->context,
			       FAKE_WIDTH * sizeof(float));
	fake_counts.loads++;
	*ret = model;
	return 0;
}

void engine_model_detach(struct engine_model *model, struct gguf **ret_gguf,
			 struct tokenizer **ret_tokenizer)
{
	*ret_gguf = model->gguf;
	model->gguf = NULL;
	*ret_tokenizer = malloc(sizeof(**ret_tokenizer));
	**ret_tokenizer = *tokenizer_of(*ret_gguf);
}

void engine_model_free(struct engine_model *model)
{
	unsigned int i;

	for (i = 0; i < model->engine->config.max_seqs; i++)
		fake_counts.broken_promises += model->seqs[i].used;
	fake_counts.pages -= model->kept_count;
	fake_counts.kept -= model->kept_count;
	gguf_free(model->gguf);
	free(model->seqs);
	free(model->logits);
	free(model->hidden);
	free(model);
}

static unsigned int model_context(const struct engine_model *model)
{
	unsigned int context = model->engine->config.context;

	if (fake_context_max && (!context || fake_context_max < context))
		context = fake_context_max;
	return context && context < model->gguf->context ? context : model->gguf->context;
}

int engine_file_info(const struct gguf *gguf, struct engine_model_info *ret, struct error *error)
{
	(void)error;
	*ret = (struct engine_model_info){
		.context = gguf->context,
		.vocab = FAKE_VOCAB,
		.width = FAKE_WIDTH,
		.labels = gguf->labels,
		.is_encoder = gguf->encoder,
		.has_output = !gguf->encoder,
		.parameters = 12,
		.arch = "fake",
		.weights = "F32",
	};
	return 0;
}

static unsigned int kept_in_use(const struct engine_model *model)
{
	unsigned int i, count = 0;

	for (i = 0; i < FAKE_KEPT; i++)
		count += model->kept[i].is_kept && model->kept[i].users;
	return count;
}

void engine_model_info(const struct engine_model *model, struct engine_model_info *ret)
{
	engine_file_info(model->gguf, ret, NULL);
	ret->context_used = model_context(model);
	ret->kv_pages = model->gguf->pages;
	ret->step_tokens = model->engine->config.batch_tokens;
	if (ret->is_encoder)
		ret->step_tokens = MAX(ret->step_tokens, ret->context_used);
	ret->kv_pages_used = model->pages_used + kept_in_use(model);
	ret->kv_pages_kept = model->kept_count - kept_in_use(model);
	ret->page_tokens = model->gguf->page;
	ret->memory_bytes = model->gguf->pages * FAKE_PAGE_BYTES;
}

const struct tokenizer *engine_model_tokenizer(const struct engine_model *model)
{
	return tokenizer_of(model->gguf);
}

enum chat_template engine_model_chat(const struct engine_model *model)
{
	return chat_detect(model->gguf);
}

const struct gguf *engine_model_gguf(const struct engine_model *model)
{
	return model->gguf;
}

const char *engine_model_pack_note(const struct engine_model *model)
{
	(void)model;
	return "";
}

bool engine_model_has(const struct engine_model *model, uintptr_t address)
{
	return model->gguf && gguf_has(model->gguf, address);
}

/* ---- sequences ---- */

int engine_seq_new(struct engine_model *model, struct engine_seq **ret)
{
	unsigned int i;

	for (i = 0; i < model->engine->config.max_seqs; i++) {
		struct engine_seq *seq = &model->seqs[i];

		if (seq->used)
			continue;
		seq->model = model;
		seq->used = true;
		fake_counts.seqs++;
		*ret = seq;
		return 0;
	}
	return -ENOSPC;
}

static void seq_set_pages(struct engine_seq *seq, unsigned int pages)
{
	seq->model->pages_used += pages - seq->pages;
	fake_counts.pages += pages - seq->pages;
	seq->pages = pages;
}

static void seq_leave_kept(struct engine_seq *seq, unsigned int keep)
{
	while (seq->kept_count > keep) {
		struct fake_kept *kept = seq->kept[--seq->kept_count];

		if (!--kept->users)
			kept->left = ++seq->model->clock;
	}
}

void engine_seq_free(struct engine_seq *seq)
{
	if (!seq)
		return;
	fake_counts.broken_promises += !seq->used;
	seq_set_pages(seq, 0);
	seq_leave_kept(seq, 0);
	seq->length = 0;
	seq->used = false;
	fake_counts.seqs--;
}

unsigned int engine_seq_length(const struct engine_seq *seq)
{
	return seq->length;
}

static void kept_forget(struct engine_model *model, struct fake_kept *kept, bool tell)
{
	const struct engine_config *config = &model->engine->config;

	kept->is_kept = false;
	model->kept_count--;
	fake_counts.kept--;
	if (!tell)
		return;
	fake_counts.pages--;
	config->prefix_dropped(config->prefix_arg, &kept->payer, FAKE_PAGE_BYTES);
}

/* the one that has been idle for longest: the end of a text is left before its beginning */
static struct fake_kept *kept_idle(struct engine_model *model, const struct engine_payer *payer)
{
	struct fake_kept *found = NULL;
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && !kept->users && (!found || kept->left < found->left) &&
		    (!payer || (kept->payer.source == payer->source &&
				kept->payer.group == payer->group)))
			found = kept;
	}
	return found;
}

static bool kept_is_behind(const struct fake_kept *kept, const struct fake_kept *front)
{
	return kept->is_kept && kept->length > front->length &&
	       kept->domain.source == front->domain.source &&
	       kept->domain.group == front->domain.group &&
	       kept->domain.user == front->domain.user &&
	       !memcmp(kept->domain.adapters, front->domain.adapters,
		       sizeof(front->domain.adapters)) &&
	       !memcmp(kept->tokens, front->tokens, front->length * sizeof(*front->tokens));
}

/* with what is behind it */
static bool evict(struct engine_model *model, const struct engine_payer *payer)
{
	struct fake_kept *kept = kept_idle(model, payer);
	unsigned int i;

	for (i = 0; kept && i < FAKE_KEPT; i++)
		if (kept_is_behind(&model->kept[i], kept))
			kept_forget(model, &model->kept[i], true);
	if (kept)
		kept_forget(model, kept, true);
	return kept;
}

int engine_seq_reserve(struct engine_seq *seq, unsigned int tokens)
{
	unsigned int page = seq->model->gguf->page, want = (tokens + page - 1) / page;
	struct engine_model *model = seq->model;

	if (tokens > model_context(model))
		return -E2BIG;
	want -= MIN(want, seq->kept_count);
	if (want <= seq->pages)
		return 0;
	if (want - seq->pages > model->gguf->pages - model->pages_used - kept_in_use(model))
		return -ENOSPC;
	while (want - seq->pages > model->gguf->pages - model->pages_used - model->kept_count)
		evict(model, NULL);
	seq_set_pages(seq, want);
	return 0;
}

size_t engine_seq_bytes(const struct engine_seq *seq)
{
	return (size_t)seq->pages * FAKE_PAGE_BYTES;
}

size_t engine_kv_bytes(const struct engine_model *model, unsigned int tokens)
{
	unsigned int page = model->gguf->page;

	return (size_t)((tokens + page - 1) / page) * FAKE_PAGE_BYTES;
}

size_t engine_seq_bytes_for(const struct engine_seq *seq, unsigned int tokens)
{
	size_t all = engine_kv_bytes(seq->model, tokens) / FAKE_PAGE_BYTES;

	return (MAX(all, (size_t)seq->pages + seq->kept_count) - seq->kept_count) *
	       FAKE_PAGE_BYTES;
}

/* ---- the swap: texts that had to make way ---- */

void engine_seq_swap(const struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int from)
{
	const unsigned int page = seq->model->gguf->page, count = seq->length / page * page;
	struct fake_swapped *to;

	if (!seq->model->engine->config.swap_bytes || !count || count > FAKE_TEXT || count <= from)
		return;
	to = &seq->model->swapped[seq->model->swapped_next++ % FAKE_SWAPPED];
	to->domain = *domain;
	to->count = count;
	memcpy(to->tokens, tokens, count * sizeof(*tokens));
	memcpy(to->hash, seq->hash, count * sizeof(*to->hash));
	fake_counts.swapped += count;
}

/* whole pages with which a text and one of these begin */
static unsigned int swapped_common(const struct fake_swapped *with,
				   const struct engine_domain *domain, const uint32_t *tokens,
				   unsigned int count, unsigned int page)
{
	unsigned int i;

	if (memcmp(&with->domain, domain, sizeof(*domain)))
		return 0;
	for (i = 0; i < MIN(count, with->count) && with->tokens[i] == tokens[i]; i++)
		;
	return i / page * page;
}

/* it takes a call to read them, in which nothing comes yet */
int engine_seq_fetch(struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int count)
{
	struct engine_model *model = seq->model;
	const unsigned int page = model->gguf->page, before = seq->length;
	unsigned int i, common;

	if (!model->engine->config.swap_bytes)
		return 0;
	if (!seq->is_fetching) {
		seq->is_fetching = true;
		model->engine->config.swap_ready(model->engine->config.swap_arg);
		return 1;
	}
	seq->is_fetching = false;
	count = MIN(count, (seq->pages + seq->kept_count) * page);
	for (i = 0; i < FAKE_SWAPPED; i++) {
		common = swapped_common(&model->swapped[i], domain, tokens, count, page);
		if (common <= seq->length)
			continue;
		seq->length = common;
		memcpy(seq->hash, model->swapped[i].hash, common * sizeof(*seq->hash));
	}
	fake_counts.fetched += seq->length - before;
	return 0;
}

void engine_swap_pace(struct engine_model *model, uint64_t token_ns)
{
	(void)model;
	(void)token_ns;
}

void engine_seq_truncate(struct engine_seq *seq, unsigned int tokens)
{
	unsigned int page = seq->model->gguf->page, keep;

	fake_counts.truncates++;
	seq->is_fetching = false;
	/* the engine would copy a page that is kept and cut; no caller needs that */
	fake_counts.broken_promises += tokens < seq->kept_count * page && tokens % page;
	seq->length = tokens < seq->length ? tokens : seq->length;
	keep = (seq->length + page - 1) / page;
	seq_leave_kept(seq, MIN(keep, seq->kept_count));
	keep -= seq->kept_count;
	if (keep < seq->pages)
		seq_set_pages(seq, keep);
}

/* ---- prefixes ---- */

static struct fake_kept *kept_find(const struct engine_model *model,
				   const struct engine_domain *domain, const uint32_t *tokens,
				   unsigned int length)
{
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		const struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && kept->domain.source == domain->source &&
		    kept->domain.group == domain->group && kept->domain.user == domain->user &&
		    !memcmp(kept->domain.adapters, domain->adapters, sizeof(domain->adapters)) &&
		    kept->length == length &&
		    !memcmp(kept->tokens, tokens, length * sizeof(*tokens)))
			return (struct fake_kept *)kept;
	}
	return NULL;
}

unsigned int engine_prefix_find(const struct engine_model *model,
				const struct engine_domain *domain, const uint32_t *tokens,
				unsigned int count)
{
	unsigned int page = model->gguf->page, at = 0;

	while (at + page <= count && kept_find(model, domain, tokens, at + page))
		at += page;
	return at;
}

size_t engine_prefix_drop(struct engine_model *model, const struct engine_payer *payer,
			  size_t bytes)
{
	size_t dropped = 0;

	while (dropped < bytes && evict(model, payer))
		dropped += FAKE_PAGE_BYTES;
	return dropped;
}

void engine_prefix_forget(struct engine_model *model, const struct engine_domain *domain)
{
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && !kept->users && kept->domain.source == domain->source &&
		    kept->domain.group == domain->group && kept->domain.user == domain->user)
			kept_forget(model, kept, true);
	}
}

unsigned int engine_seq_begin(struct engine_seq *seq, const struct engine_domain *domain,
			      const uint32_t *tokens, unsigned int count)
{
	unsigned int page = seq->model->gguf->page;
	struct fake_kept *kept;

	fake_counts.broken_promises += seq->pages || seq->length;
	while (seq->length + page <= count &&
	       (kept = kept_find(seq->model, domain, tokens, seq->length + page))) {
		kept->users++;
		seq->kept[seq->kept_count++] = kept;
		seq->length += page;
		memcpy(seq->hash, kept->hash, seq->length * sizeof(*seq->hash));
	}
	fake_counts.reused += seq->length;
	return seq->length;
}

size_t engine_seq_kept_bytes(const struct engine_seq *seq, const struct engine_payer *payer)
{
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < seq->kept_count; i++)
		if (!payer || (seq->kept[i]->payer.source == payer->source &&
			       seq->kept[i]->payer.group == payer->group))
			bytes += FAKE_PAGE_BYTES;
	return bytes;
}

static struct fake_kept *kept_new(struct engine_model *model, unsigned int length)
{
	const unsigned int max = model->gguf->pages * model->engine->config.prefix_percent / 100;
	unsigned int i;

	if (length > FAKE_TEXT || (model->kept_count >= max && !evict(model, NULL)))
		return NULL;
	for (i = 0; i < FAKE_KEPT && model->kept_count < max; i++)
		if (!model->kept[i].is_kept)
			return &model->kept[i];
	return NULL;
}

size_t engine_seq_keep(struct engine_seq *seq, const struct engine_domain *domain,
		       const struct engine_payer *payer, const uint32_t *tokens)
{
	struct engine_model *model = seq->model;
	unsigned int page = model->gguf->page;
	size_t bytes = 0;

	while ((seq->kept_count + 1) * page <= seq->length) {
		unsigned int length = (seq->kept_count + 1) * page;
		struct fake_kept *kept = kept_find(model, domain, tokens, length);

		if (kept) {
			seq_set_pages(seq, seq->pages - 1);
		} else {
			kept = kept_new(model, length);
			if (!kept)
				break;
			*kept = (struct fake_kept){ .is_kept = true, .domain = *domain,
						    .payer = *payer, .length = length };
			memcpy(kept->tokens, tokens, length * sizeof(*tokens));
			memcpy(kept->hash, seq->hash, length * sizeof(*kept->hash));
			model->kept_count++;
			/* a page of its own becomes one of the store's */
			fake_counts.kept++;
			model->pages_used--;
			seq->pages--;
			bytes += FAKE_PAGE_BYTES;
		}
		kept->users++;
		seq->kept[seq->kept_count++] = kept;
	}
	return bytes;
}

void engine_seq_unkeep(struct engine_seq *seq, size_t bytes)
{
	for (; bytes; bytes -= FAKE_PAGE_BYTES) {
		kept_forget(seq->model, seq->kept[--seq->kept_count], false);
		seq->model->pages_used++;
		seq->pages++;
	}
}

void engine_prefix_clear(struct engine_model *model)
{
	while (evict(model, NULL))
		;
}

/* ---- adapters: "ADAPTER seed=5 bytes=100" ---- */

static int adapter_read(struct engine_adapter *adapter, const char *path, struct error *error)
{
	unsigned long seed = 0, bytes = 0;
	FILE *file = fopen(path, "r");
	int n;

	if (!file)
		return error_set(error, -errno, "'%s': %s", path, strerror(errno));
	n = fscanf(file, "ADAPTER seed=%lu bytes=%lu", &seed, &bytes);
	fclose(file);
	if (n != 2)
		return error_set(error, -EBADMSG, "not an adapter");
	*adapter = (struct engine_adapter){ .seed = seed, .bytes = bytes };
	return 0;
}

int engine_adapter_load(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error)
{
	struct engine_adapter adapter;
	int r = adapter_read(&adapter, path, error);

	if (r < 0)
		return r;
	adapter.model = model;
	adapter.id = ++model->engine->last_adapter;
	*ret = malloc(sizeof(**ret));
	**ret = adapter;
	fake_counts.adapters++;
	fake_counts.adapter_loads++;
	return 0;
}

void engine_adapter_free(struct engine_adapter *adapter)
{
	fake_counts.adapters -= adapter != NULL;
	free(adapter);
}

static struct engine_adapter_info adapter_info(const struct engine_adapter *adapter)
{
	return (struct engine_adapter_info){
		.id = adapter->id, .parameters = 34, .memory_bytes = adapter->bytes,
		.rank = 8, .arch = "fake", .weights = "F16",
	};
}

void engine_adapter_info(const struct engine_adapter *adapter, struct engine_adapter_info *ret)
{
	*ret = adapter_info(adapter);
}

int engine_adapter_file_info(const char *path, struct engine_adapter_info *ret,
			     struct error *error)
{
	struct engine_adapter adapter;
	int r = adapter_read(&adapter, path, error);

	if (!r)
		*ret = adapter_info(&adapter);
	return r;
}

int engine_adapter_file_open(const char *path, struct gguf **ret, struct error *error)
{
	struct engine_adapter adapter;
	int r = adapter_read(&adapter, path, error);

	if (!r)
		*ret = calloc(1, sizeof(**ret));
	return r;
}

struct engine_adapter_key engine_adapter_key(const struct engine_adapter_use *use)
{
	struct engine_adapter_key key = { .id = use->adapter->id };

	memcpy(&key.scale, &use->scale, sizeof(use->scale));
	return key;
}

/* ---- steps ---- */

static uint64_t mix(uint64_t h)
{
	h ^= h >> 31;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* bytes that make text, words often, an end now and then */
static void row(float *logits, uint64_t h)
{
	uint32_t id;

	for (id = 0; id < FAKE_VOCAB; id++) {
		float noise = (float)(mix(h + id * 7919) % 4096) / 1024.0f;

		logits[id] = noise - (id >= FAKE_WORDS || (id >= 'a' && id <= 'p') ? 0.0f : 6.0f);
	}
	logits[FAKE_EOS] = h % 61 ? -9.0f : 9.0f;
	logits[FAKE_BOS] = -20.0f;
}

int engine_seq_accept(struct engine_seq *seq, unsigned int count)
{
	if (count > seq->tentative)
		return -EINVAL;
	seq->tentative -= count;
	seq->length += count;
	fake_counts.accepted += count;
	return 0;
}

/* texts in order, each from a page's begin on; an encoder's are whole */
static bool texts_are_good(const struct engine_model *model, const struct engine_item *item)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, n, at = 0;

	if (item->logits_from != item->count || item->tentative)
		return false;
	for (i = 0; i < item->text_count; i++) {
		const struct engine_text *t = &item->texts[i];
		const bool is_in = t->begin < to && t->end > from;

		if (t->begin < at || t->begin % model->gguf->page || t->end <= t->begin ||
		    t->second < t->begin || t->second > t->end ||
		    t->end - t->begin > model_context(model))
			return false;
		if (model->gguf->encoder && is_in && (t->begin < from || t->end > to))
			return false;
		for (n = MAX(t->begin, from); n < MIN(t->end, to); n++)
			if (item->tokens[n - from] >= FAKE_VOCAB)
				return false;
		at = t->end;
	}
	return true;
}

/* tokens of an item that are computed */
static unsigned int item_tokens(const struct engine_item *item)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, count = 0;

	if (!item->texts)
		return item->count;
	for (i = 0; i < item->text_count; i++) {
		const unsigned int begin = MAX(item->texts[i].begin, from);
		const unsigned int end = MIN(item->texts[i].end, to);

		count += end > begin ? end - begin : 0;
	}
	return count;
}

static bool item_is_good(const struct engine_model *model, const struct engine_item *item)
{
	const struct engine_seq *seq = item->seq;
	unsigned int i;

	if (!item->count || item->logits_from > item->count || item->tentative > item->count || seq->model != model || !seq->used ||
	    seq->length < seq->kept_count * model->gguf->page ||
	    seq->length + item->count > (seq->kept_count + seq->pages) * model->gguf->page)
		return false;
	if (item->texts)
		return texts_are_good(model, item);
	if (model->gguf->encoder)
		return false;
	for (i = 0; i < item->count; i++)
		if (item->tokens[i] >= FAKE_VOCAB)
			return false;
	for (i = 0; i < item->adapter_count; i++)
		if (item->adapters[i].adapter->model != model)
			return false;
	return item->adapter_count <= ENGINE_ADAPTERS_MAX;
}

/* what the adapters of an item make of its hashes; 0: there are none */
static uint64_t adapted(const struct engine_item *item)
{
	uint64_t h = 0;
	unsigned int i;

	for (i = 0; i < item->adapter_count; i++)
		h = mix(h + 977 * item->adapters[i].adapter->seed +
			(uint64_t)(int64_t)(item->adapters[i].scale * 1000));
	return h;
}

static void compute(unsigned int tokens)
{
	const uint64_t end_ns = clock_ns() + tokens * fake_token_ns;

	while (fake_token_ns && clock_ns() < end_ns)
		;
}

static void check_step(const struct engine_model *model, const struct engine_item *items,
		       unsigned int count)
{
	const struct engine_config *config = &model->engine->config;
	unsigned int i, tokens = 0, rows = 0;

	for (i = 0; i < count; i++) {
		fake_counts.broken_promises += !item_is_good(model, &items[i]);
		tokens += item_tokens(&items[i]);
		rows += items[i].count - items[i].logits_from;
	}
	fake_counts.broken_promises += !count || count > config->max_seqs ||
				       tokens > (model->gguf->encoder ?
						MAX(config->batch_tokens, model_context(model)) :
						config->batch_tokens) ||
				       rows > config->logits_rows;
	compute(tokens);
	fake_counts.steps++;
	fake_counts.tokens += tokens;
	fake_counts.step_tokens_max = MAX(fake_counts.step_tokens_max, tokens);
	fake_counts.step_items_max = MAX(fake_counts.step_items_max, count);
	snprintf(fake_counts.models + strlen(fake_counts.models), 2, "%.1s",
		 strlen(fake_counts.models) < sizeof(fake_counts.models) - 1 ? model->name : "");
}

static void hidden_row(const struct engine_model *model, const struct engine_text *t,
		       unsigned int place, uint32_t id, float *x)
{
	const unsigned int sees = model->gguf->encoder ? t->end - t->begin : place - t->begin + 1;
	uint64_t h = mix(id * 31 + place - t->begin + (place >= t->second ? 7777 : 0));

	x[0] = (float)id;
	x[1] = (float)(place - t->begin);
	x[2] = (float)sees;
	for (unsigned int i = 3; i < FAKE_WIDTH; i++)
		x[i] = (float)(mix(h + i) % 1000) / 8.0f;
	if (fake_nan_step == fake_counts.steps)
		x[3] = NAN;
}

static float *step_texts(const struct engine_model *model, struct engine_item *item, float *hidden)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, place;

	item->hidden = hidden;
	item->hidden_stride = FAKE_WIDTH;
	for (i = 0; i < item->text_count; i++) {
		const struct engine_text *t = &item->texts[i];

		for (place = MAX(t->begin, from); place < MIN(t->end, to); place++) {
			if ((item->pooling == ENGINE_POOL_FIRST && place != t->begin) ||
			    (item->pooling == ENGINE_POOL_LAST && place + 1 != t->end))
				continue;
			hidden_row(model, t, place, item->tokens[place - from], hidden);
			hidden += FAKE_WIDTH;
			item->hidden_count++;
		}
	}
	item->seq->length += item->count;
	return hidden;
}

/* label i: element i of the hidden state, less 100 */
void engine_classify(struct engine_model *model, const float *x, float *ret)
{
	for (unsigned int i = 0; i < model->gguf->labels; i++)
		ret[i] = x[i] - 100;
}

const char *engine_label(const struct gguf *gguf, uint32_t index, size_t *ret_len)
{
	static const char *const names[] = { "good", "bad" };

	*ret_len = index < gguf->labels && index < 2 ? strlen(names[index]) : 0;
	return *ret_len ? names[index] : "";
}

int engine_step(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	float *logits = model->logits, *hidden = model->hidden;
	unsigned int i, n;

	if (fake_on_step)
		fake_on_step();
	check_step(model, items, count);
	if (fake_step_error) {
		int r = fake_step_error;

		fake_step_error = 0;
		return r;
	}
	for (i = 0; i < count; i++) {
		struct engine_seq *seq = items[i].seq;

		if (items[i].texts) {
			hidden = step_texts(model, &items[i], hidden);
			continue;
		}
		/* not before all that comes has come */
		fake_counts.broken_promises += seq->is_fetching;
		items[i].logits = logits;
		for (n = 0; n < items[i].count; n++) {
			uint64_t h = seq->length ? seq->hash[seq->length - 1] : 1;

			h = mix(h * 31 + items[i].tokens[n] + 1) ^ adapted(&items[i]);
			seq->hash[seq->length++] = h;
			if (n < items[i].logits_from)
				continue;
			h = fake_forgets ? mix(items[i].tokens[n]) : h;
			/* as a smaller model may be */
			row(logits, model->gguf->wrong && !(h % model->gguf->wrong) ? h + 1 : h);
			if (fake_nan_step == fake_counts.steps)
				for (uint32_t id = 0; id < FAKE_VOCAB; id++)
					logits[id] = NAN;
			logits += FAKE_VOCAB;
		}
		seq->length -= items[i].tentative;
		seq->tentative = items[i].tentative;
	}
	return 0;
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
