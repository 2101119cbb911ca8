/* SPDX-License-Identifier: MIT */
/*
 * Makes GGUF files of small random Llama-shaped models, whole or with one thing wrong, for tests.
 * The file lives in memory (memfd) and has a path while it is open. Include cmocka before this.
 */
#ifndef LLMOS_TESTS_UNIT_GGUF_BUILD_H
#define LLMOS_TESTS_UNIT_GGUF_BUILD_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "kernels/kernels.h"
#include "model/gguf.h"

#define GGUF_BUILD_ALIGN	32

struct gguf_bytes {
	char *data;
	size_t size;
	size_t capacity;
};

/**
 * struct gguf_build - a file being made
 * @skip: a key or tensor of this name is left out, NULL: none
 * @rename: a tensor of this name gets an "x" behind it
 * @finer: powers of two by which the scales of quantised blocks are smaller than usual
 */
struct gguf_build {
	struct gguf_bytes keys, infos, tensors;
	uint64_t key_count, tensor_count;
	uint64_t rng;
	const char *skip;
	const char *rename;
	uint16_t finer;
};

static inline void gguf_bytes_add(struct gguf_bytes *b, const void *data, size_t size)
{
	if (b->size + size > b->capacity) {
		b->capacity = (b->size + size) * 2;
		b->data = realloc(b->data, b->capacity);
		assert_non_null(b->data);
	}
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

static inline void gguf_bytes_pad(struct gguf_bytes *b)
{
	while (b->size % GGUF_BUILD_ALIGN)
		gguf_bytes_add(b, "", 1);
}

static inline void gguf_bytes_string(struct gguf_bytes *b, const char *text)
{
	const uint64_t len = strlen(text);

	gguf_bytes_add(b, &len, sizeof(len));
	gguf_bytes_add(b, text, len);
}

static inline uint64_t gguf_build_random(struct gguf_build *b)
{
	uint64_t z = b->rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline bool gguf_build_key(struct gguf_build *b, const char *key, uint32_t type)
{
	if (b->skip && !strcmp(b->skip, key))
		return false;
	gguf_bytes_string(&b->keys, key);
	gguf_bytes_add(&b->keys, &type, sizeof(type));
	b->key_count++;
	return true;
}

static inline void gguf_build_u32(struct gguf_build *b, const char *key, uint32_t value)
{
	if (gguf_build_key(b, key, GGUF_U32))
		gguf_bytes_add(&b->keys, &value, sizeof(value));
}

static inline void gguf_build_f32(struct gguf_build *b, const char *key, float value)
{
	if (gguf_build_key(b, key, GGUF_F32))
		gguf_bytes_add(&b->keys, &value, sizeof(value));
}

static inline void gguf_build_bool(struct gguf_build *b, const char *key, bool value)
{
	if (gguf_build_key(b, key, GGUF_BOOL))
		gguf_bytes_add(&b->keys, &value, sizeof(value));
}

/* gguf_build_array() - of @count elements of @size bytes */
static inline void gguf_build_array(struct gguf_build *b, const char *key, uint32_t type,
				    const void *data, size_t size, uint64_t count)
{
	if (!gguf_build_key(b, key, GGUF_ARRAY))
		return;
	gguf_bytes_add(&b->keys, &type, sizeof(type));
	gguf_bytes_add(&b->keys, &count, sizeof(count));
	gguf_bytes_add(&b->keys, data, size * count);
}

static inline void gguf_build_string(struct gguf_build *b, const char *key, const char *value)
{
	if (gguf_build_key(b, key, GGUF_STRING))
		gguf_bytes_string(&b->keys, value);
}

/* small_half() - a float16 between 2^-8 and 2^-7, so that sums stay small */
static inline uint16_t gguf_build_small_half(struct gguf_build *b)
{
	return (uint16_t)(7 << 10 | (gguf_build_random(b) & 0x3ff));
}

/* fix_scales() - make the scales within a random block sane */
static inline void gguf_build_fix_scales(struct gguf_build *b, uint32_t type, char *block)
{
	size_t at[2] = { 0, 2 }, count = 1;
	uint16_t half;

	switch (type) {
	case KERN_Q4_1:
	case KERN_Q5_1:
	case KERN_Q4_K:
	case KERN_Q5_K:
		count = 2;
		break;
	case KERN_Q2_K:
		at[0] = 80;
		at[1] = 82;
		count = 2;
		break;
	case KERN_Q3_K:
		at[0] = 108;
		break;
	case KERN_Q6_K:
		at[0] = 208;
		break;
	case KERN_MXFP4:	/* an exponent: 2^-5, for values up to 12 */
		block[0] = 123;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		half = gguf_build_small_half(b);
		/* superblocks multiply by scales of 4 to 8 bits as well */
		if (kern_type_info(type)->block_elems == 256)
			half -= (type == KERN_Q2_K ? 2 : 5) << 10;
		half -= (uint16_t)(b->finer << 10);
		memcpy(block + at[i], &half, sizeof(half));
	}
}

/* unit() - a number in [-1, 1) */
static inline float gguf_build_unit(struct gguf_build *b)
{
	return (float)(gguf_build_random(b) >> 40) * 0x1p-23f - 1;
}

static inline void gguf_build_elem(struct gguf_build *b, uint32_t type, float scale, float bias)
{
	const float value = bias + scale * gguf_build_unit(b);
	uint32_t bits;
	uint16_t half;

	memcpy(&bits, &value, sizeof(bits));
	if (type == KERN_F32) {
		gguf_bytes_add(&b->tensors, &value, sizeof(value));
		return;
	}
	half = (uint16_t)(bits >> 16);
	if (type == KERN_F16)	/* normal numbers only; truncated */
		half = (uint16_t)((bits >> 16 & 0x8000) |
				  ((bits >> 23 & 0xff) < 113 ? 0 :
				   ((bits >> 23 & 0xff) - 112) << 10 | (bits >> 13 & 0x3ff)));
	gguf_bytes_add(&b->tensors, &half, sizeof(half));
}

static inline void gguf_build_tensor_info(struct gguf_build *b, const char *name, uint32_t type,
					  uint32_t n_dims, const uint64_t *dims)
{
	char full[96];
	uint64_t offset;

	snprintf(full, sizeof(full), "%s%s", name, b->rename && !strcmp(b->rename, name) ? "x" : "");
	gguf_bytes_pad(&b->tensors);
	offset = b->tensors.size;
	gguf_bytes_string(&b->infos, full);
	gguf_bytes_add(&b->infos, &n_dims, sizeof(n_dims));
	gguf_bytes_add(&b->infos, dims, n_dims * sizeof(*dims));
	gguf_bytes_add(&b->infos, &type, sizeof(type));
	gguf_bytes_add(&b->infos, &offset, sizeof(offset));
	b->tensor_count++;
}

/* gguf_build_blocks() - random weights of a type, of a size that keeps sums near 1 */
static inline void gguf_build_blocks(struct gguf_build *b, uint32_t type, uint64_t blocks)
{
	const struct kern_type_info *info = kern_type_info(type);

	for (uint64_t i = 0; i < blocks; i++) {
		char block[256];

		if (info->block_elems == 1) {
			gguf_build_elem(b, type, 0.125f, 0);
			continue;
		}
		for (size_t j = 0; j < info->block_bytes; j++)
			block[j] = (char)gguf_build_random(b);
		gguf_build_fix_scales(b, type, block);
		gguf_bytes_add(&b->tensors, block, info->block_bytes);
	}
}

/* gguf_build_matrix() - random weights (rows, cols) of a type */
static inline void gguf_build_matrix(struct gguf_build *b, const char *name, uint32_t type,
				     uint64_t rows, uint64_t cols)
{
	if (b->skip && !strcmp(b->skip, name))
		return;
	gguf_build_tensor_info(b, name, type, 2, (uint64_t[]){ cols, rows });
	gguf_build_blocks(b, type, rows * (cols / kern_type_info(type)->block_elems));
}

/* gguf_build_stack() - @count matrices (rows, cols) in one tensor */
static inline void gguf_build_stack(struct gguf_build *b, const char *name, uint32_t type,
				    uint64_t count, uint64_t rows, uint64_t cols)
{
	if (b->skip && !strcmp(b->skip, name))
		return;
	gguf_build_tensor_info(b, name, type, 3, (uint64_t[]){ cols, rows, count });
	gguf_build_blocks(b, type, count * rows * (cols / kern_type_info(type)->block_elems));
}

/* gguf_build_vector() - elements around @bias */
static inline void gguf_build_vector(struct gguf_build *b, const char *name, uint32_t type,
				     uint64_t elems, float bias)
{
	if (b->skip && !strcmp(b->skip, name))
		return;
	gguf_build_tensor_info(b, name, type, 1, (uint64_t[]){ elems });
	for (uint64_t i = 0; i < elems; i++)
		gguf_build_elem(b, type, 0.25f, bias);
}

/* gguf_build_finish() - the file, as a descriptor; frees the rest */
static inline int gguf_build_finish(struct gguf_build *b)
{
	struct gguf_bytes all = { 0 };
	const uint32_t head[] = { 0x46554747, 3 };
	int fd = memfd_create("gguf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	gguf_bytes_add(&all, head, sizeof(head));
	gguf_bytes_add(&all, &b->tensor_count, sizeof(b->tensor_count));
	gguf_bytes_add(&all, &b->key_count, sizeof(b->key_count));
	gguf_bytes_add(&all, b->keys.data, b->keys.size);
	gguf_bytes_add(&all, b->infos.data, b->infos.size);
	gguf_bytes_pad(&all);
	gguf_bytes_add(&all, b->tensors.data, b->tensors.size);
	gguf_bytes_pad(&all);
	assert_int_equal(write(fd, all.data, all.size), all.size);
	free(all.data);
	free(b->keys.data);
	free(b->infos.data);
	free(b->tensors.data);
	memset(b, 0, sizeof(*b));
	return fd;
}

static inline void gguf_build_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

/** struct llama_shape - a model to make; llama_shape_small is a good start */
struct llama_shape {
	uint32_t layers, width, heads, kv_heads, head_dim, ff_width, vocab, context;
	uint32_t type;			/* of matrices */
	uint32_t value_type;		/* of attn_v and ffn_down, which real files mix in */
	uint32_t vector_type;		/* of norms and biases */
	bool has_biases;
	float outlier;			/* added to one element of each head, in biases of keys and values */
	bool has_output;		/* of its own, not the embedding */
	bool has_rope_freqs;
	uint64_t seed;
};

static const struct llama_shape llama_shape_small = {
	.layers = 3, .width = 256, .heads = 8, .kv_heads = 2, .head_dim = 32, .ff_width = 512,
	.vocab = 320, .context = 512, .type = KERN_F32, .value_type = KERN_F32,
	.vector_type = KERN_F32, .seed = 1,
};

/* llama_stand_out() - one element of each head of the bias that was built last */
static inline void llama_stand_out(struct gguf_build *b, const struct llama_shape *s)
{
	const size_t count = (size_t)s->kv_heads * s->head_dim;
	float *bias = (float *)(void *)(b->tensors.data + b->tensors.size) - count;

	assert_int_equal(s->vector_type, KERN_F32);
	for (uint32_t head = 0; head < s->kv_heads; head++)
		bias[head * s->head_dim + (head * 5 + 3) % s->head_dim] += s->outlier;
}

static inline void llama_build_layer(struct gguf_build *b, const struct llama_shape *s, uint32_t i)
{
	const uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
	const struct {
		const char *name;
		uint32_t type, rows, cols;
	} matrices[] = {
		{ "attn_q", s->type, q, s->width }, { "attn_k", s->type, kv, s->width },
		{ "attn_v", s->value_type, kv, s->width }, { "attn_output", s->type, s->width, q },
		{ "ffn_gate", s->type, s->ff_width, s->width },
		{ "ffn_up", s->type, s->ff_width, s->width },
		{ "ffn_down", s->value_type, s->width, s->ff_width },
	};
	char name[64];

	for (size_t j = 0; j < ARRAY_SIZE(matrices); j++) {
		snprintf(name, sizeof(name), "blk.%u.%s.weight", i, matrices[j].name);
		gguf_build_matrix(b, name, matrices[j].type, matrices[j].rows, matrices[j].cols);
		snprintf(name, sizeof(name), "blk.%u.%s.bias", i, matrices[j].name);
		if (s->has_biases)
			gguf_build_vector(b, name, s->vector_type, matrices[j].rows, 0);
		if (s->has_biases && s->outlier != 0 && (j == 1 || j == 2))
			llama_stand_out(b, s);
	}
	snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", i);
	gguf_build_vector(b, name, s->vector_type, s->width, 1);
	snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", i);
	gguf_build_vector(b, name, s->vector_type, s->width, 1);
}

/* llama_build_keys() - all of the model's; a key that is there already is left alone by skip */
static inline void llama_build_keys(struct gguf_build *b, const struct llama_shape *s)
{
	gguf_build_string(b, "general.architecture", "llama");
	gguf_build_string(b, "tokenizer.ggml.model", "no_vocab");
	gguf_build_u32(b, "llama.context_length", s->context);
	gguf_build_u32(b, "llama.block_count", s->layers);
	gguf_build_u32(b, "llama.embedding_length", s->width);
	gguf_build_u32(b, "llama.feed_forward_length", s->ff_width);
	gguf_build_u32(b, "llama.attention.head_count", s->heads);
	gguf_build_u32(b, "llama.attention.head_count_kv", s->kv_heads);
	gguf_build_u32(b, "llama.attention.key_length", s->head_dim);
	gguf_build_u32(b, "llama.attention.value_length", s->head_dim);
	gguf_build_u32(b, "llama.vocab_size", s->vocab);
	gguf_build_u32(b, "llama.rope.dimension_count", s->head_dim);
	gguf_build_f32(b, "llama.rope.freq_base", 10000);
	gguf_build_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
}

static inline void llama_build_tensors(struct gguf_build *b, const struct llama_shape *s)
{
	b->rng = s->seed;
	gguf_build_matrix(b, "token_embd.weight", s->type, s->vocab, s->width);
	for (uint32_t i = 0; i < s->layers; i++)
		llama_build_layer(b, s, i);
	gguf_build_vector(b, "output_norm.weight", s->vector_type, s->width, 1);
	if (s->has_output)
		gguf_build_matrix(b, "output.weight", s->value_type, s->vocab, s->width);
	if (s->has_rope_freqs)
		gguf_build_vector(b, "rope_freqs.weight", KERN_F32, s->head_dim / 2, 1);
}

/* llama_build() - a whole model, as a descriptor */
static inline int llama_build(const struct llama_shape *s)
{
	struct gguf_build b = { 0 };

	llama_build_keys(&b, s);
	llama_build_tensors(&b, s);
	return gguf_build_finish(&b);
}

#endif /* LLMOS_TESTS_UNIT_GGUF_BUILD_H */
