// SPDX-License-Identifier: MIT
/*
 * How fast each operation is, by weight type and instruction set, on one thread: a line for each
 * with the median and the spread (lowest and highest) of rounds that are interleaved, so that a
 * disturbance of the machine hits all alike. Times are the thread's own on a processor.
 *
 *   kern_bench [-r ROUNDS] [-m MiB of weights] [-c COLUMNS] [FILTER]	only lines that contain FILTER
 *
 * "decode" streams weights that no second-level cache holds, for one token; "prefill" multiplies
 * them with 64 tokens, again and again; "batch" streams them for 16 tokens; with "-p" behind it the
 * same of panels. "read" is the plain sum of the same bytes, what memory gives at best here.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "kernels/panel.h"

#define ROUNDS_MAX	101
#define CASES_MAX	1024
#define COLS		1536	/* where the command line does not say */
#define COLS_MAX	32768
#define PREFILL_TOKENS	64
#define PREFILL_ROWS	512
#define BATCH_TOKENS	16
#define HEAD_DIM	64
#define GROUP		3
#define KEYS		2048
#define PAGE_TOKENS	32
#define TILE		10	/* queries of a prompt */
#define MODEL_LAYERS	16	/* and heads of a Llama of a billion weights: no cache holds them */
#define MODEL_KV_HEADS	8
#define MODEL_GROUP	4
#define WIDTH		4096
#define KV_BYTES	(2 * sizeof(float) * KEYS * HEAD_DIM * MODEL_LAYERS * MODEL_KV_HEADS)
#define HUGE_BYTES	((size_t)2 << 20)	/* a huge page */

enum op {
	OP_READ,
	OP_DECODE,
	OP_PREFILL,
	OP_BATCH,
	OP_DECODE_PANEL,
	OP_PREFILL_PANEL,
	OP_BATCH_PANEL,
	OP_PACK,
	OP_PACK_PANEL,
	OP_ATTN,
	OP_ATTN_TILE,
	OP_ATTN_MODEL,
	OP_RMS_NORM,
	OP_ROPE,
	OP_SILU_MUL,
	OP_STORE_KEY,
	OP_STORE_VALUE,
};

static const char *const op_names[] = {
	"read", "decode", "prefill", "batch", "decode-p", "prefill-p", "batch-p", "pack", "pack-p",
	"attn", "attn-tile", "attn-model",
	"rms_norm", "rope", "silu_mul", "store-key", "store-val",
};

/* struct bench_case - one line: @bytes and @flops of one run, @seconds of each round */
struct bench_case {
	enum op op;
	enum kern_type type;
	const struct kern_ops *ops;
	char name[64];
	double bytes;
	double flops;
	double seconds[ROUNDS_MAX];
};

/* struct bench - what all cases work on */
struct bench {
	uint32_t cols;
	size_t weight_bytes;
	uint8_t *weights;
	float *x, *y;
	void *scratch;
	uint8_t *act;
	uint8_t *kv;
	float cosines[HEAD_DIM / 2], sines[HEAD_DIM / 2];
	struct bench_case cases[CASES_MAX];
	unsigned int count;
	unsigned int rounds;
};

/* of this thread on a processor: what others use of the machine counts less */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *bench_alloc(size_t bytes)
{
	const size_t align = bytes < HUGE_BYTES ? KERN_ALIGN : HUGE_BYTES;
	const size_t room = (bytes + align - 1) / align * align;
	void *p = aligned_alloc(align, room);

	if (!p) {
		fprintf(stderr, "kern_bench: %zu bytes: %s\n", bytes, strerror(ENOMEM));
		exit(EXIT_FAILURE);
	}
	/* as packed weights have, and files whose pages the kernel keeps together */
	if (align == HUGE_BYTES)
		(void)madvise(p, room, MADV_HUGEPAGE);
	return p;
}

