/* SPDX-License-Identifier: MIT */
/*
 * What settings of config.json become: windows layer by layer, activations, scalings of the rope,
 * and what goes without saying. Whole models with such settings are compared by tests/peers/hub.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "model/hub_internal.h"
#include "model/model.h"

#define SIZES	"{\"hidden_size\":64,\"num_attention_heads\":4,\"num_hidden_layers\":3," \
		"\"max_position_embeddings\":256,\"intermediate_size\":96,\"vocab_size\":9," \
		"\"num_key_value_heads\":2,\"head_dim\":16}"

/** struct loaded - settings as the keys that they become, and what those are read as */
struct loaded {
	struct hub_config config;
	struct error error;
	struct model_hparams hparams;
	json_t *json;
};

static int load(struct loaded *l, const char *type, const char *settings)
{
	json_t *sizes = NULL;
	char text[1024];
	int n, r;

	*l = (struct loaded){ 0 };
	n = snprintf(text, sizeof(text), "{\"model_type\":\"%s\"%s%s}", type,
		     *settings ? "," : "", settings);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	if (json_parse(&l->json, text, (size_t)n, JSON_CONFIG_MAX, "test", &l->error) < 0 ||
	    json_parse(&sizes, SIZES, strlen(SIZES), JSON_CONFIG_MAX, "test", &l->error) < 0)
		fail_msg("%s", l->error.text);
	assert_int_equal(json_object_update_missing(l->json, sizes), 0);
	json_decref(sizes);
	assert_int_equal(gguf_new(&l->config.gguf), 0);
	l->config.json = l->json;
	l->config.error = &l->error;
	r = hub_config_load(&l->config);
	return r < 0 ? r : model_read_hparams(&l->hparams, l->config.gguf, &l->error);
}

static void unload(struct loaded *l)
{
	gguf_free(l->config.gguf);
	json_decref(l->json);
}

static void accept(struct loaded *l, const char *type, const char *settings)
{
	if (load(l, type, settings) < 0)
		fail_msg("%s, %s: %s", type, settings, l->error.text);
}

static void refuse(const char *type, const char *settings, int want, const char *text)
{
	struct loaded l;
	int r = load(&l, type, settings);

	if (r != want || !strstr(l.error.text, text))
		fail_msg("%s, %s: %d, '%s', not %d, '%s'", type, settings, r, l.error.text, want,
			 text);
	unload(&l);
}

/* @local: a letter for each layer, 'w' where it has the window */
static void check_windows(const char *type, const char *settings, uint32_t tokens,
			  const char *local)
{
	const struct model_window *w;
	struct loaded l;

	accept(&l, type, settings);
	w = &l.hparams.window;
	assert_int_equal(w->tokens, tokens);
	for (uint32_t i = 0; w->is_local && i < l.hparams.layers; i++)
		if (w->is_local[i] != (local[i] == 'w'))
			fail_msg("%s, %s: layer %u", type, settings, i);
	assert_int_equal(!!w->is_local, !!*local);
	unload(&l);
}

#define WINDOW	"\"sliding_window\":16,"
#define TYPES(a, b, c)	"\"layer_types\":[\"" a "_attention\",\"" b "_attention\",\"" c \
			"_attention\"]"

static void test_windows(void **state)
{
	static const char *const qwens[] = { "qwen2", "qwen3" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(qwens); i++) {
		check_windows(qwens[i], WINDOW "\"use_sliding_window\":false", 0, "");
		check_windows(qwens[i], WINDOW "\"max_window_layers\":0", 0, "");
		check_windows(qwens[i], WINDOW "\"use_sliding_window\":true,"
			      "\"max_window_layers\":1", 16, "-ww");
		check_windows(qwens[i], WINDOW "\"use_sliding_window\":true", 16, "---");
		check_windows(qwens[i], WINDOW "\"use_sliding_window\":true,"
			      TYPES("sliding", "full", "sliding"), 16, "w-w");
		refuse(qwens[i], WINDOW TYPES("full", "full", "sliding"), -EOPNOTSUPP,
		       "'layer_types'");
	}
	check_windows("qwen3_moe", WINDOW "\"use_sliding_window\":true,\"num_experts\":4,"
		      "\"num_experts_per_tok\":2,\"moe_intermediate_size\":8", 16, "www");
	check_windows("gemma2", WINDOW "\"vocab_size\":9", 16, "w-w");
	check_windows("gemma2", WINDOW TYPES("full", "full", "sliding"), 16, "--w");
	check_windows("gemma3_text", WINDOW "\"sliding_window_pattern\":2", 16, "w-w");
	check_windows("gemma3_text", WINDOW "\"sliding_window_pattern\":3,"
		      "\"_sliding_window_pattern\":6", 16, "ww-");
	check_windows("gemma3_text", WINDOW "\"_sliding_window_pattern\":6", 16, "www");
	check_windows("gemma3_text", WINDOW TYPES("full", "sliding", "full"), 16, "-w-");
	refuse("gemma3_text", "\"sliding_window_pattern\":0", -EOPNOTSUPP,
	       "'sliding_window_pattern'");
	check_windows("mistral", WINDOW "\"vocab_size\":9", 16, "");
	check_windows("llama", WINDOW TYPES("full", "full", "full"), 0, "");
	refuse("llama", WINDOW TYPES("full", "full", "sliding"), -EOPNOTSUPP, "'layer_types'");
	refuse("mistral", WINDOW TYPES("full", "full", "sliding"), -EOPNOTSUPP, "'layer_types'");
	refuse("gemma2", "\"layer_types\":[]", -EOPNOTSUPP, "'layer_types'");
	refuse("gemma2", TYPES("full", "full", "linear"), -EOPNOTSUPP, "'layer_types'");
	refuse("gemma2", "\"layer_types\":[1,2,3]", -EOPNOTSUPP, "'layer_types'");
	refuse("gemma3_text", "\"num_hidden_layers\":65537", -EOPNOTSUPP, "'num_hidden_layers'");
	refuse("qwen2", "\"use_sliding_window\":true,\"max_window_layers\":\"x\"", -EBADMSG,
	       "'max_window_layers'");
}

