/* SPDX-License-Identifier: MIT */
/*
 * The exact forward pass. T: tokens, D: width, H: heads, G: heads that share keys and values, E:
 * elements of a head, F: hidden width of the feed-forward network, V: vocabulary. A matrix of
 * (rows, cols) maps cols to rows. Everything that a token needs is computed for all tokens at once.
 */
#include "tests/numeric/exact.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "model/gguf.h"

/** struct exact - sizes and constants of a model */
struct exact {
	const struct gguf *gguf;
	const struct exact_adapter *adapters;
	size_t adapter_count;
	char arch[32];
	size_t count;			/* T */
	uint32_t layers, width, heads, kv_heads, dim, hidden, rot;
	uint32_t experts, used, expert_hidden, window, context, original;
	float eps;
	double score_scale, score_cap, logit_cap;
};

static bool is_arch(const struct exact *m, const char *name)
{
	return !strcmp(m->arch, name);
}

static bool starts(const struct exact *m, const char *name)
{
	return !strncmp(m->arch, name, strlen(name));
}

static double key(const struct exact *m, const char *suffix, double fallback)
{
	uint32_t number;
	float real;

	if (gguf_get_arch_u32(m->gguf, suffix, &number) >= 0)
		return number;
	return gguf_get_arch_f32(m->gguf, suffix, &real) >= 0 ? (double)real : fallback;
}

static double *read_tensor(const struct gguf *gguf, const char *name, size_t *ret_count);

/* merge() - add what the adapters have for the tensor @name, (rows, cols), to w */
static void merge(const struct exact *m, const char *name, double *w, size_t rows, size_t cols)
{
	for (size_t i = 0; i < m->adapter_count; i++) {
		const struct exact_adapter *adapter = &m->adapters[i];
		const struct gguf_tensor *t;
		char half[128];
		double *a, *b, scale = adapter->scale;
		float alpha = 0;
		size_t rank;

		snprintf(half, sizeof(half), "%s.lora_a", name);
		t = gguf_tensor_find(adapter->gguf, half);
		a = read_tensor(adapter->gguf, half, &rank);
		snprintf(half, sizeof(half), "%s.lora_b", name);
		b = read_tensor(adapter->gguf, half, NULL);
		if (!a || !b)
			continue;
		rank /= cols;
		(void)gguf_get_f32(adapter->gguf, "adapter.lora.alpha", &alpha);
		if (adapter->scales)
			scale *= (double)adapter->scales[t - gguf_tensor_at(adapter->gguf, 0)];
		else if (alpha != 0)
			scale *= (double)alpha / (double)rank;
		for (size_t r = 0; r < rows; r++)
			for (size_t c = 0; c < cols; c++)
				for (size_t k = 0; k < rank; k++)
					w[r * cols + c] += scale * b[r * rank + k] * a[k * cols + c];
		free(a);
		free(b);
	}
}

/* read_tensor() - all elements of a tensor, NULL if there is none, or it can't be read */
static double *read_tensor(const struct gguf *gguf, const char *name, size_t *ret_count)
{
	const struct gguf_tensor *t = gguf_tensor_find(gguf, name);
	size_t rows, cols, stride;
	double *all;
	float *row;

	if (!t || gguf_fetch(gguf, t, NULL) < 0)
		return NULL;
	cols = t->dims[0];
	rows = t->dims[1] * t->dims[2] * t->dims[3];
	stride = t->size_bytes / rows;
	all = malloc(rows * cols * sizeof(*all));
	row = malloc(cols * sizeof(*row));
	if (!all || !row)
		abort();
	for (size_t r = 0; r < rows; r++) {
		kern_ops_get("ref")->dequant_row[t->type](row, (const char *)t->data + r * stride,
							  (uint32_t)cols);
		for (size_t c = 0; c < cols; c++)
			all[r * cols + c] = (double)row[c];
	}
	free(row);
	if (ret_count)
		*ret_count = rows * cols;
	return all;
}

