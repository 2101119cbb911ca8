/* SPDX-License-Identifier: MIT */
/* What tests of the scheduler have in common; see sched_fixture.h. */
#include "sched_fixture.h"

#include <poll.h>

const char *folder;
struct test_broker broker;
struct sched_config config;

void fixture_begin(const char *name)
{
	folder = fake_folder();
	memset(&fake_counts, 0, sizeof(fake_counts));
	config = (struct sched_config){ .models = folder, .default_model = name };
	test_broker_init(&broker);
}

void fixture_small(const char *name)
{
	fixture_begin(name);
	config.engine.batch_tokens = 20;
	config.slots = 4;
}

void fixture_guess(void)
{
	fake_forgets = true;
	config.draft_tokens = 8;
}

int fixture_end(void **state)
{
	const uint64_t held = test_held(&broker);

	(void)state;
	test_broker_free(&broker);
	fake_folder_remove();
	fake_reset();
	if (!held && !fake_counts.broken_promises && !fake_counts.seqs && !fake_counts.pages &&
	    !fake_counts.kept && !fake_counts.adapters)
		return 0;
	fprintf(stderr, "# broken promises %u; left: bytes charged %llu, sequences %u, pages %u (kept %u), adapters %u\n",
		fake_counts.broken_promises, (unsigned long long)held, fake_counts.seqs,
		fake_counts.pages, fake_counts.kept, fake_counts.adapters);
	return -1;
}

void serve(const char *text)
{
	fake_model(folder, "a.gguf", text);
	test_broker_serve(&broker, &config);
}

/* ---- requests ---- */

struct test_request *ask_model(const char *model, const char *text, unsigned int tokens)
{
	struct test_request *request = test_ask(&broker, text);

	snprintf(request->event.model, sizeof(request->event.model), "%s", model);
	request->event.max_tokens = tokens;
	request->event.flags |= LLM_SUBMIT_IGNORE_EOS;
	return request;
}

void answered(const struct test_request *request)
{
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->event.output_tokens, request->event.max_tokens);
}

void failed(const struct test_request *request, int status)
{
	assert_true(request->ended);
	assert_int_equal(request->status, status);
}

void fixture_turns(void)
{
	while (test_turn(&broker))
		;
}

void fixture_hear(void)
{
	struct pollfd news = { .fd = sched_fd(broker.sched), .events = POLLIN };

	assert_int_equal(poll(&news, 1, 60000), 1);
	sched_heard(broker.sched);
}

void assert_same_output(const struct test_request *a, const struct test_request *b)
{
	assert_true(a->output.len > 0);
	assert_int_equal(a->output.len, b->output.len);
	assert_memory_equal(bytes_data(&a->output), bytes_data(&b->output), a->output.len);
}

unsigned int fixture_loaded(void)
{
	struct llm_status status;

	sched_fill_status(broker.sched, &status);
	return status.models_loaded;
}

size_t put_option(uint8_t *payload, size_t at, enum llm_option_type type, const void *data,
		  size_t len)
{
	const struct llm_option head = { .type = type, .len = (uint32_t)len };

	memcpy(payload + at, &head, sizeof(head));
	if (len)
		memcpy(payload + at + sizeof(head), data, len);
	return at + sizeof(head) + len;
}

/* ---- records ---- */

/* the record at @at: its head, and whether it is whole */
static struct llm_record record_head(const struct test_request *request, size_t at)
{
	struct llm_record head;

	assert_true(request->output.len - at >= sizeof(head));
	memcpy(&head, bytes_data(&request->output) + at, sizeof(head));
	assert_true(head.len <= request->output.len - at - sizeof(head) && !head.pad &&
		    head.len <= LLM_RECORD_BYTES_MAX);
	return head;
}

const uint8_t *record_at(const struct test_request *request, unsigned int type, size_t index,
			 size_t *ret_len)
{
	struct llm_record head;
	size_t at;

	for (at = 0; at < request->output.len; at += sizeof(head) + head.len) {
		head = record_head(request, at);
		if (head.type == type && !index--) {
			*ret_len = head.len;
			return bytes_data(&request->output) + at + sizeof(head);
		}
	}
	return NULL;
}

size_t record_count(const struct test_request *request, unsigned int type)
{
	struct llm_record head;
	size_t at, count = 0;

	for (at = 0; at < request->output.len; at += sizeof(head) + head.len) {
		head = record_head(request, at);
		count += head.type == type;
	}
	return count;
}

void assert_error(const struct test_request *request, int status, const char *part)
{
	char text[512] = "";
	const uint8_t *body;
	size_t len = 0;

	assert_true(request->ended);
	assert_int_equal(request->status, status);
	body = record_at(request, LLM_RECORD_ERROR, 0, &len);
	assert_non_null(body);
	snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)body);
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
	assert_null(strchr(text, '\n'));
}