static void check_activation(const char *type, const char *settings, enum model_act want)
{
	struct loaded l;

	accept(&l, type, settings);
	assert_int_equal(l.hparams.act, want);
	unload(&l);
}

static void test_activations(void **state)
{
	(void)state;
	check_activation("llama", "", MODEL_ACT_SILU);
	check_activation("llama", "\"hidden_act\":\"swish\"", MODEL_ACT_SILU);
	check_activation("llama", "\"hidden_act\":\"gelu\"", MODEL_ACT_GELU_ERF);
	check_activation("phi3", "\"hidden_act\":\"gelu_new\"", MODEL_ACT_GELU);
	check_activation("gpt2", "", MODEL_ACT_GELU);
	check_activation("gpt2", "\"activation_function\":\"gelu_fast\"", MODEL_ACT_GELU);
	check_activation("gpt2", "\"activation_function\":\"gelu\"", MODEL_ACT_GELU_ERF);
	check_activation("gemma2", "", MODEL_ACT_GELU);
	check_activation("gemma2", "\"hidden_activation\":\"silu\"", MODEL_ACT_SILU);
	check_activation("bert", "", MODEL_ACT_GELU_ERF);
	check_activation("bert", "\"hidden_act\":\"gelu_new\"", MODEL_ACT_GELU);
	check_activation("distilbert", "\"activation\":\"gelu_pytorch_tanh\"", MODEL_ACT_GELU);
	check_activation("modernbert", "", MODEL_ACT_GELU_ERF);
	check_activation("modernbert", "\"hidden_activation\":\"silu\"", MODEL_ACT_SILU);
	refuse("bert", "\"hidden_act\":\"silu\"", -EOPNOTSUPP, "'hidden_act'");
	refuse("gpt2", "\"activation_function\":\"silu\"", -EOPNOTSUPP, "'activation_function'");
	refuse("gpt2", "\"activation_function\":\"relu\"", -EOPNOTSUPP, "'activation_function'");
	refuse("llama", "\"hidden_act\":\"relu\"", -EOPNOTSUPP, "'hidden_act'");
	refuse("llama", "\"hidden_act\":null", -EOPNOTSUPP, "'hidden_act'");
	refuse("gemma2", "\"hidden_activation\":7", -EOPNOTSUPP, "'hidden_activation'");
}

static bool is_near(float have, double want)
{
	return fabs((double)have - want) <= 1e-6 * fabs(want);
}

/* @want: by what the length of what is turned is multiplied in all */
static void check_magnitude(const char *type, const char *rope, double want)
{
	const struct model_rope *r;
	double have;
	struct loaded l;

	accept(&l, type, rope);
	r = &l.hparams.rope;
	have = (double)r->attn_factor;
	if (r->scaling == MODEL_ROPE_YARN)
		have *= 1 + 0.1 * log((double)r->factor);
	if (!is_near((float)have, want))
		fail_msg("%s, %s: %g, not %g", type, rope, have, want);
	unload(&l);
}

#define LONG	"\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1,2,3,4,5,6,7,8]," \
		"\"short_factor\":[1,1,1,1,1,1,1,1]"
#define YARN	"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4," \
		"\"original_max_position_embeddings\":64"

