// SPDX-License-Identifier: MIT
/*
 * Attention and the cache it reads: what is stored against the numbers it was made of, the reference
 * against plain sums in double, every table against the reference, and the same bits whatever is
 * computed together: queries, heads, parts of the keys.
 */
#include "kern_test.h"

#define ROUNDS		3
#define DIM_MAX		256
#define QUERIES_MAX	12
#define GROUP_MAX	9
#define PAGES_MAX	80

static uint64_t seed;

static const uint32_t kv_types[] = {KERN_F32, KERN_F16, KERN_Q8_0, KERN_Q4_0};

static const struct kern_ops *reference(void)
{
	return kern_ops_get("ref");
}

/* struct attn_data - queries, and a cache of which the keys from the greatest span end on are NaN */
struct attn_data {
	struct kern_attn a;
	struct kern_span spans[QUERIES_MAX];
	const void *k_pages[PAGES_MAX], *v_pages[PAGES_MAX];
	float *q, *out, *keys, *values;		/* keys and values: (tokens, head_dim) */
	float *bias;				/* (group, KERN_ATTN_BIAS), or NULL */
	uint8_t *planes;
	void *scratch;
	size_t floats;				/* of q and out */
	uint32_t tokens;
};

/* struct shape - of a case */
struct shape {
	uint32_t type;
	uint32_t queries;
	uint32_t group;
	uint32_t head_dim;
	uint32_t tokens;
	uint32_t page_tokens;
};

static struct shape random_shape(uint64_t *rng, uint32_t type, uint32_t tokens_max)
{
	struct shape s = {
		.type = type,
		.group = rng_range(rng, 1, GROUP_MAX),
		.head_dim = 8 * rng_range(rng, 1, 24),
		.tokens = rng_range(rng, 1, tokens_max),
		.page_tokens = 32u << rng_range(rng, 0, 3),
	};

	s.queries = rng_range(rng, 1, KERN_ATTN_ROWS / s.group);
	s.queries = s.queries < QUERIES_MAX ? s.queries : QUERIES_MAX;
	s.queries = s.queries < s.tokens ? s.queries : s.tokens;
	return s;
}

static void store_all(struct attn_data *d, const struct kern_ops *ops)
{
	const struct kern_kv *kv = &d->a.kv;

	for (uint32_t t = 0; t < d->tokens; t++) {
		const uint32_t page = t / kv->page_tokens, slot = t % kv->page_tokens;
		const size_t at = (size_t)t * kv->head_dim;

		ops->store_key((void *)(uintptr_t)d->k_pages[page], kv, slot, d->keys + at);
		ops->store_value((void *)(uintptr_t)d->v_pages[page], kv, slot, d->values + at);
	}
}

/* the last queries of a prompt of @tokens: each one sees a key more than the one before it */
static void attn_new(struct attn_data *d, uint64_t *rng, const struct kern_ops *ops,
		     const struct shape *s)
{
	const struct kern_kv kv = {s->type, s->head_dim, s->page_tokens};
	const uint32_t pages = (s->tokens + s->page_tokens - 1) / s->page_tokens;
	const size_t plane = kern_kv_plane_bytes(&kv);
	const size_t stride = (size_t)s->group * s->head_dim + 8 * rng_range(rng, 0, 2);

	assert_true(pages <= PAGES_MAX && s->queries <= QUERIES_MAX);
	memset(d, 0, sizeof(*d));
	d->tokens = s->tokens;
	d->floats = s->queries * stride;
	d->q = aligned_new(d->floats * sizeof(float));
	d->out = aligned_new(d->floats * sizeof(float));
	d->keys = aligned_new(sizeof(float) * s->tokens * s->head_dim);
	d->values = aligned_new(sizeof(float) * s->tokens * s->head_dim);
	d->planes = aligned_new(2 * plane * pages);
	d->scratch = aligned_new(kern_attn_scratch_bytes(&kv, s->queries * s->group));
	memset(d->planes, 0xff, 2 * plane * pages);
	memset(d->scratch, 0xff, kern_attn_scratch_bytes(&kv, s->queries * s->group));
	random_floats(rng, d->q, d->floats);
	random_floats(rng, d->keys, (size_t)s->tokens * s->head_dim);
	random_floats(rng, d->values, (size_t)s->tokens * s->head_dim);
	for (uint32_t i = 0; i < pages; i++) {
		/* backwards: pages need not be in order */
		d->k_pages[i] = d->planes + plane * 2 * (pages - 1 - i);
		d->v_pages[i] = (const uint8_t *)d->k_pages[i] + plane;
	}
	for (uint32_t i = 0; i < s->queries; i++)
		d->spans[i] = (struct kern_span){0, s->tokens - (s->queries - 1 - i)};
	d->a = (struct kern_attn){
		.q = d->q, .out = d->out, .stride = stride, .k_pages = d->k_pages,
		.v_pages = d->v_pages, .spans = d->spans, .queries = s->queries,
		.group = s->group, .kv = kv, .scale = 1 / sqrtf((float)s->head_dim),
		.first = s->tokens - s->queries,
		.scratch = d->scratch,
	};
	store_all(d, ops);
}

