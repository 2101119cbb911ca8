/* SPDX-License-Identifier: MIT */
/*
 * Which layers of a hub's model see a window only: what config.json has in "layer_types", or what
 * its architecture makes of a number where that is missing. GGUF has one boolean for each layer.
 */
#include <string.h>

#include "model/hub_internal.h"

#define WINDOW_LAYERS		"attention.sliding_window_pattern"
#define WINDOW_LAYERS_MAX	65536U	/* for which a list is made that no file has */

static bool is_local_type(const json_t *type)
{
	return json_is(type, "sliding_attention");
}

/* *ret: what layer_types has, NULL: it is not there */
static int find_types(const struct hub_config *c, const json_t **ret)
{
	const json_t *types = json_object_get(c->json, "layer_types");

	*ret = NULL;
	if (!types || json_is_null(types))
		return 0;
	if (!c->layers || json_array_size(types) != c->layers)
		return hub_refuse(c, "layer_types");
	for (size_t i = 0; i < json_array_size(types); i++) {
		const json_t *type = json_array_get(types, i);

		if (!is_local_type(type) && !json_is(type, "full_attention"))
			return hub_refuse(c, "layer_types");
	}
	*ret = types;
	return 0;
}

int hub_window_refuse(const struct hub_config *c)
{
	const json_t *types;
	int r = find_types(c, &types);

	for (size_t i = 0; r >= 0 && i < json_array_size(types); i++)
		if (is_local_type(json_array_get(types, i)))
			return hub_refuse(c, "layer_types");
	return r;
}

/* null is none, and nothing is what the architecture says; GGUF has 0 for none */
int hub_window_add(const struct hub_config *c)
{
	const json_t *json = json_object_get(c->json, "sliding_window");
	uint32_t window = json ? 0 : c->arch->window;
	int r = 0;

	if (json && !json_is_null(json))
		r = hub_key_u32(c, "sliding_window", 0, &window);
	return r < 0 ? r : hub_add_u32(c, "attention.sliding_window", window);
}

/* room for a boolean a layer; NULL: c->error says why */
static uint8_t *new_layers(const struct hub_config *c)
{
	uint8_t *layers = gguf_alloc(c->gguf, c->layers);

	if (!layers)
		error_set(c->error, -ENOMEM, HUB_CONFIG ": %s", strerror(ENOMEM));
	return layers;
}

int hub_window_add_types(const struct hub_config *c, bool *ret)
{
	const json_t *types;
	uint8_t *is_local;
	int r = find_types(c, &types);

	*ret = types;
	if (r < 0 || !types)
		return r;
	is_local = new_layers(c);
	if (!is_local)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->layers; i++)
		is_local[i] = is_local_type(json_array_get(types, i));
	return hub_add_bools(c, WINDOW_LAYERS, is_local, c->layers);
}

int hub_window_add_layers(const struct hub_config *c, uint32_t first, uint32_t period)
{
	bool has_types = false;
	uint8_t *is_local;
	int r = hub_window_add(c);

	if (r >= 0)
		r = hub_window_add_types(c, &has_types);
	if (r < 0 || has_types)
		return r;
	if (c->layers > WINDOW_LAYERS_MAX)
		return hub_refuse(c, "num_hidden_layers");
	is_local = new_layers(c);
	if (!is_local)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->layers; i++)
		is_local[i] = i >= first && (!period || (i + 1) % period);
	return hub_add_bools(c, WINDOW_LAYERS, is_local, c->layers);
}