static void test_magnitudes(void **state)
{
	(void)state;
	check_magnitude("phi3", LONG ",\"original_max_position_embeddings\":64}",
			sqrt(1 + log(4) / log(64)));
	check_magnitude("llama", LONG ",\"original_max_position_embeddings\":64,\"factor\":3}",
			sqrt(1 + log(3) / log(64)));
	check_magnitude("llama", LONG ",\"factor\":3}", sqrt(1 + log(3) / log(256)));
	check_magnitude("phi3", "\"original_max_position_embeddings\":32," LONG
			",\"original_max_position_embeddings\":64}", sqrt(1 + log(8) / log(32)));
	check_magnitude("phi3", LONG ",\"original_max_position_embeddings\":64,"
			"\"attention_factor\":1.5}", 1.5);
	check_magnitude("qwen2", YARN "}", 1 + 0.1 * log(4));
	check_magnitude("qwen2", YARN ",\"mscale\":0.7,\"mscale_all_dim\":1}",
			(1 + 0.07 * log(4)) / (1 + 0.1 * log(4)));
	check_magnitude("qwen2", YARN ",\"mscale\":0.7,\"mscale_all_dim\":0}", 1 + 0.1 * log(4));
	check_magnitude("qwen2", YARN ",\"mscale\":0.7,\"mscale_all_dim\":1,"
			"\"attention_factor\":1.25}", 1.25);
	refuse("qwen2", YARN ",\"mscale\":-1}", -EBADMSG, "'mscale'");
	refuse("qwen2", YARN ",\"mscale_all_dim\":\"x\"}", -EBADMSG, "'mscale_all_dim'");
	refuse("qwen2", YARN ",\"truncate\":1}", -EBADMSG, "'truncate'");
	refuse("llama", LONG ",\"factor\":0}", -EBADMSG, "'factor'");
}

static void test_ropes(void **state)
{
	struct loaded l;

	(void)state;
	/* as if there were none: no text gets longer than there are positions */
	accept(&l, "llama", "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2},"
	       "\"rope_theta\":500");
	assert_true(is_near(l.hparams.rope.factor, 1));
	assert_true(is_near(l.hparams.rope.freq_base, 500));
	assert_int_equal(l.hparams.context, 256);
	unload(&l);
	accept(&l, "qwen2", YARN ",\"truncate\":false}");
	assert_int_equal(l.hparams.rope.scaling, MODEL_ROPE_YARN);
	assert_true(l.hparams.rope.has_real_ends);
	unload(&l);
	accept(&l, "qwen2", YARN ",\"truncate\":true}");
	assert_false(l.hparams.rope.has_real_ends);
	unload(&l);
	accept(&l, "phi3", "\"partial_rotary_factor\":0.5");
	assert_int_equal(l.hparams.rope.dim, 8);
	unload(&l);
	refuse("llama", "\"partial_rotary_factor\":0.5", -EOPNOTSUPP, "'partial_rotary_factor'");
	accept(&l, "llama", "\"partial_rotary_factor\":1.0,\"rope_theta\":null");
	assert_int_equal(l.hparams.rope.dim, 16);
	assert_true(is_near(l.hparams.rope.freq_base, 1e4));
	unload(&l);
}

/* what the class of each has where config.json says nothing, and null is not nothing */
static void test_missing(void **state)
{
	static const struct {
		const char *type;
		double eps;
	} cases[] = {
		{ "llama", 1e-6 }, { "mistral", 1e-6 }, { "qwen2", 1e-6 }, { "qwen3", 1e-6 },
		{ "gemma", 1e-6 }, { "gemma2", 1e-6 }, { "gemma3_text", 1e-6 }, { "phi3", 1e-5 },
		{ "gpt2", 1e-5 },
	};
	struct loaded l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		accept(&l, cases[i].type, "");
		assert_true(is_near(l.hparams.norm_eps, cases[i].eps));
		unload(&l);
	}
	accept(&l, "gemma2", "\"head_dim\":16");
	assert_true(is_near(l.hparams.attn_scale, 1.0 / 16));
	assert_true(is_near(l.hparams.attn_softcap, 50));
	unload(&l);
	accept(&l, "gpt2", "\"scale_attn_weights\":false");
	assert_true(is_near(l.hparams.attn_scale, 1));
	unload(&l);
	refuse("llama", "\"rms_norm_eps\":null", -EBADMSG, "'rms_norm_eps' is missing");
}

/* layers that turn nothing, where GGUF's kind of this name has them, and not elsewhere */
static void test_plain_layers(void **state)
{
	struct loaded l;

	(void)state;
	accept(&l, "smollm3", "\"num_hidden_layers\":5,\"no_rope_layers\":[1,1,1,0,1,1]");
	assert_int_equal(l.hparams.plain_period, 4);
	assert_true(is_near(l.hparams.rope.freq_base, 2e6));
	unload(&l);
	accept(&l, "smollm3", "\"no_rope_layers\":null,\"use_sliding_window\":false");
	unload(&l);
	refuse("smollm3", "\"no_rope_layers\":[1,1]", -EOPNOTSUPP, "'no_rope_layers'");
	refuse("smollm3", "\"no_rope_layers\":[1,0,1]", -EOPNOTSUPP, "'no_rope_layers'");
	refuse("smollm3", "\"no_rope_layers\":[1,\"1\",1]", -EOPNOTSUPP, "'no_rope_layers'");
	refuse("smollm3", "\"no_rope_layers\":4", -EOPNOTSUPP, "'no_rope_layers'");
	refuse("smollm3", "\"no_rope_layer_interval\":3", -EOPNOTSUPP, "'no_rope_layer_interval'");
	refuse("smollm3", "\"use_sliding_window\":true", -EOPNOTSUPP, "'use_sliding_window'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_activations),
		cmocka_unit_test(test_magnitudes),
		cmocka_unit_test(test_ropes),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_plain_layers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