/* load() - a tensor of the model, with its adapters */
static double *load(const struct exact *m, const char *name, size_t *ret_count)
{
	const struct gguf_tensor *t = gguf_tensor_find(m->gguf, name);
	double *w = read_tensor(m->gguf, name, ret_count);

	if (w)
		merge(m, name, w, t->dims[1] * t->dims[2] * t->dims[3], t->dims[0]);
	return w;
}

static double *load_layer(const struct exact *m, uint32_t layer, const char *part)
{
	char name[128];

	snprintf(name, sizeof(name), "blk.%u.%s", layer, part);
	return load(m, name, NULL);
}

static double *zeros(size_t count)
{
	double *x = calloc(count + 1, sizeof(*x));

	if (!x)
		abort();
	return x;
}

/* linear() - y (T, rows) = x (T, cols) w^T + b */
static void linear(size_t count, const double *x, size_t cols, const double *w, const double *b,
		   size_t rows, double *y)
{
	for (size_t t = 0; t < count; t++)
		for (size_t r = 0; r < rows; r++) {
			double sum = b ? b[r] : 0;

			for (size_t c = 0; c < cols; c++)
				sum += w[r * cols + c] * x[t * cols + c];
			y[t * rows + r] = sum;
		}
}

/* project() - the same with the weights of a layer, rows [from, from + rows) of them */
static double *project(const struct exact *m, uint32_t layer, const char *part, size_t from,
		       const double *x, size_t cols, size_t rows)
{
	char name[96];
	double *w, *b, *y = zeros(m->count * rows);

	snprintf(name, sizeof(name), "%s.weight", part);
	w = load_layer(m, layer, name);
	snprintf(name, sizeof(name), "%s.bias", part);
	b = load_layer(m, layer, name);
	if (!w)
		abort();
	linear(m->count, x, cols, w + from * cols, b ? b + from : NULL, rows, y);
	free(w);
	free(b);
	return y;
}

static void norm_rms(const struct exact *m, double *x, size_t n, const double *w)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] / sqrt(sum / (double)n + (double)m->eps) * w[i];
}

static void norm_layer(const struct exact *m, double *x, size_t n, const double *w, const double *b)
{
	double mean = 0, sum = 0;

	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		sum += (x[i] - mean) * (x[i] - mean);
	for (size_t i = 0; i < n; i++)
		x[i] = (x[i] - mean) / sqrt(sum / (double)n + (double)m->eps) * w[i] + b[i];
}

/* normed() - a copy of x (T, D), normalised by the tensors of that name */
static double *normed(const struct exact *m, const char *prefix, const double *x)
{
	const size_t n = m->width;
	double *w, *b, *y = zeros(m->count * n);
	char name[96];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	w = load(m, name, NULL);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	b = load(m, name, NULL);
	if (!w)
		abort();
	memcpy(y, x, m->count * n * sizeof(*y));
	for (size_t t = 0; t < m->count; t++) {
		if (b)
			norm_layer(m, y + t * n, n, w, b);
		else
			norm_rms(m, y + t * n, n, w);
	}
	free(w);
	free(b);
	return y;
}

static double *normed_layer(const struct exact *m, uint32_t layer, const char *part,
			    const double *x)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%u.%s", layer, part);
	return normed(m, name, x);
}

/* ---- positions ---- */

/* sees_all() - a layer without the window; Gemma 2 alternates, of six in Gemma 3 the last one does */
static bool sees_all(const struct exact *m, uint32_t layer)
{
	const uint32_t period = (uint32_t)key(m, "attention.sliding_window_pattern",
					      is_arch(m, "gemma2") ? 2 : is_arch(m, "gemma3") ? 6 : 0);
	struct gguf_array list;
	char name[96];

	snprintf(name, sizeof(name), "%s.attention.sliding_window_pattern", m->arch);
	if (!m->window)
		return true;
	if (gguf_get_array(m->gguf, name, &list) >= 0)
		return !((const char *)list.data)[layer];
	return period && layer % period == period - 1;
}