static void attn_free(struct attn_data *d)
{
	free(d->q);
	free(d->out);
	free(d->keys);
	free(d->values);
	free(d->planes);
	free(d->scratch);
	free(d->bias);
}

static void set_bias(struct attn_data *d, uint64_t *rng)
{
	const size_t floats = (size_t)d->a.group * KERN_ATTN_BIAS;

	d->a.bias = d->bias = aligned_new(floats * sizeof(float));
	random_floats(rng, d->bias, floats);
}

static void set_windows(struct attn_data *d, uint32_t window)
{
	for (uint32_t i = 0; i < d->a.queries; i++)
		d->spans[i].begin = d->spans[i].end > window ? d->spans[i].end - window : 0;
}

/* rows without what lies between them */
static float *rows_of(const struct attn_data *d, const struct kern_ops *ops)
{
	const size_t row = (size_t)d->a.group * d->a.kv.head_dim;
	float *rows = aligned_new(d->a.queries * row * sizeof(float));

	memset(d->out, 0xff, d->floats * sizeof(float));
	kern_attn(ops, &d->a);
	for (uint32_t i = 0; i < d->a.queries; i++)
		memcpy(rows + i * row, d->out + i * d->a.stride, row * sizeof(float));
	return rows;
}

static size_t row_count(const struct attn_data *d)
{
	return (size_t)d->a.queries * d->a.group * d->a.kv.head_dim;
}

/* ---- what is stored ---- */

/* what is stored: one number of a key, read as a score; a value, read as the only one there is */
static float read_key(const struct attn_data *d, uint32_t token, uint32_t i)
{
	struct kern_span span = {token, token + 1};
	struct kern_attn one = d->a;
	struct kern_attn_sum sum;
	float q[DIM_MAX] = {0}, out[DIM_MAX];

	q[i] = 1;
	one.q = q;
	one.spans = &span;
	one.queries = one.group = 1;
	one.scale = 1;
	one.bias = NULL;
	one.softcap = 0;
	reference()->attn_part(&one, token / KERN_ATTN_KEYS, out, &sum);
	return sum.max;
}

static void read_value(const struct attn_data *d, uint32_t token, float *out)
{
	struct kern_span span = {token, token + 1};
	struct kern_attn one = d->a;
	struct kern_attn_sum sum;
	const float q[DIM_MAX] = {0};

	one.q = q;
	one.spans = &span;
	one.queries = one.group = 1;
	one.bias = NULL;
	reference()->attn_part(&one, token / KERN_ATTN_KEYS, out, &sum);
	assert_true(sum.sum == 1);
}

