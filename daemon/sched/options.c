// SPDX-License-Identifier: MIT
#include "sched/options.h"

#include <string.h>

static int options_add_adapter(struct options *options, const struct llm_event *event,
			       const char *data, size_t len, struct error *error)
{
	struct option_adapter *adapter = &options->adapters[options->adapter_count];
	struct llm_adapter head;
	unsigned int i;

	if (event->op != LLM_OP_GENERATE && event->op != LLM_OP_SCORE)
		return error_set(error, -EINVAL, "adapters are for answers and scores only");
	if (options->adapter_count == LLM_ADAPTERS_MAX)
		return error_set(error, -E2BIG, "more than %d adapters", LLM_ADAPTERS_MAX);
	if (len <= sizeof(head) || len - sizeof(head) >= sizeof(adapter->name) ||
	    memchr(data + sizeof(head), '\0', len - sizeof(head)))
		return error_set(error, -EINVAL, "an adapter's name is missing, or no name");
	memcpy(&head, data, sizeof(head));
	*adapter = (struct option_adapter){ .scale = head.scale };
	memcpy(adapter->name, data + sizeof(head), len - sizeof(head));
	for (i = 0; i < options->adapter_count; i++)
		if (!strcmp(options->adapters[i].name, adapter->name))
			return error_set(error, -EINVAL, "adapter '%s' is named twice",
					 adapter->name);
	options->adapter_count++;
	return 0;
}

/* options_number() - the data of an option that is a number in [min, max] */
static int options_number(const struct llm_option *option, const char *data, uint32_t min,
			  uint32_t max, uint32_t *ret, struct error *error)
{
	uint32_t value;

	if (option->len != sizeof(value))
		return error_set(error, -EINVAL, "option %u has %u bytes, not %zu", option->type,
				 option->len, sizeof(value));
	memcpy(&value, data, sizeof(value));
	if (value < min || value > max)
		return error_set(error, -EINVAL, "option %u is %u, not %u to %u", option->type,
				 value, min, max);
	*ret = value;
	return 0;
}

/* options_add_vector() - of texts that become vectors or labels */
static int options_add_vector(struct options *options, const struct llm_event *event,
			      const struct llm_option *option, const char *data,
			      struct error *error)
{
	const uint32_t bit = 1U << (option->type - LLM_OPTION_POOLING);
	uint32_t normalizes;
	int r;

	if (event->op != LLM_OP_CLASSIFY &&
	    (event->op != LLM_OP_EMBED || option->type == LLM_OPTION_QUERY))
		return error_set(error, -EINVAL, "operation %u has no option %u", event->op,
				 option->type);
	if (event->op == LLM_OP_CLASSIFY && option->type < LLM_OPTION_TRUNCATE)
		return error_set(error, -EINVAL, "labels have no option %u", option->type);
	if (options->given & bit)
		return error_set(error, -EINVAL, "option %u is there twice", option->type);
	options->given |= bit;
	switch (option->type) {
	case LLM_OPTION_POOLING:
		return options_number(option, data, LLM_POOLING_MEAN, LLM_POOLING_LAST,
				      &options->pooling, error);
	case LLM_OPTION_NORMALIZE:
		r = options_number(option, data, 0, 1, &normalizes, error);
		if (!r)
			options->is_raw = !normalizes;
		return r;
	case LLM_OPTION_DIMS:
		return options_number(option, data, 1, UINT32_MAX, &options->dims, error);
	case LLM_OPTION_TRUNCATE:
		options->truncates = true;
		return option->len ? error_set(error, -EINVAL, "option %u has no data",
					       option->type) : 0;
	default:
		options->query = data;
		options->query_len = option->len;
		return 0;
	}
}

static int options_add_shift(struct options *options, const struct llm_event *event,
			     const struct llm_option *option, const char *data,
			     struct error *error)
{
	if (event->op != LLM_OP_GENERATE && event->op != LLM_OP_APPEND)
		return error_set(error, -EINVAL, "only a text that goes on can do so behind the context");
	if (options->shifts)
		return error_set(error, -EINVAL, "option %u is there twice", option->type);
	options->shifts = true;
	return option->len ? options_number(option, data, 1, UINT32_MAX, &options->keep, error) : 0;
}

/* options_add_grammar() - what it says is looked at when it is compiled */
static int options_add_grammar(struct options *options, const struct llm_event *event,
			       const struct llm_option *option, const char *data,
			       struct error *error)
{
	if (options->grammar_type)
		return error_set(error, -EINVAL, "more than one grammar or schema");
	if (event->op != LLM_OP_GENERATE)
		return error_set(error, -EINVAL, "only an answer can be held to a grammar");
	if (event->flags & LLM_SUBMIT_IGNORE_EOS)
		return error_set(error, -EINVAL,
				 "an answer that is held to a grammar ends where that does");
	if (option->type == LLM_OPTION_JSON && option->len)
		return error_set(error, -EINVAL, "any JSON has no text");
	options->grammar_type = option->type;
	options->grammar = data;
	options->grammar_len = option->len;
	return 0;
}

static int options_add(struct options *options, const struct llm_event *event,
		       const struct llm_option *option, const char *data, struct error *error)
{
	switch (option->type) {
	case LLM_OPTION_JSON:
	case LLM_OPTION_SCHEMA:
	case LLM_OPTION_GRAMMAR:
		return options_add_grammar(options, event, option, data, error);
	case LLM_OPTION_ADAPTER:
		return options_add_adapter(options, event, data, option->len, error);
	case LLM_OPTION_CONTEXT_SHIFT:
		return options_add_shift(options, event, option, data, error);
	case LLM_OPTION_POOLING:
	case LLM_OPTION_NORMALIZE:
	case LLM_OPTION_DIMS:
	case LLM_OPTION_TRUNCATE:
	case LLM_OPTION_QUERY:
		return options_add_vector(options, event, option, data, error);
	default:
		return error_set(error, -EINVAL, "unknown option %u", option->type);
	}
}

static int options_add_all(struct options *options, const struct llm_event *event,
			   const uint8_t *payload, size_t *ret_bytes, struct error *error)
{
	struct llm_option option;
	size_t at = 0;
	int r;

	for (;;) {
		if (event->payload_len - at < sizeof(option))
			return error_set(error, -EINVAL, "the options have no end");
		memcpy(&option, payload + at, sizeof(option));
		at += sizeof(option);
		if (option.len > event->payload_len - at)
			return error_set(error, -EINVAL, "option %u says %u bytes, there are %zu",
					 option.type, option.len, event->payload_len - at);
		if (option.type == LLM_OPTION_END)
			break;
		if (at + option.len > OPTIONS_BYTES_MAX)
			return error_set(error, -E2BIG, "options of more than %u bytes",
					 OPTIONS_BYTES_MAX);
		r = options_add(options, event, &option, (const char *)payload + at, error);
		if (r < 0)
			return r;
		at += option.len;
	}
	if (option.len)
		return error_set(error, -EINVAL, "the end of the options has no data");
	*ret_bytes = at;
	return 0;
}

int options_read(const struct llm_event *event, const uint8_t *payload, struct options *options,
		 size_t *ret_bytes, struct error *error)
{
	const int r = options_add_all(options, event, payload, ret_bytes, error);

	if (r < 0)
		*options = (struct options){ 0 };
	return r;
}