/* yarn_left() - what is left of a frequency that turns so often within the original context */
static double yarn_left(const struct exact *m, double base, uint32_t pair)
{
	const double fast = key(m, "rope.scaling.yarn_beta_fast", 32);
	const double slow = key(m, "rope.scaling.yarn_beta_slow", 1);
	double low = m->rot * log(m->original / (fast * 2 * M_PI)) / 2 / log(base);
	double high = m->rot * log(m->original / (slow * 2 * M_PI)) / 2 / log(base);
	double ramp;

	low = fmax(floor(low), 0);
	high = fmin(ceil(high), m->rot - 1.0);
	ramp = (pair - low) / (high == low ? 0.001 : high - low);
	return 1 - fmin(fmax(ramp, 0), 1);
}

/* frequency() - radians per token of a pair, and by what its length is multiplied */
static double frequency(const struct exact *m, uint32_t layer, uint32_t pair, double *ret_length)
{
	const bool is_local = is_arch(m, "gemma3") && !sees_all(m, layer);
	const double base = is_local ? key(m, "rope.freq_base_swa", 10000)
				     : key(m, "rope.freq_base", 10000);
	const double factor = key(m, "rope.scaling.factor", 0);
	double f = pow(base, -2.0 * pair / m->rot), *divisors;
	struct gguf_string type = { .data = "linear", .len = 6 };

	*ret_length = 1;
	if (is_local)
		return f;
	*ret_length = key(m, "rope.scaling.attn_factor", 1);
	divisors = load(m, "rope_freqs.weight", NULL);
	if (!divisors)
		divisors = load(m, m->context > m->original ? "rope_factors_long.weight"
							    : "rope_factors_short.weight", NULL);
	if (divisors)
		f /= divisors[pair];
	free(divisors);
	(void)gguf_get_arch_string(m->gguf, "rope.scaling.type", &type);
	if (factor == 0 || gguf_string_is(type, "none"))
		return f;
	if (gguf_string_is(type, "linear"))
		return f / factor;
	if (!gguf_string_is(type, "yarn"))
		return f;
	*ret_length *= factor > 1 ? 1 + 0.1 * log(factor) : 1;
	return f * yarn_left(m, base, pair) + f / factor * (1 - yarn_left(m, base, pair));
}

/* turn() - rotate all heads of all tokens */
static void turn(const struct exact *m, uint32_t layer, double *x, uint32_t heads)
{
	bool is_apart = !is_arch(m, "llama") && !is_arch(m, "smollm3");

	if (is_arch(m, "smollm3") && layer % 4 == 3)
		return;
	(void)gguf_get_bool(m->gguf, "llmos.rope.neox", &is_apart);
	for (uint32_t i = 0; i < m->rot / 2; i++) {
		const size_t a = is_apart ? i : 2 * i, b = is_apart ? i + m->rot / 2 : 2 * i + 1;
		double length, f = frequency(m, layer, i, &length);

		for (size_t t = 0; t < m->count; t++)
			for (uint32_t h = 0; h < heads; h++) {
				double *v = x + (t * heads + h) * m->dim;
				const double p = v[a], q = v[b], angle = f * (double)t;

				v[a] = length * (p * cos(angle) - q * sin(angle));
				v[b] = length * (p * sin(angle) + q * cos(angle));
			}
	}
}

/* ---- attention ---- */

/* attend() - one head of one token over (T, KV, E) keys and values of which it sees some */
static void attend(const struct exact *m, const double *q, const double *k, const double *v,
		   size_t from, size_t token, double *out)
{
	const size_t stride = (size_t)m->kv_heads * m->dim;
	double *p = zeros(token + 1), sum = 0, max = -INFINITY;

	for (size_t s = from; s <= token; s++) {
		for (uint32_t i = 0; i < m->dim; i++)
			p[s] += q[i] * k[s * stride + i];
		p[s] *= m->score_scale;
		if (m->score_cap > 0)
			p[s] = m->score_cap * tanh(p[s] / m->score_cap);
		max = fmax(max, p[s]);
	}
	for (size_t s = from; s <= token; s++)
		sum += exp(p[s] - max);
	for (uint32_t i = 0; i < m->dim; i++) {
		out[i] = 0;
		for (size_t s = from; s <= token; s++)
			out[i] += exp(p[s] - max) / sum * v[s * stride + i];
	}
	free(p);
}

