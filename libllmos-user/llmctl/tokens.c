/* SPDX-License-Identifier: MIT */
/*
 * llmctl tokenize, detokenize and score.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "table.h"
#include "term.h"
#include "tokens.h"

/* ---- printing ---- */

void token_print_json(struct json *json, const struct llmos_token *token, bool logprob)
{
	size_t i;

	json_object(json, NULL);
	json_number(json, "id", token->id);
	json_text(json, "text", token->text, token->text_len);
	if (logprob)
		json_real(json, "logprob", token->logprob);
	if (token->top_count) {
		json_array(json, "top");
		for (i = 0; i < token->top_count; i++) {
			json_object(json, NULL);
			json_number(json, "id", token->top[i].id);
			json_real(json, "logprob", token->top[i].logprob);
			json_end_object(json);
		}
		json_end_array(json);
	}
	json_end_object(json);
}

/* the bytes of a token in quotes, so that its spaces can be seen */
static char *token_quoted(const struct llmos_token *token)
{
	size_t size = 4 * token->text_len + 32;
	char *text = malloc(size), *at = text;
	size_t i;

	if (!text)
		return NULL;
	*at++ = '"';
	for (i = 0; i < token->text_len; i++) {
		switch (token->text[i]) {
		case '\n':	at = stpcpy(at, "\\n"); break;
		case '\t':	at = stpcpy(at, "\\t"); break;
		case '"':	at = stpcpy(at, "\\\""); break;
		case '\\':	at = stpcpy(at, "\\\\"); break;
		default:	*at++ = token->text[i] ? token->text[i] : ' ';
		}
	}
	strcpy(at, "\"");
	return text;
}

static void token_add_top(struct table *table, const struct llmos_token *token)
{
	char line[512];
	size_t i, used = 0;

	line[0] = '\0';
	for (i = 0; i < token->top_count && used + 32 < sizeof(line); i++)
		used += snprintf(line + used, sizeof(line) - used, "%s%u:%.3f", i ? " " : "",
				 token->top[i].id, token->top[i].logprob);
	table_add(table, "%s", line);
}

int tokens_print_table(const struct llmos_token *tokens, size_t count)
{
	static const struct table_column columns[] = {
		{ .title = "TOKEN", .right = true },
		{ .title = "LOGPROB", .right = true },
		{ .title = "TEXT", .shrink = 10 },
		{ .title = "LIKELIEST", .shrink = 10 },
	};
	_cleanup_(table_freep) struct table *table = NULL;
	bool top = false;
	size_t i;

	for (i = 0; i < count; i++)
		top |= tokens[i].top_count;
	table = table_new(columns, top ? 4 : 3);
	for (i = 0; table && i < count; i++) {
		_cleanup_free_ char *text = token_quoted(&tokens[i]);

		table_add(table, "%u", tokens[i].id);
		if (isnan(tokens[i].logprob))
			table_add(table, "-");
		else
			table_add(table, "%.6f", tokens[i].logprob);
		table_add(table, "%s", text ? text : "?");
		if (top)
			token_add_top(table, &tokens[i]);
	}
	return table_print(table);
}

/* ---- input ---- */

/* the operands, or standard input byte for byte */
static int text_input(struct bytes *text, size_t max, int argc, char **argv)
{
	int r = input_join(text, argc, argv);

	if (!r && !argc) {
		if (input_is_terminal())
			return fail_operands("no text given");
		r = input_append_stdin(text, max);
	}
	if (r == -E2BIG)
		return fail(EX_DATAERR, "standard input: more than %zu bytes", max);
	if (r < 0)
		return fail(exit_code(r), "standard input: %s", strerror(-r));
	return EX_OK;
}

/* every id takes up to eleven characters where it is written out */
static size_t ids_text_max(const struct llmos *llmos)
{
	return llmos_payload_max(llmos) / sizeof(uint32_t) * 11;
}

static int ids_input(const struct llmos *llmos, uint32_t **ret_ids, size_t *ret_count, int argc,
		     char **argv)
{
	_cleanup_(bytes_freep) struct bytes text = { 0 };
	int code = text_input(&text, ids_text_max(llmos), argc, argv);

	return code ? code : input_ids(&text, ret_ids, ret_count);
}