/* how far a number of a block may be off: half a step, of a scale that is rounded up to F16 */
static double bound(uint32_t type, const float *block, uint32_t count, float x)
{
	double low = 0, high = 0, d;

	if (type == KERN_F32)
		return 0;
	if (type == KERN_F16)
		return fabs((double)x) * 0x1p-11 + 0x1p-25;
	for (uint32_t i = 0; i < count; i++) {
		low = fmin(low, block[i]);
		high = fmax(high, block[i]);
	}
	d = fmax(-low, high) / (type == KERN_Q8_0 ? 127 : 8) * (1 + 0x1p-10) + 0x1p-24;
	if (type == KERN_Q4_0 && (high >= -low ? x < 0 : x > 0))
		return fmax(d / 2, fabs((double)x) - 7 * (d - 0x1p-23) / (1 + 0x1p-9));
	return d / 2 * (1 + 0x1p-20);
}

static void check_stored(const struct attn_data *d)
{
	const uint32_t dim = d->a.kv.head_dim, type = d->a.kv.type;
	float value[DIM_MAX];

	for (uint32_t t = 0; t < d->tokens; t++) {
		const float *k = d->keys + (size_t)t * dim, *v = d->values + (size_t)t * dim;

		read_value(d, t, value);
		for (uint32_t i = 0; i < dim; i++) {
			const uint32_t first = i / KERN_KV_BLOCK * KERN_KV_BLOCK;
			const uint32_t n = dim - first < KERN_KV_BLOCK ? dim - first : KERN_KV_BLOCK;
			const float key = read_key(d, t, i);

			if (fabs((double)key - k[i]) > bound(type, k + first, n, k[i]))
				fail_msg("type %u: key %a became %a", type, (double)k[i], (double)key);
			if (fabs((double)value[i] - v[i]) > bound(type, v + first, n, v[i]))
				fail_msg("type %u: value %a became %a", type, (double)v[i],
					 (double)value[i]);
		}
	}
}

/* numbers of all sizes, some exactly between two others of their type */
static void rough_floats(uint64_t *rng, float *x, size_t n, float size)
{
	for (size_t i = 0; i < n; i++) {
		const uint32_t kind = rng_range(rng, 0, 7);

		if (!kind)
			x[i] = 0;
		else if (kind == 1)
			x[i] = kern_half_to_float((uint16_t)rng_range(rng, 0, 0x3c00)) * size;
		else if (kind == 2)
			x[i] = (float)(int)rng_range(rng, 0, 254) * 0.5f * size - 63.5f * size;
		else
			x[i] *= size;
	}
}

static void test_store(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 1;

	for (int round = 0; round < 4 * ROUNDS; round++) {
		const struct shape s = random_shape(&rng, kv_types[round % 4], 12);
		const float size = ldexpf(1, (int)rng_range(&rng, 0, 30) - 20);
		struct attn_data d;
		size_t bytes;
		uint8_t *truth;

		attn_new(&d, &rng, ops, &s);
		rough_floats(&rng, d.keys, (size_t)s.tokens * s.head_dim, size);
		rough_floats(&rng, d.values, (size_t)s.tokens * s.head_dim, size);
		bytes = 2 * kern_kv_plane_bytes(&d.a.kv) *
			((s.tokens + s.page_tokens - 1) / s.page_tokens);
		truth = malloc(bytes);
		assert_non_null(truth);
		store_all(&d, reference());
		memcpy(truth, d.planes, bytes);
		memset(d.planes, 0xff, bytes);
		store_all(&d, ops);
		assert_memory_equal(d.planes, truth, bytes);
		check_stored(&d);
		free(truth);
		attn_free(&d);
	}
}

/* what is not finite makes its block so, and no other; what is too great for a scale is cut off */
static void test_store_edges(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	const float odd[] = {NAN, INFINITY, -INFINITY};
	uint64_t rng = seed + 2;

	for (uint32_t i = 0; i < 2 * COUNT(odd); i++) {
		const struct shape s = {kv_types[2 + i % 2], 1, 1, 80, 3, 32};
		struct attn_data d;
		float value[DIM_MAX];

		attn_new(&d, &rng, ops, &s);
		d.values[80 + 40] = odd[i / 2];
		d.values[2 * 80 + 70] = -3e38f;
		store_all(&d, ops);
		read_value(&d, 1, value);
		for (uint32_t k = 0; k < 80; k++)
			assert_true(!!isnan(value[k]) == (k / 32 == 1));
		read_value(&d, 2, value);
		assert_true(value[70] == (s.type == KERN_Q8_0 ? -127 : -8) * 65504.0f);
		attn_free(&d);
	}
}