static void head_norms(const struct exact *m, uint32_t layer, const char *part, double *x,
		       uint32_t heads)
{
	double *w = load_layer(m, layer, part);

	for (size_t i = 0; w && i < m->count * heads; i++)
		norm_rms(m, x + i * m->dim, m->dim, w);
	free(w);
}

/* attention() - (T, D) to (T, D) */
static double *attention(const struct exact *m, uint32_t layer, const double *x)
{
	const size_t nq = (size_t)m->heads * m->dim, nkv = (size_t)m->kv_heads * m->dim;
	const bool is_fused = starts(m, "phi3") || is_arch(m, "gpt2");
	double *q = project(m, layer, is_fused ? "attn_qkv" : "attn_q", 0, x, m->width, nq);
	double *k = project(m, layer, is_fused ? "attn_qkv" : "attn_k", is_fused ? nq : 0, x,
			    m->width, nkv);
	double *v = project(m, layer, is_fused ? "attn_qkv" : "attn_v", is_fused ? nq + nkv : 0, x,
			    m->width, nkv);
	double *mixed = zeros(m->count * nq), *out;
	const uint32_t window = sees_all(m, layer) ? UINT32_MAX : m->window;

	head_norms(m, layer, "attn_q_norm.weight", q, m->heads);
	head_norms(m, layer, "attn_k_norm.weight", k, m->kv_heads);
	turn(m, layer, q, m->heads);
	turn(m, layer, k, m->kv_heads);
	for (size_t t = 0; t < m->count; t++)
		for (uint32_t h = 0; h < m->heads; h++) {
			const size_t shared = h / (m->heads / m->kv_heads) * m->dim;

			attend(m, q + t * nq + h * m->dim, k + shared, v + shared,
			       t + 1 > window ? t + 1 - window : 0, t,
			       mixed + t * nq + h * m->dim);
		}
	out = project(m, layer, "attn_output", 0, mixed, nq, m->width);
	free(q);
	free(k);
	free(v);
	free(mixed);
	return out;
}

/* ---- feed-forward ---- */

static double activate(const struct exact *m, double x)
{
	if (starts(m, "gemma") || is_arch(m, "gpt2"))
		return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * pow(x, 3))));
	return x / (1 + exp(-x));
}

static double *feed_forward(const struct exact *m, uint32_t layer, const double *x)
{
	const bool is_fused = is_arch(m, "phi3");
	const size_t f = m->hidden;
	double *gate = NULL, *out;
	double *up = project(m, layer, "ffn_up", is_fused ? f : 0, x, m->width, f);

	if (!is_arch(m, "gpt2"))
		gate = project(m, layer, is_fused ? "ffn_up" : "ffn_gate", 0, x, m->width, f);
	for (size_t i = 0; i < m->count * f; i++)
		up[i] = gate ? activate(m, gate[i]) * up[i] : activate(m, up[i]);
	out = project(m, layer, "ffn_down", 0, up, f, m->width);
	free(gate);
	free(up);
	return out;
}

/** struct expert_weights - of all experts of a layer, stacked */
struct expert_weights {
	double *gate, *up, *down;
};

/* one_expert() - adds what expert @e makes of one token, times @weight */
static void one_expert(const struct exact *m, const struct expert_weights *w, uint32_t e,
		       const double *x, double weight, double *out)
{
	const size_t f = m->expert_hidden, d = m->width;
	double *gate = zeros(f), *up = zeros(f), *y = zeros(d);

	linear(1, x, d, w->gate + e * f * d, NULL, f, gate);
	linear(1, x, d, w->up + e * f * d, NULL, f, up);
	for (size_t i = 0; i < f; i++)
		up[i] *= activate(m, gate[i]);
	linear(1, up, f, w->down + e * f * d, NULL, d, y);
	for (size_t i = 0; i < d; i++)
		out[i] += weight * y[i];
	free(gate);
	free(up);
	free(y);
}

