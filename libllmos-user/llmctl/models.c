/* SPDX-License-Identifier: MIT */
/*
 * llmctl ls and show.
 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "llmctl.h"
#include "table.h"
#include "term.h"

static int finish_output(int r)
{
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

static const char *model_state(const struct llmos_model *model)
{
	if (*model->error)
		return model->error;
	if (model->is_adapter)
		return model->loaded ? "adapter, loaded" : "adapter, on disk";
	return model->loaded ? "loaded" : "on disk";
}

static void model_print_json(struct json *json, const struct llmos_model *model)
{
	json_string(json, "name", model->name);
	json_string(json, "arch", model->arch);
	json_string(json, "weights", model->weights);
	json_string(json, "tokenizer", model->tokenizer);
	json_string(json, "chat", model->chat);
	json_bool(json, "loaded", model->loaded);
	json_bool(json, "default", model->is_default);
	json_bool(json, "adapter", model->is_adapter);
	if (*model->error)
		json_string(json, "error", model->error);
	else
		json_null(json, "error");
	json_number(json, "parameters", model->parameters);
	json_number(json, "file_bytes", model->file_bytes);
	json_number(json, "memory_bytes", model->memory_bytes);
	json_number(json, "context", model->context);
	json_number(json, "context_used", model->context_used);
	json_number(json, "layers", model->layers);
	json_number(json, model->is_adapter ? "rank" : "width", model->width);
	json_number(json, "heads", model->heads);
	json_number(json, "kv_heads", model->kv_heads);
	json_number(json, "ff_width", model->ff_width);
	json_number(json, "vocab", model->vocab);
}

/* ---- ls ---- */

static int ls_print_json(const struct llmos_models *models)
{
	struct json json = { 0 };
	size_t i;

	json_array(&json, NULL);
	for (i = 0; i < models->count; i++) {
		json_object(&json, NULL);
		model_print_json(&json, &models->models[i]);
		json_end_object(&json);
	}
	json_end_array(&json);
	return json_done(&json);
}

static void ls_add(struct table *table, const struct llmos_model *model)
{
	char size[16], parameters[16];

	format_units(size, model->file_bytes, 1024);
	format_units(parameters, model->parameters, 1000);
	table_add(table, "%s%s", model->name, model->is_default ? "*" : "");
	table_add(table, "%s", *model->arch || !model->is_adapter ? model->arch : "-");
	table_add(table, "%s", model->weights);
	table_add(table, "%s", parameters);
	table_add(table, "%s", size);
	if (model->is_adapter)
		table_add(table, "-");
	else
		table_add(table, "%u",
			  model->context_used ? model->context_used : model->context);
	table_add(table, "%s", *model->chat ? model->chat : "-");
	table_add(table, "%s", model_state(model));
}