static int finish_output(int r)
{
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

/* ---- tokenize ---- */

static int tokenize_print(const struct options *options, const struct llmos_tokens *tokens)
{
	struct json json = { 0 };
	size_t i;

	if (options->json) {
		json_array(&json, NULL);
		for (i = 0; i < tokens->count; i++)
			token_print_json(&json, &tokens->tokens[i], false);
		json_end_array(&json);
		return json_done(&json);
	}
	for (i = 0; i < tokens->count; i++) {
		_cleanup_free_ char *text = NULL;
		char shown[256];

		if (options->ids) {
			printf("%s%u", i ? " " : "", tokens->tokens[i].id);
			continue;
		}
		text = token_quoted(&tokens->tokens[i]);
		if (!text)
			return -ENOMEM;
		term_clean(shown, sizeof(shown), text, strlen(text));
		printf("%7u  %s\n", tokens->tokens[i].id, shown);
	}
	if (options->ids)
		putchar('\n');
	return term_flush();
}

int cmd_tokenize(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(tokens_freep) struct llmos_tokens *tokens = NULL;
	_cleanup_(bytes_freep) struct bytes text = { 0 };
	struct llmos_tokenize_opts opts = {
		.size = sizeof(opts),
		.model = options->model,
		.special = options->special,
		.bos = options->bos,
	};
	int code, r;

	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = text_input(&text, llmos_payload_max(llmos), argc, argv);
	if (code)
		return code;
	r = llmos_tokenize(llmos, &tokens, text.data, text.len, &opts);
	if (r < 0)
		return fail_llmos(llmos, r);
	return finish_output(tokenize_print(options, tokens));
}

/* ---- detokenize ---- */

int cmd_detokenize(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_free_ uint32_t *ids = NULL;
	_cleanup_free_ char *text = NULL;
	struct json json = { 0 };
	size_t count, len;
	int code, r;

	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = ids_input(llmos, &ids, &count, argc, argv);
	if (code)
		return code;
	r = llmos_detokenize(llmos, &text, &len, ids, count, options->model);
	if (r < 0)
		return fail_llmos(llmos, r);
	if (options->json) {
		json_object(&json, NULL);
		json_text(&json, "text", text, len);
		json_end_object(&json);
		return finish_output(json_done(&json));
	}
	/* byte for byte into a pipe; on a terminal the prompt wants a line of its own */
	r = term_write_text(text, len);
	if (!r && term_is_terminal() && (!len || text[len - 1] != '\n'))
		r = term_write("\n", 1);
	return finish_output(r);
}

/* ---- score ---- */

struct score {
	double sum;
	size_t count;	/* tokens that have a log-probability */
};

static struct score score_sum(const struct llmos_tokens *tokens)
{
	struct score score = { 0 };
	size_t i;

	for (i = 0; i < tokens->count; i++) {
		if (isnan(tokens->tokens[i].logprob))
			continue;
		score.sum += tokens->tokens[i].logprob;
		score.count++;
	}
	return score;
}

static int score_print_json(const struct llmos_tokens *tokens)
{
	struct score score = score_sum(tokens);
	struct json json = { 0 };
	size_t i;

	json_object(&json, NULL);
	json_array(&json, "tokens");
	for (i = 0; i < tokens->count; i++)
		token_print_json(&json, &tokens->tokens[i], true);
	json_end_array(&json);
	json_number(&json, "scored", score.count);
	json_real(&json, "logprob", score.sum);
	json_real(&json, "perplexity", exp(-score.sum / (double)score.count));
	json_end_object(&json);
	return json_done(&json);
}

static int score_print(const struct llmos_tokens *tokens)
{
	struct score score = score_sum(tokens);
	int r = tokens_print_table(tokens->tokens, tokens->count);

	if (r < 0)
		return r;
	printf("\n%zu tokens, %zu scored", tokens->count, score.count);
	if (score.count)
		printf(", log-probability %.6f, perplexity %.6g", score.sum,
		       exp(-score.sum / (double)score.count));
	putchar('\n');
	return term_flush();
}

static int score_run(struct llmos *llmos, struct llmos_tokens **ret, const struct options *options,
		     int argc, char **argv)
{
	_cleanup_(bytes_freep) struct bytes text = { 0 };
	_cleanup_free_ uint32_t *ids = NULL;
	struct llmos_score_opts opts = {
		.size = sizeof(opts),
		.model = options->model,
		.special = options->special,
		.no_bos = options->no_bos,
		.top_logprobs = options->logprobs > 0 ? (uint32_t)options->logprobs : 0,
		.sched_class = options->sched_class,
		.no_wait = options->no_wait,
		.adapters = options->adapters,
		.adapter_count = options->adapter_count,
	};
	size_t count;
	int code, r;

	code = options->ids ? ids_input(llmos, &ids, &count, argc, argv) :
			      text_input(&text, llmos_payload_max(llmos), argc, argv);
	if (code)
		return code;
	r = options->ids ? llmos_score_ids(llmos, ret, ids, count, &opts) :
			   llmos_score(llmos, ret, text.data, text.len, &opts);
	return r < 0 ? fail_llmos(llmos, r) : EX_OK;
}

int cmd_score(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(tokens_freep) struct llmos_tokens *tokens = NULL;
	int code;

	if (options->ids && (options->special || options->no_bos))
		return fail(EX_USAGE, "option '--ids' and '--%s' exclude each other",
			    options->special ? "special" : "no-bos");
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = score_run(llmos, &tokens, options, argc, argv);
	if (code)
		return code;
	return finish_output(options->json ? score_print_json(tokens) : score_print(tokens));
}