/* load_experts() - of all, stacked as one tensor is; a hub has one for each of them */
static double *load_experts(const struct exact *m, uint32_t layer, const char *part)
{
	const size_t each = (size_t)m->expert_hidden * m->width;
	double *all, *one;
	char name[64];

	snprintf(name, sizeof(name), "%s_exps.weight", part);
	all = load_layer(m, layer, name);
	if (all)
		return all;
	all = zeros(m->experts * each);
	for (uint32_t e = 0; e < m->experts; e++) {
		snprintf(name, sizeof(name), "%s.%" PRIu32 ".weight", part, e);
		one = load_layer(m, layer, name);
		if (!one)
			abort();
		memcpy(all + e * each, one, each * sizeof(*all));
		free(one);
	}
	return all;
}

static double *mixture(const struct exact *m, uint32_t layer, const double *x)
{
	const struct expert_weights w = {
		.gate = load_experts(m, layer, "ffn_gate"),
		.up = load_experts(m, layer, "ffn_up"),
		.down = load_experts(m, layer, "ffn_down"),
	};
	double *logits = project(m, layer, "ffn_gate_inp", 0, x, m->width, m->experts);
	double *out = zeros(m->count * m->width);

	for (size_t t = 0; t < m->count; t++) {
		double *p = logits + t * m->experts, sum = 0;

		for (uint32_t i = 0; i < m->experts; i++)
			p[i] = exp(p[i]);
		for (uint32_t round = 0; round < 2; round++) {
			double taken[1024];

			memcpy(taken, p, m->experts * sizeof(*p));
			for (uint32_t n = 0; n < m->used; n++) {
				uint32_t best = 0;

				for (uint32_t i = 1; i < m->experts; i++)
					best = taken[i] > taken[best] ? i : best;
				if (!round)
					sum += p[best];
				else
					one_expert(m, &w, best, x + t * m->width, p[best] / sum,
						   out + t * m->width);
				taken[best] = -1;
			}
		}
	}
	free(w.gate);
	free(w.up);
	free(w.down);
	free(logits);
	return out;
}

/* has_experts() - some layers of such a model may have none */
static bool has_experts(const struct exact *m, uint32_t layer)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%" PRIu32 ".ffn_gate_inp.weight", layer);
	return m->experts && gguf_tensor_find(m->gguf, name);
}

/* ---- the whole ---- */

static void add(double *x, double *y, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] += y[i];
	free(y);
}

static double *replace(double *old, double *new)
{
	free(old);
	return new;
}

static void layer_pass(const struct exact *m, uint32_t layer, double *x)
{
	const bool has_post = is_arch(m, "gemma2") || is_arch(m, "gemma3");
	const size_t n = m->count * m->width;
	double *h = normed_layer(m, layer, "attn_norm", x);

	h = replace(h, attention(m, layer, h));
	if (has_post)
		h = replace(h, normed_layer(m, layer, "post_attention_norm", h));
	add(x, h, n);
	h = normed_layer(m, layer, "ffn_norm", x);
	h = replace(h, has_experts(m, layer) ? mixture(m, layer, h) : feed_forward(m, layer, h));
	if (has_post)
		h = replace(h, normed_layer(m, layer, "post_ffw_norm", h));
	add(x, h, n);
}