/* ---- against plain sums ---- */

/* softmax(q k^T * scale) v of one row, over the numbers that are stored */
static void plain(const struct attn_data *d, const float *keys, const float *values,
		  uint32_t query, uint32_t head, double *out)
{
	const uint32_t dim = d->a.kv.head_dim;
	const float *q = d->q + query * d->a.stride + (size_t)head * dim;
	const struct kern_span s = d->spans[query];
	double *scores = malloc(sizeof(double) * (s.end + 1)), max = -INFINITY, sum = 0;

	assert_non_null(scores);
	for (uint32_t t = s.begin; t < s.end; t++) {
		scores[t] = 0;
		for (uint32_t i = 0; i < dim; i++)
			scores[t] += (double)q[i] * keys[(size_t)t * dim + i];
		scores[t] *= d->a.scale;
		if (d->bias) {
			const int far = (int)t - (int)(d->a.first + query);

			scores[t] += (double)d->bias[head * 257 +
						     (far < -128 ? 0 : far > 128 ? 256 : far + 128)];
		}
		if (d->a.softcap != 0)
			scores[t] = d->a.softcap * tanh(scores[t] / d->a.softcap);
		max = fmax(max, scores[t]);
	}
	memset(out, 0, dim * sizeof(*out));
	for (uint32_t t = s.begin; t < s.end; t++) {
		const double p = exp(scores[t] - max);

		sum += p;
		for (uint32_t i = 0; i < dim; i++)
			out[i] += p * values[(size_t)t * dim + i];
	}
	for (uint32_t i = 0; i < dim; i++)
		out[i] /= sum;
	free(scores);
}

static void check_plain(const struct attn_data *d, const float *have)
{
	const uint32_t dim = d->a.kv.head_dim;
	float *keys = malloc(sizeof(float) * d->tokens * dim);
	float *values = malloc(sizeof(float) * d->tokens * dim);
	double want[DIM_MAX], wrong = 0, all = 0;

	assert_true(keys && values);
	for (uint32_t t = 0; t < d->tokens; t++) {
		read_value(d, t, values + (size_t)t * dim);
		for (uint32_t i = 0; i < dim; i++)
			keys[(size_t)t * dim + i] = read_key(d, t, i);
	}
	for (uint32_t row = 0; row < d->a.queries * d->a.group; row++) {
		plain(d, keys, values, row / d->a.group, row % d->a.group, want);
		for (uint32_t i = 0; i < dim; i++) {
			const double e = have[(size_t)row * dim + i] - want[i];

			wrong += e * e;
			all += want[i] * want[i];
		}
	}
	if (!(wrong <= all * 1e-10))
		fail_msg("type %u, %u x %u heads of %u, %u keys: NMSE %g", d->a.kv.type,
			 d->a.queries, d->a.group, dim, d->tokens, wrong / all);
	free(keys);
	free(values);
}

static void random_case(struct attn_data *d, uint64_t *rng, const struct kern_ops *ops,
			uint32_t type, uint32_t tokens_max, int round)
{
	const struct shape s = random_shape(rng, type, tokens_max);

	attn_new(d, rng, ops, &s);
	if (round % 3 == 1)
		set_windows(d, rng_range(rng, 1, s.tokens));
	if (round % 3 == 2)
		set_bias(d, rng);
	if (round % 5 == 4)
		d->a.scale *= 20;
	if (round % 7 == 3)
		d->a.softcap = 0.5f * (float)rng_range(rng, 1, 8);
}

static void test_attention(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 3;

	for (int round = 0; round < 4 * ROUNDS; round++) {
		struct attn_data d;
		float *have;

		random_case(&d, &rng, ops, kv_types[round % 4], round % 8 < 4 ? 50 : 280, round / 4);
		have = rows_of(&d, ops);
		check_plain(&d, have);
		free(have);
		attn_free(&d);
	}
}