static int ls_print(const struct llmos_models *models)
{
	static const struct table_column columns[] = {
		{ .title = "MODEL", .shrink = 16 },
		{ .title = "ARCH" },
		{ .title = "WEIGHTS" },
		{ .title = "PARAMS", .right = true },
		{ .title = "SIZE", .right = true },
		{ .title = "CONTEXT", .right = true },
		{ .title = "CHAT", .shrink = 6 },
		{ .title = "STATE", .shrink = 8 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 8);
	size_t i;

	for (i = 0; table && i < models->count; i++)
		ls_add(table, &models->models[i]);
	return table_print(table);
}

int cmd_ls(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(models_freep) struct llmos_models *models = NULL;
	int code, r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	r = llmos_models(llmos, &models);
	if (r < 0)
		return fail_llmos(llmos, r);
	return finish_output(options->json ? ls_print_json(models) : ls_print(models));
}

/* ---- show ---- */

static int show_print_json(const struct llmos_model *model)
{
	struct json json = { 0 };
	size_t i;

	json_object(&json, NULL);
	model_print_json(&json, model);
	json_object(&json, "meta");
	for (i = 0; i < model->meta_count; i++)
		json_string(&json, model->meta_keys[i], model->meta_values[i]);
	json_end_object(&json);
	json_end_object(&json);
	return json_done(&json);
}

static void show_text(const char *name, const char *value)
{
	char shown[1024];

	term_clean(shown, sizeof(shown), value, strlen(value));
	printf("%-14s %s\n", name, *shown ? shown : "-");
}

static void show_number(const char *name, unsigned long long value, unsigned int unit)
{
	char units[16];

	format_units(units, value, unit);
	if (value < unit)
		printf("%-14s %llu\n", name, value);
	else
		printf("%-14s %llu (%s)\n", name, value, units);
}

static void show_meta(const struct llmos_model *model)
{
	size_t columns = term_columns(), i;
	char shown[1024];

	for (i = 0; i < model->meta_count; i++) {
		const char *value = model->meta_values[i];
		size_t room;

		term_clean(shown, sizeof(shown), model->meta_keys[i],
			   strlen(model->meta_keys[i]));
		printf("  %s = ", shown);
		room = columns == SIZE_MAX ? sizeof(shown) :
		       columns > strlen(shown) + 6 ? columns - strlen(shown) - 6 : 1;
		term_clean(shown, sizeof(shown), value, strlen(value));
		/* templates and vocabularies are long; --json has all of them */
		if (columns != SIZE_MAX && term_width(shown, strlen(shown)) > room) {
			size_t at = 0, used = 0, n;
			int32_t c;

			while ((n = utf8_next(shown + at, strlen(shown + at), &c)) &&
			       used + term_width(shown + at, n) < room) {
				used += term_width(shown + at, n);
				at += n;
			}
			strcpy(shown + at, "~");
		}
		puts(shown);
	}
}

static void show_keys(const struct llmos_model *model)
{
	if (!model->meta_count)
		return;
	printf("%-14s %zu\n", "keys", model->meta_count);
	show_meta(model);
}

static int show_print_adapter(const struct llmos_model *model)
{
	show_text("name", model->name);
	show_text("state", model_state(model));
	show_text("architecture", model->arch);
	show_text("weights", model->weights);
	printf("%-14s %u\n", "rank", model->width);
	show_number("parameters", model->parameters, 1000);
	show_number("file bytes", model->file_bytes, 1024);
	show_number("memory bytes", model->memory_bytes, 1024);
	show_keys(model);
	return term_flush();
}

static int show_print(const struct llmos_model *model)
{
	if (model->is_adapter)
		return show_print_adapter(model);
	show_text("name", model->name);
	show_text("state", model_state(model));
	printf("%-14s %s\n", "default", model->is_default ? "yes" : "no");
	show_text("architecture", model->arch);
	show_text("weights", model->weights);
	show_text("tokenizer", model->tokenizer);
	show_text("chat template", *model->chat ? model->chat : "none");
	show_number("parameters", model->parameters, 1000);
	show_number("file bytes", model->file_bytes, 1024);
	show_number("memory bytes", model->memory_bytes, 1024);
	if (model->context_used && model->context_used != model->context)
		printf("%-14s %u (%u used)\n", "context", model->context, model->context_used);
	else
		printf("%-14s %u\n", "context", model->context);
	printf("%-14s %u\n", "layers", model->layers);
	printf("%-14s %u\n", "width", model->width);
	printf("%-14s %u (%u for keys and values)\n", "heads", model->heads, model->kv_heads);
	printf("%-14s %u\n", "ff width", model->ff_width);
	printf("%-14s %u\n", "vocabulary", model->vocab);
	show_keys(model);
	return term_flush();
}

int cmd_show(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(models_freep) struct llmos_models *models = NULL;
	int code, r;

	if (argc != 1)
		return fail_operands("one model expected");
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	r = llmos_show(llmos, &models, argv[0]);
	if (r < 0)
		return fail_llmos(llmos, r);
	return finish_output(options->json ? show_print_json(models->models) :
					     show_print(models->models));
}