static bool read_model(struct exact *m)
{
	struct gguf_string arch;

	if (gguf_get_string(m->gguf, "general.architecture", &arch) < 0)
		return false;
	snprintf(m->arch, sizeof(m->arch), "%.*s", (int)arch.len, arch.data);
	m->layers = (uint32_t)key(m, "block_count", 0);
	m->width = (uint32_t)key(m, "embedding_length", 0);
	m->heads = (uint32_t)key(m, "attention.head_count", 0);
	m->kv_heads = (uint32_t)key(m, "attention.head_count_kv", m->heads);
	m->hidden = (uint32_t)key(m, "feed_forward_length", 0);
	if (!m->layers || !m->width || !m->heads || !m->kv_heads || !m->hidden)
		return false;
	m->dim = (uint32_t)key(m, "attention.key_length", m->width / m->heads);
	m->rot = is_arch(m, "gpt2") ? 0 : (uint32_t)key(m, "rope.dimension_count", m->dim);
	m->experts = (uint32_t)key(m, "expert_count", 0);
	m->used = (uint32_t)key(m, "expert_used_count", 0);
	m->expert_hidden = (uint32_t)key(m, "expert_feed_forward_length", m->hidden);
	m->window = (uint32_t)key(m, "attention.sliding_window", is_arch(m, "gemma2") ? 4096 : 0);
	m->original = (uint32_t)key(m, "rope.scaling.original_context_length",
				    key(m, "context_length", 0));
	m->eps = (float)key(m, is_arch(m, "gpt2") ? "attention.layer_norm_epsilon"
						  : "attention.layer_norm_rms_epsilon", 0);
	m->score_cap = is_arch(m, "gemma2") ? key(m, "attn_logit_softcapping", 50) : 0;
	m->logit_cap = starts(m, "gemma") ? key(m, "final_logit_softcapping",
						is_arch(m, "gemma2") ? 30 : 0) : 0;
	m->score_scale = key(m, "attention.scale", 1 / sqrt(m->dim));
	return m->experts <= 1024;
}

/* embed() - (T, D) */
static double *embed(const struct exact *m, const uint32_t *tokens, const double *table)
{
	double *positions = is_arch(m, "gpt2") ? load(m, "position_embd.weight", NULL) : NULL;
	double *x = zeros(m->count * m->width);
	const double scale = starts(m, "gemma") ? sqrt(m->width) : 1;

	for (size_t t = 0; t < m->count; t++)
		for (uint32_t i = 0; i < m->width; i++)
			x[t * m->width + i] = scale * table[(size_t)tokens[t] * m->width + i] +
				(positions ? positions[t * m->width + i] : 0);
	free(positions);
	return x;
}

double *exact_logits(const struct gguf *gguf, const uint32_t *tokens, size_t count,
		     uint32_t context, size_t *ret_vocab)
{
	return exact_logits_adapted(gguf, NULL, 0, tokens, count, context, ret_vocab);
}

double *exact_logits_adapted(const struct gguf *gguf, const struct exact_adapter *adapters,
			     size_t adapter_count, const uint32_t *tokens, size_t count,
			     uint32_t context, size_t *ret_vocab)
{
	struct exact m = {
		.gguf = gguf, .count = count, .context = context,
		.adapters = adapters, .adapter_count = adapter_count,
	};
	double *table, *head, *x, *logits;
	size_t elems;

	if (!read_model(&m))
		return NULL;
	table = load(&m, "token_embd.weight", &elems);
	if (!table)
		return NULL;
	x = embed(&m, tokens, table);
	for (uint32_t i = 0; i < m.layers; i++)
		layer_pass(&m, i, x);
	x = replace(x, normed(&m, "output_norm", x));
	head = load(&m, "output.weight", NULL);
	*ret_vocab = elems / m.width;
	if (!head) {
		head = read_tensor(gguf, "token_embd.weight", NULL);
		merge(&m, "output.weight", head, *ret_vocab, m.width);
	}
	logits = zeros(count * *ret_vocab);
	linear(count, x, m.width, head, NULL, *ret_vocab, logits);
	for (size_t i = 0; m.logit_cap > 0 && i < count * *ret_vocab; i++)
		logits[i] = m.logit_cap * tanh(logits[i] / m.logit_cap);
	free(head);
	free(table);
	free(x);
	return logits;
}

double exact_rms(const float *x, const double *truth, size_t count)
{
	double difference = 0, all = 0;

	for (size_t i = 0; i < count; i++) {
		difference += ((double)x[i] - truth[i]) * ((double)x[i] - truth[i]);
		all += truth[i] * truth[i];
	}
	return sqrt(difference / all);
}