/* a text whose tokens see what is before and behind them, further than distances are told apart */
static void test_attention_bias(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 12;

	for (uint32_t i = 0; i < 6; i++) {
		const struct shape s = {kv_types[i % 2], 8, i % 3 + 1, 32, 420, 32};
		struct attn_data d;
		float *have;

		attn_new(&d, &rng, ops, &s);
		set_bias(&d, &rng);
		d.a.first = 80 * i;
		for (uint32_t k = 0; k < s.queries; k++)
			d.spans[k] = (struct kern_span){0, s.tokens - (i == 5) * k};
		have = rows_of(&d, ops);
		check_plain(&d, have);
		free(have);
		attn_free(&d);
	}
}

static void test_attention_deep(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 4;

	for (size_t i = 0; i < COUNT(kv_types); i++) {
		const struct shape s = {kv_types[i], 2, 3, 64, 2500, 32};
		struct attn_data d;
		float *have, *truth;

		attn_new(&d, &rng, ops, &s);
		have = rows_of(&d, ops);
		truth = rows_of(&d, reference());
		assert_nmse(have, truth, row_count(&d), 1e-10);
		free(have);
		free(truth);
		attn_free(&d);
	}
}

/* scores that are infinite, all -inf, far apart, NaN; no keys at all; in the first part or a later one */
static void check_edges(uint64_t *rng, const struct kern_ops *ops, uint32_t odd)
{
	const struct shape s = {KERN_F32, 1, 3, 64, 600, 32};
	const size_t n = 3 * 64;
	struct attn_data d;
	float *have, *truth;

	attn_new(&d, rng, ops, &s);
	for (int i = 0; i < 64; i++)
		d.q[i] = d.q[64 + i] = 1;
	for (int i = 0; i < 64; i++)
		d.q[128 + i] = i ? 0 : 1;
	/* one key that must not count, one that outweighs all others */
	d.keys[(size_t)odd * 64] = -INFINITY;
	d.keys[(size_t)(odd + 2) * 64] = 1e6f;
	store_all(&d, ops);
	have = rows_of(&d, ops);
	truth = rows_of(&d, reference());
	assert_nmse(have, truth, n, 1e-10);
	free(have);
	free(truth);
	/* a part in which every key is at -inf does not count, and if all are, there is nothing */
	for (uint32_t t = 0; t < 600; t++)
		if (t / KERN_ATTN_KEYS == odd / KERN_ATTN_KEYS)
			d.keys[(size_t)t * 64] = -INFINITY;
	store_all(&d, ops);
	have = rows_of(&d, ops);
	truth = rows_of(&d, reference());
	assert_nmse(have, truth, n, 1e-10);
	free(have);
	free(truth);
	for (uint32_t t = 0; t < 600; t++)
		d.keys[(size_t)t * 64] = -INFINITY;
	store_all(&d, ops);
	have = rows_of(&d, ops);
	for (size_t i = 0; i < n; i++)
		assert_true(have[i] == 0);
	free(have);
	/* NaN reaches the heads that look at it, and no others */
	for (uint32_t t = 0; t < 600; t++)
		d.keys[(size_t)t * 64] = 1;
	store_all(&d, ops);
	d.q[64] = NAN;
	have = rows_of(&d, ops);
	for (size_t i = 0; i < n; i++)
		assert_true(!!isnan(have[i]) == (i / 64 == 1));
	free(have);
	d.spans[0].end = 0;
	have = rows_of(&d, ops);
	for (size_t i = 0; i < n; i++)
		assert_true(have[i] == 0);
	free(have);
	attn_free(&d);
}

static void test_attention_edges(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 5;

	check_edges(&rng, ops, 5);
	check_edges(&rng, ops, 300);
	check_edges(&rng, ops, 597);
}