/* a matrix of @rows, or as many as there are weights for */
static struct kern_weights matrix(const struct bench *b, enum kern_type type, uint32_t rows)
{
	size_t row = kern_row_bytes(kern_type_info(type), b->cols);
	size_t most = b->weight_bytes / row;

	return (struct kern_weights){b->weights, row, rows && rows < most ? rows : (uint32_t)most,
				     b->cols};
}

/* the bytes of @p added up, eight words at a time */
static uint64_t read_all(const uint8_t *p, size_t bytes)
{
	uint64_t sums[8] = {0};

	for (size_t i = 0; i + 64 <= bytes; i += 64) {
		uint64_t words[8];

		memcpy(words, p + i, sizeof(words));
		for (int k = 0; k < 8; k++)
			sums[k] += words[k];
	}
	return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

static bool is_panel(enum op op)
{
	return op == OP_DECODE_PANEL || op == OP_PREFILL_PANEL || op == OP_BATCH_PANEL ||
	       op == OP_PACK_PANEL;
}

static bool is_matmul(enum op op)
{
	return op == OP_DECODE || op == OP_PREFILL || op == OP_BATCH ||
	       (is_panel(op) && op != OP_PACK_PANEL);
}

static const struct kern_matmul *matmul_of(const struct bench_case *c)
{
	return is_panel(c->op) ? &c->ops->panel[c->type] : &c->ops->matmul[c->type];
}

static void run_matmul(struct bench *b, const struct bench_case *c, uint32_t rows, uint32_t tokens)
{
	const struct kern_matmul *m = matmul_of(c);
	struct kern_weights w = matrix(b, c->type, rows);

	if (is_panel(c->op)) {
		size_t bytes = kern_panel_bytes(c->type, b->cols);

		w.rows = (uint32_t)(w.rows * w.row_bytes / bytes) * KERN_PANEL_ROWS;
		w.row_bytes = bytes / KERN_PANEL_ROWS;
	}
	m->mul(&w, 0, w.rows, b->act, m->act_bytes(b->cols), tokens, b->y, w.rows);
}

static struct kern_kv cache_form(uint32_t type)
{
	return (struct kern_kv){ type, HEAD_DIM, PAGE_TOKENS };
}

/*
 * the last @queries of KEYS tokens, whose pages are @page bytes apart; the plane of their keys is
 * number @plane of a page
 */
static void attend(struct bench *b, const struct bench_case *c, uint32_t queries, uint32_t group,
		   size_t page, size_t number)
{
	const struct kern_kv form = cache_form(c->type);
	const uint8_t *first = b->kv + number * kern_kv_plane_bytes(&form);
	struct kern_span spans[TILE];
	const void *keys[KEYS / PAGE_TOKENS], *values[KEYS / PAGE_TOKENS];
	const struct kern_attn a = {
		.q = b->x,
		.out = b->y,
		.stride = (size_t)group * HEAD_DIM,
		.k_pages = keys,
		.v_pages = values,
		.spans = spans,
		.queries = queries,
		.group = group,
		.kv = form,
		.scale = 0.125f,
		.scratch = b->scratch,
	};

	for (uint32_t i = 0; i < KEYS / PAGE_TOKENS; i++) {
		keys[i] = first + page * i;
		values[i] = first + page * i + kern_kv_plane_bytes(&form);
	}
	for (uint32_t i = 0; i < queries; i++)
		spans[i] = (struct kern_span){ 0, KEYS + 1 + i - queries };
	kern_attn(c->ops, &a);
}

static void run_attn(struct bench *b, const struct bench_case *c, uint32_t queries)
{
	const struct kern_kv form = cache_form(c->type);

	attend(b, c, queries, GROUP, 2 * kern_kv_plane_bytes(&form), 0);
}

/* one query of all heads in all layers, in pages as the engine has them */
static void run_attn_model(struct bench *b, const struct bench_case *c)
{
	const struct kern_kv form = cache_form(c->type);
	const size_t heads = (size_t)MODEL_LAYERS * MODEL_KV_HEADS;

	for (size_t i = 0; i < heads; i++)
		attend(b, c, 1, MODEL_GROUP, 2 * heads * kern_kv_plane_bytes(&form), 2 * i);
}

static void run_store(struct bench *b, const struct bench_case *c)
{
	const struct kern_kv form = cache_form(c->type);

	for (uint32_t i = 0; i < PAGE_TOKENS; i++) {
		if (c->op == OP_STORE_KEY)
			c->ops->store_key(b->y, &form, i, b->x + i * HEAD_DIM);
		else
			c->ops->store_value(b->y, &form, i, b->x + i * HEAD_DIM);
	}
}

static void run(struct bench *b, const struct bench_case *c)
{
	static volatile uint64_t sink;

	switch (c->op) {
	case OP_READ:
		sink = read_all(b->weights, b->weight_bytes);
		break;
	case OP_DECODE:
	case OP_DECODE_PANEL:
		run_matmul(b, c, 0, 1);
		break;
	case OP_PREFILL:
	case OP_PREFILL_PANEL:
		run_matmul(b, c, PREFILL_ROWS, PREFILL_TOKENS);
		break;
	case OP_BATCH:
	case OP_BATCH_PANEL:
		run_matmul(b, c, 0, BATCH_TOKENS);
		break;
	case OP_PACK:
	case OP_PACK_PANEL:
		matmul_of(c)->pack(b->act, b->x, WIDTH);
		break;
	case OP_ATTN:
		run_attn(b, c, 1);
		break;
	case OP_ATTN_TILE:
		run_attn(b, c, TILE);
		break;
	case OP_ATTN_MODEL:
		run_attn_model(b, c);
		break;
	case OP_RMS_NORM:
		c->ops->rms_norm(b->y, b->x, b->x + WIDTH, WIDTH, 1e-5f);
		break;
	case OP_ROPE:
		c->ops->rope(b->x, WIDTH / HEAD_DIM, HEAD_DIM, HEAD_DIM, b->cosines, b->sines,
			     false);
		break;
	case OP_SILU_MUL:
		c->ops->silu_mul(b->y, b->x, b->x + WIDTH, WIDTH);
		break;
	case OP_STORE_KEY:
	case OP_STORE_VALUE:
		run_store(b, c);
		break;
	}
	(void)sink;
}

static void pack_all(struct bench *b, const struct bench_case *c)
{
	const struct kern_matmul *m = matmul_of(c);

	for (uint32_t t = 0; t < PREFILL_TOKENS; t++)
		m->pack(b->act + t * m->act_bytes(b->cols), b->x + t * 8, b->cols);
}

/* a run repeated until it takes a millisecond */
static double measure(struct bench *b, const struct bench_case *c)
{
	unsigned int runs = 0;
	double begin, seconds;

	if (is_matmul(c->op))
		pack_all(b, c);
	run(b, c);
	begin = now();
	do {
		run(b, c);
		runs++;
		seconds = now() - begin;
	} while (seconds < 1e-3);
	return seconds / runs;
}

static void add_case(struct bench *b, enum op op, enum kern_type type, const struct kern_ops *ops,
		     double bytes, double flops, const char *filter)
{
	struct bench_case *c = &b->cases[b->count];
	const struct kern_type_info *info = kern_type_info(type);
	bool typed = op != OP_READ && op != OP_RMS_NORM && op != OP_ROPE && op != OP_SILU_MUL;

	if (b->count == CASES_MAX)
		return;
	snprintf(c->name, sizeof(c->name), "%-10s %-6s %-10s", op_names[op],
		 typed ? info->name : "", ops ? ops->name : "");
	if (filter && !strstr(c->name, filter))
		return;
	c->op = op;
	c->type = type;
	c->ops = ops;
	c->bytes = bytes;
	c->flops = flops;
	b->count++;
}

static void add_table(struct bench *b, const struct kern_ops *ops, const char *filter)
{
	static const uint32_t cache_types[] = { KERN_F32, KERN_F16, KERN_Q8_0, KERN_Q4_0 };
	const double attn = 4.0 * GROUP * HEAD_DIM * KEYS, heads = MODEL_LAYERS * MODEL_KV_HEADS;

	for (unsigned int type = 0; type < KERN_TYPE_COUNT; type++) {
		struct kern_weights w;

		if (!ops->matmul[type].mul || !kern_row_bytes(kern_type_info(type), b->cols))
			continue;
		w = matrix(b, type, 0);
		add_case(b, OP_DECODE, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols, filter);
		add_case(b, OP_BATCH, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols * BATCH_TOKENS, filter);
		w = matrix(b, type, PREFILL_ROWS);
		add_case(b, OP_PREFILL, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols * PREFILL_TOKENS, filter);
		if (!ops->panel[type].mul)
			continue;
		add_case(b, OP_PREFILL_PANEL, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols * PREFILL_TOKENS, filter);
		w = matrix(b, type, 0);
		add_case(b, OP_DECODE_PANEL, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols, filter);
		add_case(b, OP_BATCH_PANEL, type, ops, (double)w.rows * w.row_bytes,
			 2.0 * w.rows * w.cols * BATCH_TOKENS, filter);
	}
	add_case(b, OP_PACK, KERN_F32, ops, 4.0 * WIDTH, 0, filter);
	add_case(b, OP_PACK, KERN_Q8_0, ops, 4.0 * WIDTH, 0, filter);
	if (ops->panel[KERN_Q8_0].mul)
		add_case(b, OP_PACK_PANEL, KERN_Q8_0, ops, 4.0 * WIDTH, 0, filter);
	for (size_t i = 0; i < sizeof(cache_types) / sizeof(*cache_types); i++) {
		const struct kern_kv form = cache_form(cache_types[i]);
		const double plane = (double)kern_kv_plane_bytes(&form);

		add_case(b, OP_ATTN, form.type, ops, 2 * plane * KEYS / PAGE_TOKENS, attn, filter);
		add_case(b, OP_ATTN_TILE, form.type, ops, 2 * plane * KEYS / PAGE_TOKENS,
			 TILE * attn, filter);
		add_case(b, OP_ATTN_MODEL, form.type, ops, 2 * plane * KEYS / PAGE_TOKENS * heads,
			 4.0 * MODEL_GROUP * HEAD_DIM * KEYS * heads, filter);
		add_case(b, OP_STORE_KEY, form.type, ops, plane, 0, filter);
		add_case(b, OP_STORE_VALUE, form.type, ops, plane, 0, filter);
	}
	add_case(b, OP_RMS_NORM, 0, ops, 4.0 * WIDTH, 4.0 * WIDTH, filter);
	add_case(b, OP_ROPE, 0, ops, 4.0 * WIDTH, 3.0 * WIDTH, filter);
	add_case(b, OP_SILU_MUL, 0, ops, 8.0 * WIDTH, 0, filter);
}

/* weights whose scales are all alike: 0x2c is 2^-4 and a bit as F16, and small as any other */
static void bench_fill(struct bench *b)
{
	uint32_t state = 1;

	memset(b->weights, 0x2c, b->weight_bytes);
	for (size_t i = 0; i < (size_t)PREFILL_TOKENS * b->cols + 2 * WIDTH; i++) {
		state = state * 1664525 + 1013904223;
		b->x[i] = (float)(int32_t)state * 0x1p-31f;
	}
	for (int i = 0; i < HEAD_DIM / 2; i++) {
		b->cosines[i] = (float)cos(i);
		b->sines[i] = (float)sin(i);
	}
	memset(b->kv, 0x2c, KV_BYTES);
}

/* of all types */
static size_t most_rows(const struct bench *b)
{
	size_t most = 0;

	for (unsigned int type = 0; type < KERN_TYPE_COUNT; type++) {
		const struct kern_type_info *info = kern_type_info(type);
		size_t row = info ? kern_row_bytes(info, b->cols) : 0;

		if (row && b->weight_bytes / row > most)
			most = b->weight_bytes / row;
	}
	return most;
}

static void bench_init(struct bench *b)
{
	const struct kern_kv form = cache_form(KERN_F32);
	size_t rows = most_rows(b);
	size_t prefill = PREFILL_ROWS * PREFILL_TOKENS, batch = rows * BATCH_TOKENS;
	size_t outputs = batch > prefill ? batch : prefill;

	b->weights = bench_alloc(b->weight_bytes);
	b->x = bench_alloc(sizeof(float) * ((size_t)PREFILL_TOKENS * b->cols + 2 * WIDTH));
	b->y = bench_alloc(sizeof(float) * (outputs + WIDTH));
	b->scratch = bench_alloc(kern_attn_scratch_bytes(&form, TILE * GROUP));
	b->act = bench_alloc(sizeof(float) * 2 * PREFILL_TOKENS * b->cols);
	b->kv = bench_alloc(KV_BYTES);
	bench_fill(b);
}

static void bench_free(struct bench *b)
{
	free(b->weights);
	free(b->x);
	free(b->y);
	free(b->scratch);
	free(b->act);
	free(b->kv);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_case(struct bench_case *c, unsigned int rounds)
{
	double median, low, high;

	qsort(c->seconds, rounds, sizeof(*c->seconds), compare_doubles);
	median = c->seconds[rounds / 2];
	low = c->seconds[0];
	high = c->seconds[rounds - 1];
	printf("%s %8.2f GB/s  (%.2f..%.2f)", c->name, c->bytes / median * 1e-9,
	       c->bytes / high * 1e-9, c->bytes / low * 1e-9);
	if (c->flops > 0)
		printf("  %8.1f GFLOP/s  (%.1f..%.1f)", c->flops / median * 1e-9,
		       c->flops / high * 1e-9, c->flops / low * 1e-9);
	putchar('\n');
}

int main(int argc, char **argv)
{
	static const char *const isas[] = {"avx2", "avx512", "avx512vnni", "avx512bf16", "amx"};
	static struct bench bench = {
		.cols = COLS, .weight_bytes = 48u << 20, .rounds = 9,
	};
	const char *filter;
	int option;

	while ((option = getopt(argc, argv, "r:m:c:")) != -1) {
		if (option == 'r')
			bench.rounds = (unsigned int)atoi(optarg);
		else if (option == 'm')
			bench.weight_bytes = (size_t)atoi(optarg) << 20;
		else if (option == 'c')
			bench.cols = (uint32_t)atoi(optarg);
		else
			return 64;
	}
	if (!bench.rounds || bench.rounds > ROUNDS_MAX || bench.weight_bytes < 1u << 20 ||
	    bench.weight_bytes > (size_t)4096 << 20) {
		fprintf(stderr, "kern_bench: rounds are 1 to %d, weights 1 to 4096 MiB\n",
			ROUNDS_MAX);
		return 64;
	}
	if (!bench.cols || bench.cols % 32 || bench.cols > COLS_MAX) {
		fprintf(stderr, "kern_bench: columns are 32 to %d, in steps of 32\n", COLS_MAX);
		return 64;
	}
	filter = optind < argc ? argv[optind] : NULL;
	bench_init(&bench);
	add_case(&bench, OP_READ, 0, NULL, (double)bench.weight_bytes, 0, filter);
	for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++)
		if (kern_ops_get(isas[i]))
			add_table(&bench, kern_ops_get(isas[i]), filter);
	for (unsigned int r = 0; r < bench.rounds; r++)
		for (unsigned int i = 0; i < bench.count; i++)
			bench.cases[i].seconds[r] = measure(&bench, &bench.cases[i]);
	for (unsigned int i = 0; i < bench.count; i++)
		print_case(&bench.cases[i], bench.rounds);
	bench_free(&bench);
	return 0;
}
