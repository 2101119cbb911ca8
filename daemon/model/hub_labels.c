/* SPDX-License-Identifier: MIT */
/*
 * Heads that label texts: whether a hub's model has one stands in the name of the class that
 * config.json says it was saved from, what the labels are called in the same file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/hub_internal.h"
#include "model/hub_modules.h"
#include "model/model.h"

#define LABEL_BYTES_MAX	256U		/* LLM_LABEL_NAME_MAX */

static bool ends_with(const char *text, const char *end)
{
	const size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

int hub_classifier_find(struct hub_config *c)
{
	static const char *const others[] = {
		"ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
		"ForNextSentencePrediction",
	};
	const json_t *json = json_array_get(json_object_get(c->json, "architectures"), 0);
	const char *class = json_string_value(json);

	if (!class)
		return 0;
	c->is_classifier = ends_with(class, "ForSequenceClassification");
	c->is_base = ends_with(class, "Model") && !ends_with(class, "LMHeadModel");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (ends_with(class, others[i]))
			return hub_refuse(c, "architectures");
	return 0;
}

/* one of id2label, whose keys are numbers as texts */
static int read_label(const struct hub_config *c, const json_t *names, uint32_t label,
		      struct gguf_string *ret)
{
	const json_t *name;
	char key[16], *copy;
	size_t len;

	snprintf(key, sizeof(key), "%" PRIu32, label);
	name = json_object_get(names, key);
	if (!json_is_string(name))
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": 'id2label' has no label %s",
				 key);
	len = json_string_length(name);
	if (len > LABEL_BYTES_MAX)
		return error_set(c->error, -EBADMSG, HUB_CONFIG ": label %s has %zu bytes", key,
				 len);
	copy = gguf_alloc(c->gguf, len + 1);
	if (!copy)
		return error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	memcpy(copy, json_string_value(name), len);
	*ret = (struct gguf_string){ copy, len };
	return 0;
}

static int add_names(const struct hub_config *c, const json_t *names, uint32_t count)
{
	struct gguf_string *labels = gguf_alloc(c->gguf, count * sizeof(*labels));
	char key[64];
	int r = 0;

	if (!labels)
		return error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	if (json_object_size(names) != count)
		return error_set(c->error, -EBADMSG,
				 HUB_CONFIG ": 'id2label' names %zu labels, there are %u",
				 json_object_size(names), count);
	for (uint32_t i = 0; r >= 0 && i < count; i++)
		r = read_label(c, names, i, &labels[i]);
	if (r < 0)
		return r;
	snprintf(key, sizeof(key), "%s.classifier.output_labels", c->arch->arch);
	r = gguf_add_strings(c->gguf, key, labels, count);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": %s", strerror(-r)) : 0;
}

/* a text may have several labels, or exactly one */
static int add_problem(const struct hub_config *c)
{
	const json_t *type = json_object_get(c->json, "problem_type");
	const bool several = json_is(type, "multi_label_classification");
	int r;

	if (type && !json_is_null(type) && !several && !json_is(type, "regression") &&
	    !json_is(type, "single_label_classification"))
		return hub_refuse(c, "problem_type");
	r = gguf_add_bool(c->gguf, "llmos.classifier.several", several);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": %s", strerror(-r)) : 0;
}

/* the name of a class, which may be in more than one place */
static const char *activation_of(const struct hub_config *c)
{
	const json_t *own = json_object_get(c->json, "sentence_transformers");
	const json_t *json = json_object_get(own, "activation_fn") ?:
			     json_object_get(c->json, "sbert_ce_default_activation_function");

	return c->activation && *c->activation ? c->activation : hub_activation_class(json);
}

/* as sentence-transformers has it: a sigmoid, unless the model says something else */
int hub_labels_add_score(const struct hub_config *c)
{
	const char *name = activation_of(c);
	const bool is_logit = name && !strcmp(name, "Identity");
	int r;

	if (name && !is_logit && strcmp(name, "Sigmoid") != 0)
		return error_set(c->error, -EOPNOTSUPP,
				 "scores that are made by '%s' are not supported",
				 gguf_show((struct gguf_string){ name, strlen(name) }).text);
	r = gguf_add_bool(c->gguf, "llmos.classifier.score_logit", is_logit);
	return r < 0 ? error_set(c->error, r, HUB_CONFIG ": %s", strerror(-r)) : 0;
}

int hub_labels_load(const struct hub_config *c)
{
	const struct gguf_tensor *output = gguf_tensor_find(c->gguf, "cls.output.weight");
	const json_t *names = json_object_get(c->json, "id2label");
	int r;

	if (!c->is_classifier)
		return 0;
	if (!output)
		return error_set(c->error, -EBADMSG, "the tensor of its labels is missing");
	if (c->arch->kind != HUB_DECODER && !gguf_tensor_find(c->gguf, "cls.weight"))
		return error_set(c->error, -EBADMSG,
				 "the tensor before that of its labels is missing");
	if (!output->dims[1] || output->dims[1] > MODEL_LABELS_MAX)
		return error_set(c->error, -EBADMSG, "%" PRIu64 " labels", output->dims[1]);
	r = add_problem(c);
	if (r >= 0 && output->dims[1] == 1)
		r = hub_labels_add_score(c);
	if (r < 0 || !names || json_is_null(names))
		return r;
	return add_names(c, names, (uint32_t)output->dims[1]);
}