/* what lies beside a span has no influence, whatever it is */
static void test_attention_beside(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 6;

	for (int round = 0; round < 4 * ROUNDS; round++) {
		const struct shape s = random_shape(&rng, kv_types[round % 4], 400);
		uint32_t begin = UINT32_MAX;
		float *before, *after;
		struct attn_data d;

		attn_new(&d, &rng, ops, &s);
		set_windows(&d, rng_range(&rng, 1, s.tokens));
		before = rows_of(&d, ops);
		for (uint32_t i = 0; i < s.queries; i++)
			begin = d.spans[i].begin < begin ? d.spans[i].begin : begin;
		for (size_t i = 0; i < (size_t)begin * s.head_dim; i++)
			d.keys[i] = d.values[i] = i % 2 ? NAN : INFINITY;
		store_all(&d, ops);
		after = rows_of(&d, ops);
		assert_memory_equal(before, after, row_count(&d) * sizeof(float));
		free(before);
		free(after);
		attn_free(&d);
	}
}

/* ---- the same bits ---- */

/* each query and head alone */
static void check_alone(const struct attn_data *d, const struct kern_ops *ops, const float *want)
{
	const uint32_t dim = d->a.kv.head_dim;
	float out[DIM_MAX];

	for (uint32_t row = 0; row < d->a.queries * d->a.group; row++) {
		struct kern_attn one = d->a;

		one.q += row / d->a.group * d->a.stride + (size_t)(row % d->a.group) * dim;
		one.out = out;
		one.spans += row / d->a.group;
		one.first += row / d->a.group;
		one.bias = d->bias ? d->bias + row % d->a.group * KERN_ATTN_BIAS : NULL;
		one.queries = one.group = 1;
		kern_attn(ops, &one);
		if (memcmp(out, want + (size_t)row * dim, dim * sizeof(float)))
			fail_msg("%s: row %u of %u x %u, type %u, %u keys differs alone", ops->name,
				 row, d->a.queries, d->a.group, d->a.kv.type, d->tokens);
	}
}

/* parts from the last to the first, as other threads might, then joined */
static void check_parts(const struct attn_data *d, const struct kern_ops *ops, const float *want)
{
	const uint32_t dim = d->a.kv.head_dim, rows = d->a.queries * d->a.group;
	const uint32_t parts = (d->tokens - 1) / KERN_ATTN_KEYS + 1;
	struct kern_attn_sum *sums = malloc(sizeof(*sums) * parts * rows);
	float *out = aligned_new(sizeof(float) * parts * rows * dim), joined[DIM_MAX];

	assert_non_null(sums);
	for (uint32_t part = parts; part-- > 0;)
		ops->attn_part(&d->a, part, out + (size_t)part * rows * dim, sums + part * rows);
	for (uint32_t row = 0; row < rows; row++) {
		const struct kern_span s = d->spans[row / d->a.group];
		struct kern_attn_sum all = kern_attn_none();

		for (uint32_t part = s.begin / KERN_ATTN_KEYS;
		     part <= (s.end - 1) / KERN_ATTN_KEYS; part++)
			ops->attn_join(joined, &all, out + ((size_t)part * rows + row) * dim,
				       &sums[part * rows + row], dim);
		kern_attn_end(joined, &all, dim);
		assert_memory_equal(joined, want + (size_t)row * dim, dim * sizeof(float));
	}
	free(sums);
	free(out);
}

static void test_invariance(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	const struct kern_ops *avx2 = kern_test_ops("avx2");
	uint64_t rng = seed + 7;

	for (int round = 0; round < 8 * ROUNDS; round++) {
		struct attn_data d;
		float *have, *other;

		random_case(&d, &rng, ops, kv_types[round % 4], 900, round / 4);
		have = rows_of(&d, ops);
		check_alone(&d, ops, have);
		check_parts(&d, ops, have);
		other = rows_of(&d, avx2);
		if (memcmp(have, other, row_count(&d) * sizeof(float)))
			fail_msg("%s and avx2 differ: type %u, %u x %u heads of %u, %u keys",
				 ops->name, d.a.kv.type, d.a.queries, d.a.group, d.a.kv.head_dim,
				 d.tokens);
		free(have);
		free(other);
		attn_free(&d);
	}
}

/* ---- bounds ---- */

/* every buffer ends, or begins, where memory does */
static void check_guarded(uint64_t *rng, const struct kern_ops *ops, const struct shape *s,
			  bool at_end)
{
	const struct kern_kv kv = {s->type, s->head_dim, s->page_tokens};
	const size_t plane = kern_kv_plane_bytes(&kv), dim = s->head_dim;
	const uint32_t rows = s->queries * s->group;
	struct guarded q, out, scratch, k, v, x;
	struct kern_span spans[QUERIES_MAX];
	const void *k_pages[1], *v_pages[1];
	struct kern_attn a;

	guarded_new(&k, plane, at_end);
	guarded_new(&v, plane, at_end);
	guarded_new(&x, sizeof(float) * dim, at_end);
	guarded_new(&q, sizeof(float) * rows * dim, at_end);
	guarded_new(&out, sizeof(float) * rows * dim, at_end);
	guarded_new(&scratch, kern_attn_scratch_bytes(&kv, rows), at_end);
	random_floats(rng, (float *)(void *)q.data, rows * dim);
	for (uint32_t t = 0; t < s->tokens; t++) {
		random_floats(rng, (float *)(void *)x.data, dim);
		ops->store_key(k.data, &kv, t, (float *)(void *)x.data);
		ops->store_value(v.data, &kv, t, (float *)(void *)x.data);
	}
	for (uint32_t i = 0; i < s->queries; i++)
		spans[i] = (struct kern_span){s->tokens / 2, s->tokens - i};
	k_pages[0] = k.data;
	v_pages[0] = v.data;
	a = (struct kern_attn){
		.q = (float *)(void *)q.data, .out = (float *)(void *)out.data,
		.stride = s->group * dim, .k_pages = k_pages, .v_pages = v_pages, .spans = spans,
		.queries = s->queries, .group = s->group, .kv = kv, .scale = 0.1f,
		.softcap = s->group % 3 ? 0 : 2, .scratch = scratch.data,
	};
	kern_attn(ops, &a);
	guarded_free(&k);
	guarded_free(&v);
	guarded_free(&x);
	guarded_free(&q);
	guarded_free(&out);
	guarded_free(&scratch);
}

static void test_guarded(void **state)
{
	const struct kern_ops *ops = kern_test_ops(*state);
	uint64_t rng = seed + 8;

	for (uint32_t head_dim = 8; head_dim <= 136; head_dim += 8)
		for (uint32_t i = 0; i < 16; i++) {
			const uint32_t page_tokens = 32u << rng_range(&rng, 0, 2);
			const struct shape s = {
				kv_types[i % 4], 1 + i / 4, rng_range(&rng, 1, 6), head_dim,
				rng_range(&rng, 8, page_tokens), page_tokens,
			};

			check_guarded(&rng, ops, &s, i % 2);
		}
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_F32, 64, 32}), 8192);
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_F16, 80, 32}), 5120);
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_Q8_0, 64, 32}), 64 * 34);
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_Q4_0, 64, 32}), 64 * 18);
	/* two blocks and a half: three scales */
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_Q8_0, 80, 32}), 32 * 86);
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_BF16, 64, 32}), 0);
	assert_int_equal(kern_kv_plane_bytes(&(struct kern_kv){KERN_TYPE_COUNT, 64, 32}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		KERN_TEST(test_store, "ref"),	      KERN_TESTS(test_store),
		KERN_TEST(test_store_edges, "ref"),   KERN_TESTS(test_store_edges),
		KERN_TEST(test_attention, "ref"),     KERN_TESTS(test_attention),
		KERN_TEST(test_attention_bias, "ref"), KERN_TESTS(test_attention_bias),
		KERN_TESTS(test_attention_deep),      KERN_TESTS(test_attention_edges),
		KERN_TEST(test_attention_beside, "ref"), KERN_TESTS(test_attention_beside),
		KERN_TESTS(test_invariance),
		KERN_TEST(test_guarded, "ref"),	      KERN_TESTS(test_guarded),
	};

	seed = rng_seed();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
