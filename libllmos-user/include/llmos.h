/* SPDX-License-Identifier: MIT */
/*
 * libllmos: the public door to the language model of this machine.
 *
 * A struct llmos is a connection, a struct llmos_request one question put over it. Every function
 * returns 0 or a positive count, or -errno; objects made by the library are freed by their _free
 * function, which takes NULL. Strings are UTF-8. The library never prints, never exits, starts no
 * thread and keeps no global state; one connection and its requests belong to one thread at a
 * time, several connections may be used from several threads. After fork() the child must not use
 * its parent's connections, nor free them.
 *
 * Options structs start with their size: fill them with LLMOS_OPTS(type, .field = ...). A library
 * that is older than its caller refuses options it does not know (-E2BIG) unless they are zero.
 */
#ifndef LLMOS_H
#define LLMOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LLMOS_API __attribute__((visibility("default")))

#ifndef __cplusplus
#define LLMOS_OPTS(type, ...) (&(const struct type){ .size = sizeof(struct type), ##__VA_ARGS__ })
#endif

struct llmos;
struct llmos_request;
struct llmos_session;

/* ---- connection ---- */

/**
 * llmos_open() - connect
 * @ret: the connection
 * @address: "device" or "device:/dev/llm", "unix:PATH"; NULL takes llmos_default_address()
 *
 * Return: 0; -ENOENT or -ECONNREFUSED nobody serves there, -EACCES, -EINVAL malformed address,
 * -ENAMETOOLONG, -EPROTONOSUPPORT a version this library does not speak, -EPROTO, -ENOMEM.
 */
LLMOS_API int llmos_open(struct llmos **ret, const char *address);
/**
 * llmos_default_address() - where llmos_open() goes without an address
 *
 * $LLMOS_ADDRESS, else /dev/llm if it exists, else the socket /run/llmos/llmos.sock.
 */
LLMOS_API const char *llmos_default_address(void);
/**
 * llmos_free() - disconnect; cancels and frees what is left of its requests
 *
 * Their callbacks do not run any more. Does nothing inside a callback.
 */
LLMOS_API void llmos_free(struct llmos *llmos);
/** llmos_address() - what it is connected to, as llmos_open() takes it */
LLMOS_API const char *llmos_address(const struct llmos *llmos);
/**
 * llmos_transport() - how it gets there now: "io_uring", "ioctl" or "socket"
 *
 * The device is used by io_uring from the first llmos_ask_start(), llmos_chat_start() or llmos_fd()
 * on, if the kernel allows; blocking calls alone use ioctl.
 */
LLMOS_API const char *llmos_transport(const struct llmos *llmos);
/** llmos_payload_max() - bytes that one prompt or conversation may have; more is -E2BIG */
LLMOS_API size_t llmos_payload_max(const struct llmos *llmos);
/**
 * llmos_error() - one line about the last call on this connection that failed
 *
 * Names who, what and the value; never NULL; valid until the next call.
 */
LLMOS_API const char *llmos_error(const struct llmos *llmos);
/**
 * llmos_fd() - a descriptor that polls readable when llmos_dispatch() has work
 *
 * Owned by the connection: only to be polled. With io_uring it is the ring's eventfd.
 *
 * Return: the descriptor, -errno.
 */
LLMOS_API int llmos_fd(const struct llmos *llmos);
/**
 * llmos_dispatch() - advance every asynchronous request and run its callbacks
 * @timeout_ms: wait at most this long for something to happen; 0: do not wait, -1: forever
 *
 * Returns at once if no request is under way. When the connection breaks, every request first ends
 * with the reason, and only later calls return it.
 *
 * Return: number of callbacks run; -EINTR a signal handler ran, -EDEADLK called inside a callback;
 * another error is the connection's.
 */
LLMOS_API int llmos_dispatch(struct llmos *llmos, int timeout_ms);
/** llmos_version() - "MAJOR.MINOR.PATCH" of the library */
LLMOS_API const char *llmos_version(void);

/* ---- buffers ---- */

/**
 * struct llmos_buffer_opts - what is shared; all zero is memory that the server only reads
 * @size: sizeof(struct llmos_buffer_opts)
 * @write: the server may write it, too
 * @memfd: it is a part of the file @fd, from @offset on, and not of the address space
 * @fd: a memfd, or another file on tmpfs or hugetlbfs
 * @offset: in that file; at the start of a page
 */
struct llmos_buffer_opts {
	size_t size;
	bool write;
	bool memfd;
	int fd;
	uint64_t offset;
};

/**
 * llmos_buffer_register() - share memory with the server, for prompts without copies
 * @ret: its number on this connection, never 0
 * @addr: the memory, at the start of a page; NULL with opts->memfd
 * @len: bytes, whole pages
 * @opts: NULL: defaults
 *
 * Only over the device. The pages are pinned and billed to RLIMIT_MEMLOCK until they are
 * unregistered or the connection ends, and no request uses them any more.
 *
 * Return: 0; -EOPNOTSUPP not over this connection, -EINVAL, -E2BIG too long, -EBUSY too many,
 * -ENOMEM over RLIMIT_MEMLOCK, -EFAULT nothing is there, -EBADF, -EACCES, -EPERM.
 */
LLMOS_API int llmos_buffer_register(struct llmos *llmos, uint64_t *ret, void *addr, size_t len,
				    const struct llmos_buffer_opts *opts);
/**
 * llmos_buffer_unregister() - the end of that: nobody else sees the memory any more
 *
 * Return: 0; -EBUSY a request that has not ended uses it, -ENOENT no such buffer, -EOPNOTSUPP.
 */
LLMOS_API int llmos_buffer_unregister(struct llmos *llmos, uint64_t buffer);

/* ---- requests ---- */

enum llmos_role {
	LLMOS_SYSTEM	= 0,
	LLMOS_USER	= 1,
	LLMOS_ASSISTANT	= 2,
};

struct llmos_message {
	enum llmos_role role;
	const char *text;	/* NUL-terminated */
};

enum llmos_finish {
	LLMOS_FINISH_NONE	 = 0,	/* failed, or not finished */
	LLMOS_FINISH_STOP	 = 1,	/* the model ended it */
	LLMOS_FINISH_STOP_STRING = 2,
	LLMOS_FINISH_LENGTH	 = 3,
	LLMOS_FINISH_CONTEXT	 = 4,
};

/**
 * enum llmos_class - how urgent a request is; it divides one's own share among one's own requests
 * @LLMOS_NORMAL: as any
 * @LLMOS_INTERACTIVE: somebody waits for it: four times the share of the same user's normal ones
 * @LLMOS_IDLE: only when nobody else of the machine wants the step
 */
enum llmos_class {
	LLMOS_NORMAL	  = 0,
	LLMOS_INTERACTIVE = 1,
	LLMOS_IDLE	  = 2,
};

/** struct llmos_alternative - a likely token; @logprob is a natural logarithm */
struct llmos_alternative {
	uint32_t id;
	double logprob;
};

/**
 * struct llmos_token - one token
 * @id: the token
 * @logprob: natural logarithm of its probability; NAN where there is none
 * @text: its bytes (not NUL-terminated; may not be whole characters)
 * @text_len: number of them
 * @top: likeliest tokens, likeliest first
 * @top_count: number of them
 *
 * Pointers are valid during the callback, or as long as the struct llmos_tokens lives.
 */
struct llmos_token {
	uint32_t id;
	double logprob;
	const char *text;
	size_t text_len;
	const struct llmos_alternative *top;
	size_t top_count;
};

#define LLMOS_ADAPTERS_MAX	4	/* of a request */

/**
 * struct llmos_adapter - an adapter that is added to a model
 * @name: as llmos_models() tells it
 * @scale: of what it adds, from -100 to 100; 1: as it was trained
 */
struct llmos_adapter {
	const char *name;
	double scale;
};

/**
 * struct llmos_generate_opts - how to generate; all zero is a greedy answer of the default model
 * @size: sizeof(struct llmos_generate_opts)
 * @model: NULL: the server's default
 * @raw: no chat template: continue the text as it is (not for conversations)
 * @special: parse special tokens written in the text (not for conversations)
 * @no_bos: do not put the begin-of-text token in front
 * @ignore_eos: go on to max_tokens
 * @max_tokens: 0: until the model ends
 * @temperature: 0: greedy
 * @top_p: 0: off
 * @min_p: 0: off
 * @repeat_penalty: 0 or 1: off
 * @top_k: 0: off
 * @repeat_last_n: 0: 64
 * @seed: 0: the server chooses
 * @top_logprobs: call @on_token with this many alternatives, 20 at most
 * @logprobs: call @on_token even if top_logprobs is 0
 * @stop: strings that end the answer, NULL-terminated array; NULL: none
 * @on_text: called with each piece of the answer (not NUL-terminated; whole UTF-8 characters
 *	where the model produced such); a non-zero return cancels the request
 * @on_token: called with each token if asked for
 * @on_end: called once when the request is over; status is 0 or -errno; not called for a request
 *	whose start failed, or that was freed before its end
 * @userdata: first argument of the callbacks
 * @sched_class: how urgent it is
 * @no_wait: -EDQUOT instead of waiting where a quota stands in the way, also in the middle
 * @buffer: a registered buffer that has the prompt, which is NULL then (not for conversations); 0:
 *	none
 * @buffer_offset: where in it the prompt begins
 * @grammar: the answer matches this: GBNF, NUL-terminated (see llmctl(1)); NULL: none
 * @schema: the answer is JSON that is valid under this JSON schema, NUL-terminated; NULL: none
 * @any_json: the answer is JSON
 * @session: what is asked goes on from what was said there, and becomes part of it if it ends well;
 *	NULL: nothing was said before
 * @adapters: that are added to the model for this answer, none of them twice (adapter_count); not
 *	with a buffer
 * @adapter_count: number of them, LLMOS_ADAPTERS_MAX at most
 * @context_shift: go on where the model's context is full, or the prompt is too long for it: the first
 *	tokens stay, of the others the older half goes, and the rest is read again, as often as it takes.
 *	Not with a buffer
 * @keep_tokens: with @context_shift, how many stay, half of the context at most; 0: what a conversation
 *	has before its first question, with it where its template puts the system message there; of
 *	other texts the first token
 *
 * At most one of grammar, schema and any_json, without ignore_eos and without a buffer (-EINVAL). An
 * answer that max_tokens, a stop string or the end of the context ends may be cut off:
 * llmos_request_finish() tells.
 *
 * A callback may start, cancel and free requests, its own too, but make no call that waits
 * (-EDEADLK). Numbers that are not finite or out of range are refused with -EINVAL: temperature and
 * repeat_penalty from 0 to 100, top_p and min_p from 0 to 1.
 */
struct llmos_generate_opts {
	size_t size;
	const char *model;
	bool raw;
	bool special;
	bool no_bos;
	bool ignore_eos;
	bool logprobs;
	uint32_t max_tokens;
	double temperature;
	double top_p;
	double min_p;
	double repeat_penalty;
	uint32_t top_k;
	uint32_t repeat_last_n;
	uint64_t seed;
	uint32_t top_logprobs;
	const char *const *stop;
	int (*on_text)(void *userdata, const char *text, size_t len);
	int (*on_token)(void *userdata, const struct llmos_token *token);
	void (*on_end)(void *userdata, struct llmos_request *request, int status);
	void *userdata;
	enum llmos_class sched_class;
	bool no_wait;
	uint64_t buffer;
	uint64_t buffer_offset;
	const char *grammar;
	const char *schema;
	bool any_json;
	const struct llmos_session *session;
	const struct llmos_adapter *adapters;
	size_t adapter_count;
	bool context_shift;
	uint32_t keep_tokens;
};

/**
 * struct llmos_usage - what a request took
 * @size: sizeof(struct llmos_usage), set by the caller
 * @prompt_tokens: number of tokens of the prompt, and of those read again after each shift of the context
 * @output_tokens: number of tokens generated
 * @submit_ns: CLOCK_MONOTONIC times; 0: not reached
 * @dispatch_ns: a server took it
 * @first_ns: first byte
 * @end_ns: end
 */
struct llmos_usage {
	size_t size;
	uint32_t prompt_tokens;
	uint32_t output_tokens;
	uint64_t submit_ns;
	uint64_t dispatch_ns;
	uint64_t first_ns;
	uint64_t end_ns;
};

/**
 * llmos_ask() - put a text, wait, return the whole answer
 * @ret_answer: the answer, NUL-terminated, to be freed with free(); NULL: only the callbacks
 * @prompt: bytes of UTF-8
 * @prompt_len: number of them
 * @opts: NULL: defaults
 *
 * Return: 0; -ENOENT no such model, -E2BIG prompt longer than the context, -EILSEQ not UTF-8,
 * -EOPNOTSUPP unknown chat template (use raw), or a keyword of a schema, -ECANCELED a callback said so, -EBUSY too many
 * requests, -EDQUOT a quota, -ECONNRESET the server went and did not come back, -EMSGSIZE an answer of more than
 * 64 MiB, -EINTR a signal handler ran (the request is cancelled), ...; llmos_error() tells in words.
 */
LLMOS_API int llmos_ask(struct llmos *llmos, char **ret_answer, const char *prompt,
			size_t prompt_len, const struct llmos_generate_opts *opts);
/** llmos_chat() - as llmos_ask(), for a conversation of @count messages */
LLMOS_API int llmos_chat(struct llmos *llmos, char **ret_answer,
			 const struct llmos_message *messages, size_t count,
			 const struct llmos_generate_opts *opts);

/**
 * llmos_ask_start() - put a text and return at once
 *
 * Callbacks run inside llmos_dispatch(), llmos_request_wait() and any other call on this connection
 * that waits, never inside this one. Free the request after its end, or before: that cancels it.
 *
 * Return: 0; as llmos_ask(), as far as it is known at once; the rest comes with on_end.
 */
LLMOS_API int llmos_ask_start(struct llmos *llmos, struct llmos_request **ret, const char *prompt,
			      size_t prompt_len, const struct llmos_generate_opts *opts);
/** llmos_chat_start() - as llmos_ask_start(), for a conversation */
LLMOS_API int llmos_chat_start(struct llmos *llmos, struct llmos_request **ret,
			       const struct llmos_message *messages, size_t count,
			       const struct llmos_generate_opts *opts);
/**
 * llmos_request_wait() - dispatch until this request has ended
 *
 * Return: its status; -EINTR a signal handler ran, and the request goes on.
 */
LLMOS_API int llmos_request_wait(struct llmos_request *request);
/**
 * llmos_request_read() - the pull way: wait for and copy the next bytes of the answer
 *
 * For requests started without on_text. An answer that nobody reads is not asked on for.
 *
 * Return: bytes copied, 0 at the end, -errno: the request's status once all of a failed one's
 * answer was read, or -EINTR.
 */
LLMOS_API ssize_t llmos_request_read(struct llmos_request *request, char *buf, size_t size);
/** llmos_request_cancel() - end it early; its on_end still runs, with -ECANCELED */
LLMOS_API int llmos_request_cancel(struct llmos_request *request);
/** llmos_request_done() - has it ended? */
LLMOS_API bool llmos_request_done(const struct llmos_request *request);
/** llmos_request_finish() - why it ended */
LLMOS_API enum llmos_finish llmos_request_finish(const struct llmos_request *request);
/** llmos_request_id() - the broker's number of it; 0 while that is not known */
LLMOS_API uint64_t llmos_request_id(const struct llmos_request *request);
/** llmos_request_usage() - what it took so far; Return: 0, -EINVAL usage->size is nonsense */
LLMOS_API int llmos_request_usage(const struct llmos_request *request, struct llmos_usage *usage);
/** llmos_request_free() - forget it; if it has not ended, cancel it without its on_end */
LLMOS_API void llmos_request_free(struct llmos_request *request);

/* ---- several answers ---- */

#define LLMOS_CHOICES_MAX	128

/**
 * struct llmos_choice - one of several answers
 * @text: NUL-terminated
 * @len: bytes of it
 * @logprob: sum of the natural logarithms of the probabilities of its tokens
 * @tokens: number of them, the one that ends the answer included
 * @finish: why it ended
 */
struct llmos_choice {
	char *text;
	size_t len;
	double logprob;
	uint32_t tokens;
	enum llmos_finish finish;
};

/** struct llmos_choices - an array of choices; freed by llmos_choices_free() */
struct llmos_choices {
	size_t count;
	struct llmos_choice *choices;
};

/**
 * llmos_ask_choices() - as llmos_ask(), for several answers
 * @ret: the choices
 * @count: how many are wanted
 * @best_of: of so many answers, those whose tokens are likeliest in the mean, likeliest first; 0:
 *	@count, in the order of their seeds
 * @opts: with a temperature (unless there is one answer), without callbacks; answer number i has
 *	the seed @seed + i
 *
 * They are requests like others, which quotas count one by one; the prompt is computed once.
 *
 * Return: 0; -EINVAL more than LLMOS_CHOICES_MAX, or @best_of below @count; as llmos_ask(): of the
 * first that failed; the others are cancelled.
 */
LLMOS_API int llmos_ask_choices(struct llmos *llmos, struct llmos_choices **ret,
				const char *prompt, size_t prompt_len, unsigned int count,
				unsigned int best_of, const struct llmos_generate_opts *opts);
/** llmos_chat_choices() - the same for a conversation of @message_count messages */
LLMOS_API int llmos_chat_choices(struct llmos *llmos, struct llmos_choices **ret,
				 const struct llmos_message *messages, size_t message_count,
				 unsigned int count, unsigned int best_of,
				 const struct llmos_generate_opts *opts);
LLMOS_API void llmos_choices_free(struct llmos_choices *choices);

/* ---- tokens ---- */

/** struct llmos_tokens - an array of tokens; freed by llmos_tokens_free() */
struct llmos_tokens {
	size_t count;
	struct llmos_token *tokens;
};

struct llmos_tokenize_opts {
	size_t size;
	const char *model;
	bool special;		/* parse special tokens written in the text */
	bool bos;		/* put the begin-of-text token in front if the model wants one */
};

/** llmos_tokenize() - text to tokens */
LLMOS_API int llmos_tokenize(struct llmos *llmos, struct llmos_tokens **ret, const char *text,
			     size_t len, const struct llmos_tokenize_opts *opts);
/** llmos_detokenize() - tokens to text; @ret_text is NUL-terminated, free() it */
LLMOS_API int llmos_detokenize(struct llmos *llmos, char **ret_text, size_t *ret_len,
			       const uint32_t *ids, size_t count, const char *model);

/**
 * struct llmos_score_opts - how to score
 * @size: sizeof(struct llmos_score_opts)
 * @model: NULL: the server's default
 * @special: parse special tokens written in the text (not for ids)
 * @no_bos: do not put the begin-of-text token in front (not for ids)
 * @top_logprobs: tell so many alternatives of each token, 20 at most
 * @sched_class: how urgent it is
 * @no_wait: -EDQUOT instead of waiting where a quota stands in the way, also in the middle
 * @buffer: a registered buffer that has the text or the ids, which are NULL then; 0: none
 * @buffer_offset: where in it they begin
 * @scores: a buffer registered with write, for the log-probabilities; 0: none. They are written as
 *	an array of int32_t, one for each token, in millionths; INT32_MIN where there is none. Without
 *	top_logprobs no tokens are returned beside.
 * @scores_offset: where in it the array begins
 * @scores_len: bytes there is room for; -E2BIG if the tokens need more
 * @ret_scores: out, how many were written; may be NULL
 * @adapters: as in struct llmos_generate_opts; not with a buffer
 * @adapter_count: number of them
 */
struct llmos_score_opts {
	size_t size;
	const char *model;
	bool special;
	bool no_bos;
	uint32_t top_logprobs;
	enum llmos_class sched_class;
	bool no_wait;
	uint64_t buffer;
	uint64_t buffer_offset;
	uint64_t scores;
	uint64_t scores_offset;
	uint64_t scores_len;
	size_t *ret_scores;
	const struct llmos_adapter *adapters;
	size_t adapter_count;
};

/**
 * llmos_score() - log-probability of each token of a text given those before it
 *
 * The first token has logprob NAN.
 */
LLMOS_API int llmos_score(struct llmos *llmos, struct llmos_tokens **ret, const char *text,
			  size_t len, const struct llmos_score_opts *opts);
/** llmos_score_ids() - the same for token ids, taken as they are */
LLMOS_API int llmos_score_ids(struct llmos *llmos, struct llmos_tokens **ret, const uint32_t *ids,
			      size_t count, const struct llmos_score_opts *opts);

/* ---- vectors ---- */

/** enum llmos_pooling - one vector of those of a text's tokens */
enum llmos_pooling {
	LLMOS_POOLING_DEFAULT	= 0,	/* as the model was made for */
	LLMOS_POOLING_MEAN	= 1,
	LLMOS_POOLING_FIRST	= 2,
	LLMOS_POOLING_LAST	= 3,
};

/**
 * struct llmos_embed_opts - how to embed
 * @size: sizeof(struct llmos_embed_opts)
 * @model: NULL: the server's default
 * @pooling: how a text's vector is made of its tokens'
 * @dims: only so many of the first elements, for models that were trained for it; 0: all
 * @raw: vectors as the model gives them; else they have length 1
 * @truncate: cut texts that are too long for the model, instead of -E2BIG
 * @sched_class: how urgent it is
 * @no_wait: -EDQUOT instead of waiting where a quota stands in the way, also in the middle
 */
struct llmos_embed_opts {
	size_t size;
	const char *model;
	enum llmos_pooling pooling;
	uint32_t dims;
	bool raw;
	bool truncate;
	enum llmos_class sched_class;
	bool no_wait;
};

/**
 * struct llmos_embeddings - vectors; freed by llmos_embeddings_free()
 * @values: (count, dims), one behind the other, in the order of the texts
 * @count: as many as there were texts
 * @dims: elements of each
 * @tokens: of all texts
 * @truncated: texts that were cut
 */
struct llmos_embeddings {
	float *values;
	size_t count;
	uint32_t dims;
	uint64_t tokens;
	size_t truncated;
};

/**
 * llmos_embed() - a vector for each text
 * @texts: UTF-8 (count)
 * @lens: bytes of each, NULL: they end with a NUL
 *
 * Return: 0; -EINVAL no text, -E2BIG all together are more than llmos_payload_max(), or one is more
 * than the model takes; as llmos_ask().
 */
LLMOS_API int llmos_embed(struct llmos *llmos, struct llmos_embeddings **ret,
			  const char *const *texts, const size_t *lens, size_t count,
			  const struct llmos_embed_opts *opts);
LLMOS_API void llmos_embeddings_free(struct llmos_embeddings *embeddings);

/* ---- labels ---- */

/**
 * struct llmos_classify_opts - how to label texts
 * @size: sizeof(struct llmos_classify_opts)
 * @model: NULL: the server's default
 * @query: UTF-8, the first of two texts that belong together; each text is the second. NULL: none
 * @query_len: bytes of @query
 * @truncate: cut texts that are too long for the model, instead of -E2BIG
 * @sched_class: how urgent it is
 * @no_wait: -EDQUOT instead of waiting where a quota stands in the way, also in the middle
 */
struct llmos_classify_opts {
	size_t size;
	const char *model;
	const char *query;
	size_t query_len;
	bool truncate;
	enum llmos_class sched_class;
	bool no_wait;
};

/**
 * struct llmos_label - how well a label fits a text
 * @name: NUL-terminated, "" where the model has no names
 * @logit: to millionths
 * @probability: to millionths; of a single label, and of labels that don't exclude each other, the
 *	logistic function of the logit, else their softmax
 */
struct llmos_label {
	const char *name;
	double logit;
	double probability;
};

/**
 * struct llmos_labels - labels of texts; freed by llmos_labels_free()
 * @labels: (count, label_count): those of a text one behind the other, in the model's order
 * @count: as many as there were texts
 * @label_count: of the model
 * @truncated: texts that were cut
 * @ranks_by_logit: the model has one label, and texts are ranked by the logit of that as it is
 */
struct llmos_labels {
	struct llmos_label *labels;
	size_t count;
	size_t label_count;
	size_t truncated;
	bool ranks_by_logit;
};

/**
 * llmos_classify() - how well a model's labels fit each text
 * @texts: UTF-8 (count)
 * @lens: bytes of each, NULL: they end with a NUL
 *
 * Return: 0; as llmos_embed(); -EOPNOTSUPP the model has no labels, or takes no query.
 */
LLMOS_API int llmos_classify(struct llmos *llmos, struct llmos_labels **ret,
			     const char *const *texts, const size_t *lens, size_t count,
			     const struct llmos_classify_opts *opts);
LLMOS_API void llmos_labels_free(struct llmos_labels *labels);

/**
 * struct llmos_rank - a text's place
 * @index: of the text
 * @logit, @probability: as in struct llmos_label
 * @score: what the model was made to tell: the logit as it is, or its logistic function
 */
struct llmos_rank {
	size_t index;
	double logit;
	double probability;
	double score;
};

/** struct llmos_ranking - texts, the one that fits best first; freed by llmos_ranking_free() */
struct llmos_ranking {
	struct llmos_rank *ranks;
	size_t count;
	size_t truncated;
};

/**
 * llmos_rerank() - put texts in order, by how well they answer a query
 * @opts: with the query
 *
 * The model is one that was trained for it, with a single label. Texts that are equally good stay
 * in their order.
 *
 * Return: 0; as llmos_classify(); -EINVAL there is no query, -EOPNOTSUPP the model has several
 * labels.
 */
LLMOS_API int llmos_rerank(struct llmos *llmos, struct llmos_ranking **ret,
			   const char *const *texts, const size_t *lens, size_t count,
			   const struct llmos_classify_opts *opts);
LLMOS_API void llmos_ranking_free(struct llmos_ranking *ranking);
LLMOS_API void llmos_tokens_free(struct llmos_tokens *tokens);

/* ---- sessions ---- */

/**
 * struct llmos_session_info - a session
 * @size: sizeof(struct llmos_session_info), set by the caller
 * @id: a number to tell it from others; nothing can be done with it
 * @tokens: that were said in it
 * @bytes: that these take
 * @turns: that were appended to it, not counting those before it was forked
 * @sealed: it never changes again
 * @busy: a turn is being answered
 */
struct llmos_session_info {
	size_t size;
	uint64_t id;
	uint64_t tokens;
	uint64_t bytes;
	uint64_t turns;
	bool sealed;
	bool busy;
};

/**
 * llmos_session_new() - a conversation that has not begun
 *
 * What is asked with it in struct llmos_generate_opts goes on from what was said before, which is
 * not computed again. A question that ends well becomes part of it, with its answer; one that fails or
 * is cancelled leaves it as it was. One question at a time: -EBUSY.
 *
 * It belongs to no connection, and to whoever has its descriptor: see llmos_session_fd(). It ends
 * with the last copy of that, over the socket also with the server.
 *
 * Return: 0; -EMFILE, -ENFILE too many sessions, or descriptors, -EOPNOTSUPP not over this
 * connection, -ENOMEM.
 */
LLMOS_API int llmos_session_new(struct llmos *llmos, struct llmos_session **ret);
/**
 * llmos_session_fork() - another one in which the same was said, at any time
 *
 * Return: as llmos_session_new(); -EINVAL not a session of this server.
 */
LLMOS_API int llmos_session_fork(struct llmos *llmos, struct llmos_session **ret,
				 const struct llmos_session *session);
/**
 * llmos_session_seal() - it never changes again: who asks in it gets -EPERM, and can fork it
 *
 * Return: 0; -EBUSY a turn is being answered, -EINVAL not a session of this server.
 */
LLMOS_API int llmos_session_seal(struct llmos *llmos, struct llmos_session *session);
/** llmos_session_get_info() - what there is to know about it; Return: 0, -EINVAL */
LLMOS_API int llmos_session_get_info(struct llmos *llmos, const struct llmos_session *session,
				     struct llmos_session_info *info);
/**
 * llmos_session_tokens() - all tokens that were said in it, without log-probabilities
 *
 * @ret_model: the name of its model, NULL if nothing was said yet; free() it. May be NULL
 *
 * With the model, that is all there is to know of a conversation: llmos_session_append() of them to
 * a new session makes one in which the same was said.
 */
LLMOS_API int llmos_session_tokens(struct llmos *llmos, const struct llmos_session *session,
				   struct llmos_tokens **ret, char **ret_model);
/**
 * llmos_session_append() - let token ids be said in it, without an answer
 * @model: if nothing was said yet, the model that is asked from now on; NULL: the default
 *
 * What is longer than the model's context is said all the same, and read as with context_shift: so has
 * to be what is asked then.
 *
 * Return: 0; -EPERM it is sealed, -EBUSY, -EINVAL, -E2BIG it would be too long.
 */
LLMOS_API int llmos_session_append(struct llmos *llmos, struct llmos_session *session,
				   const uint32_t *ids, size_t count, const char *model);
/**
 * llmos_session_fd() - its descriptor, to be inherited or passed over a Unix socket
 *
 * It is the session's: it has FD_CLOEXEC, and is closed by llmos_session_free(). Whoever has a copy
 * can go on with the conversation, over any connection to the same server, and nobody else can.
 */
LLMOS_API int llmos_session_fd(const struct llmos_session *session);
/**
 * llmos_session_from_fd() - of a descriptor that was got so, which is taken over also on failure
 *
 * Return: 0; -EBADF it is negative, -ENOMEM.
 */
LLMOS_API int llmos_session_from_fd(struct llmos_session **ret, int fd);
/** llmos_session_free() - close the descriptor */
LLMOS_API void llmos_session_free(struct llmos_session *session);

/* ---- what there is ---- */

/** struct llmos_model - a model; see struct llm_model_info in <linux/llm.h> for units */
struct llmos_model {
	const char *name;
	const char *arch;
	const char *weights;
	const char *tokenizer;
	const char *chat;
	const char *error;	/* "" if it can be used */
	bool loaded;
	bool is_default;
	bool is_adapter;	/* what can be added to a model; width: largest rank */
	bool has_labels;	/* for llmos_classify() */
	bool makes_no_text;	/* vectors and labels only */
	uint64_t parameters;
	uint64_t file_bytes;
	uint64_t memory_bytes;
	uint32_t context;
	uint32_t context_used;
	uint32_t layers;
	uint32_t width;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t ff_width;
	uint32_t vocab;
	size_t meta_count;	/* keys of the file; llmos_show() only */
	const char *const *meta_keys;
	const char *const *meta_values;
	uint32_t labels;	/* how many, 0 also where the server does not say */
};

struct llmos_models {
	size_t count;
	struct llmos_model *models;
};

LLMOS_API int llmos_models(struct llmos *llmos, struct llmos_models **ret);
LLMOS_API void llmos_models_free(struct llmos_models *models);
/** llmos_show() - one model with all keys of its file; free with llmos_models_free() */
LLMOS_API int llmos_show(struct llmos *llmos, struct llmos_models **ret, const char *model);

enum llmos_state {
	LLMOS_QUEUED	 = 0,
	LLMOS_RUNNING	 = 1,
	LLMOS_PAUSED	 = 2,
	LLMOS_CANCELLING = 3,
	LLMOS_ENDED	 = 4,
};

/** struct llmos_process - a request of anybody: who asked, for what, how far it is */
struct llmos_process {
	uint64_t id;
	uint64_t cgroup_id;
	const char *cgroup;	/* path below the cgroup v2 mount, "" if it can not be found */
	uint32_t pid;
	uint32_t uid;
	enum llmos_state state;
	uint32_t op;		/* enum llm_op in <linux/llm.h> */
	const char *model;
	uint32_t prompt_tokens;
	uint32_t output_tokens;
	uint64_t submit_ns;
	uint64_t dispatch_ns;
	uint64_t first_ns;
	uint64_t output_bytes;
	uint32_t unread_bytes;
	uint32_t attempts;
	enum llmos_class sched_class;
};

struct llmos_processes {
	size_t count;
	struct llmos_process *processes;
};

/** llmos_ps() - who is running and waiting */
LLMOS_API int llmos_ps(struct llmos *llmos, struct llmos_processes **ret);
LLMOS_API void llmos_processes_free(struct llmos_processes *processes);

/** struct llmos_status - broker and server; see llm_features and llm_status in <linux/llm.h> */
struct llmos_status {
	size_t size;		/* set by the caller */
	uint32_t abi_version;
	uint32_t server_pid;	/* 0: no server now; the fields from @version on are then empty */
	uint32_t requests;
	uint32_t max_requests;
	uint64_t submitted;
	uint64_t ended;
	uint64_t recovered;
	uint64_t cancelled;
	char version[32];
	char isa[16];
	uint64_t start_ns;
	uint64_t steps;
	uint64_t step_ns;
	uint64_t step_max_ns;
	uint64_t prompt_tokens;
	uint64_t output_tokens;
	uint64_t server_ended;
	uint64_t server_failed;
	uint64_t server_cancelled;
	uint64_t server_recovered;
	uint32_t cancel_steps_max;
	uint32_t slots;
	uint32_t slots_busy;
	uint32_t kv_pages;
	uint32_t kv_pages_used;
	uint32_t threads;
	uint32_t models_loaded;
	uint32_t kv_pages_kept;
	uint64_t reused_tokens;
	uint32_t kv_pages_swapped;
	uint32_t pad;
	uint64_t swap_bytes;
	uint64_t swapped_out;
	uint64_t swapped_in;
	uint64_t swap_failed;
	uint64_t grammar_bytes;
	uint64_t reading_ns;	/* since when the file of @reading is read, 0: none is for long */
	char reading[64];	/* model or adapter whose disk may not answer, or "" */
};

/**
 * llmos_get_status() - how broker and server are
 *
 * Does not wait for a server, and for the answer of one that is there no more than three seconds:
 * then server_pid is set and the fields from @version on are empty.
 */
LLMOS_API int llmos_get_status(struct llmos *llmos, struct llmos_status *status);
/** llmos_nop() - one round trip to the server that costs nothing */
LLMOS_API int llmos_nop(struct llmos *llmos);

/* ---- quotas, usage, pressure and events of cgroups; only where llm.ko is loaded ---- */

struct llmos_admin;

#define LLMOS_REGIONS_MAX	16	/* of memory: "host", and devices as the server names them */
#define LLMOS_REGION_MAX	32	/* bytes of a name, with its NUL */

/** struct llmos_memory - bytes of one region: a limit, or what is charged */
struct llmos_memory {
	char region[LLMOS_REGION_MAX];
	uint64_t bytes;
};

/** enum llmos_quota_field - fields of a struct llmos_quota, or-ed in its @fields */
enum llmos_quota_field {
	LLMOS_QUOTA_WEIGHT	= 1 << 0,
	LLMOS_QUOTA_IN_FLIGHT	= 1 << 1,
	LLMOS_QUOTA_QUEUED	= 1 << 2,
	LLMOS_QUOTA_RATE	= 1 << 3,
	LLMOS_QUOTA_BURST	= 1 << 4,
	LLMOS_QUOTA_COMPUTE	= 1 << 5,
	LLMOS_QUOTA_PERIOD	= 1 << 6,
	LLMOS_QUOTA_SHARE_CACHE = 1 << 7,
	LLMOS_QUOTA_PROMPT_COST = 1 << 8,
};

/**
 * struct llmos_quota - what the administrator allows a cgroup and all below it
 * @size: sizeof(struct llmos_quota)
 * @fields: enum llmos_quota_field: which of those up to @share_cache are there; memory has a count
 * @weight: share among its siblings, 1 to 10000; 100 unless set
 * @in_flight: requests that have begun and not ended
 * @queued: requests that have yet to begin
 * @prompt_cost: what a token of a prompt counts, in thousandths of a generated one; of the root
 * @rate: thousandths of a token a second
 * @burst: thousandths of a token that may be used at once after idleness
 * @compute_ns: nanoseconds of compute time in each period
 * @period_ns: the period
 * @share_cache: all in this cgroup and below reuse one another's prefixes of prompts
 * @memory_count: regions in @memory
 * @memory: those that have a limit
 *
 * The highest value of a number's type is no limit; 0 lets nothing through.
 */
struct llmos_quota {
	size_t size;
	uint32_t fields;
	uint32_t weight;
	uint32_t in_flight;
	uint32_t queued;
	uint32_t prompt_cost;
	uint64_t rate;
	uint64_t burst;
	uint64_t compute_ns;
	uint64_t period_ns;
	bool share_cache;
	size_t memory_count;
	struct llmos_memory memory[LLMOS_REGIONS_MAX];
};

/** LLMOS_QUOTA_DEFAULTS - initialises a struct llmos_quota: what holds where nothing was set */
#define LLMOS_QUOTA_DEFAULTS					\
	{							\
		.size = sizeof(struct llmos_quota),		\
		.weight = 100,					\
		.in_flight = UINT32_MAX,			\
		.queued = UINT32_MAX,				\
		.prompt_cost = 250,				\
		.rate = UINT64_MAX,				\
		.burst = UINT64_MAX,				\
		.compute_ns = UINT64_MAX,			\
		.period_ns = UINT64_C(1000000000),		\
	}

/** struct llmos_stall - time stalled, and averages over 10, 60, 300 s in hundredths of a percent */
struct llmos_stall {
	uint64_t total_ns;
	uint32_t avg10;
	uint32_t avg60;
	uint32_t avg300;
};

/**
 * struct llmos_group - a cgroup: its quota, and what it and all below it have and had
 * @id: of the cgroup
 * @parent_id: of the one next above, 0: it is the root
 * @path: below the cgroup v2 mount, "" if it can not be found
 * @quota: its own
 * @in_flight: requests that have begun and not ended
 * @queued: requests that have yet to begin
 * @running: of those in flight, the ones a server steps now
 * @units: thousandths of a token used
 * @prompt_tokens: used
 * @output_tokens: used
 * @compute_ns: used
 * @throttled_ns: time it was kept out by its own quota
 * @queue_ns: time from submission to first dispatch, summed over @dispatched requests
 * @submitted: requests ever
 * @dispatched: of those, handed to a server at least once
 * @ended: of those, ended
 * @refused: requests refused or ended with EDQUOT
 * @memory_count: regions in @memory
 * @memory: charged
 * @some: at least one request wanted to be stepped and was not
 * @full: none was stepped
 */
struct llmos_group {
	uint64_t id;
	uint64_t parent_id;
	const char *path;
	struct llmos_quota quota;
	uint32_t in_flight;
	uint32_t queued;
	uint32_t running;
	uint64_t units;
	uint64_t prompt_tokens;
	uint64_t output_tokens;
	uint64_t compute_ns;
	uint64_t throttled_ns;
	uint64_t queue_ns;
	uint64_t submitted;
	uint64_t dispatched;
	uint64_t ended;
	uint64_t refused;
	size_t memory_count;
	struct llmos_memory memory[LLMOS_REGIONS_MAX];
	struct llmos_stall some;
	struct llmos_stall full;
};

struct llmos_groups {
	size_t count;
	struct llmos_group *groups;
};

/**
 * llmos_admin_open() - connect to the kernel's broker, past any server
 *
 * Return: 0; -ENOENT llm.ko is not loaded, -EPROTONOSUPPORT its version is not this library's,
 * -ENOMEM, -errno.
 */
LLMOS_API int llmos_admin_open(struct llmos_admin **ret);
LLMOS_API void llmos_admin_free(struct llmos_admin *admin);
/** llmos_admin_error() - one line about the last call that failed; never NULL */
LLMOS_API const char *llmos_admin_error(const struct llmos_admin *admin);

/** llmos_cgroup_root() - where the cgroup v2 tree is mounted; NULL: it is not */
LLMOS_API const char *llmos_cgroup_root(const struct llmos_admin *admin);
/**
 * llmos_cgroup_id() - the kernel's number of a cgroup
 * @name: path from the root of the cgroup v2 tree or of its folder ("/user.slice",
 *	"/sys/fs/cgroup/user.slice"), or the name alone where only one cgroup has it ("foo.service")
 *
 * Users make cgroups below their own and call them what they like: where it matters whose a cgroup
 * is, give a path, or look at the owner of the folder that a name led to.
 *
 * Return: 0; -ENOENT there is none, -ENOTUNIQ several have that name, -E2BIG the tree is too large
 * or not readable enough to tell whether several have it, -EINVAL no name of a cgroup, -EOPNOTSUPP
 * cgroup v2 is not mounted, -EACCES, -errno.
 */
LLMOS_API int llmos_cgroup_id(struct llmos_admin *admin, uint64_t *ret_id, const char *name);
/** llmos_cgroup_path() - its path below the mount, to be freed with free(); -ENOENT not found */
LLMOS_API int llmos_cgroup_path(struct llmos_admin *admin, char **ret_path, uint64_t id);

/** llmos_group_get() - one cgroup, also one that never had a quota; -ENOENT there is none */
LLMOS_API int llmos_group_get(struct llmos_admin *admin, struct llmos_groups **ret, uint64_t id);
/** llmos_groups() - each that has a quota or requests */
LLMOS_API int llmos_groups(struct llmos_admin *admin, struct llmos_groups **ret);
LLMOS_API void llmos_groups_free(struct llmos_groups *groups);

/**
 * llmos_quota_set() - what is there is set, all or nothing; the rest stays as it is
 * @quota: fields and memory to set
 *
 * Return: 0; -ENOENT no such cgroup, -ERANGE a value is out of bounds (the error line tells which),
 * -EPERM, -EINVAL.
 */
LLMOS_API int llmos_quota_set(struct llmos_admin *admin, uint64_t id,
			      const struct llmos_quota *quota);
/** llmos_quota_reset() - back to the defaults; @id 0: all cgroups */
LLMOS_API int llmos_quota_reset(struct llmos_admin *admin, uint64_t id);

enum llmos_event_type {
	LLMOS_EVENT_SERVER_UP	= 1,
	LLMOS_EVENT_SERVER_DOWN = 2,
	LLMOS_EVENT_QUOTA	= 3,	/* a quota was set or reset */
	LLMOS_EVENT_THROTTLED	= 4,	/* kept out by its own rate or compute time from now on */
	LLMOS_EVENT_REFUSED	= 5,	/* a request was refused or ended with EDQUOT */
	LLMOS_EVENT_PRESSURE	= 6,	/* what llmos_watch() asked for */
	LLMOS_EVENT_GROUP_GONE	= 7,	/* a cgroup that had a quota was removed */
};

/**
 * struct llmos_event - what happened; what does not apply is 0
 * @size: sizeof(struct llmos_event), set by the caller
 * @type: enum llmos_event_type; others may come
 * @pid: of the server, or of who asked
 * @time_ns: CLOCK_MONOTONIC
 * @cgroup_id: whose
 * @uid: of who asked; UINT32_MAX: it does not apply
 * @requests: LLMOS_EVENT_SERVER_DOWN: that wait for the next one
 * @request: LLMOS_EVENT_REFUSED, where it had begun
 * @count: how many of the kind since the last one told
 * @stall_ns: LLMOS_EVENT_PRESSURE: stalled in the window
 */
struct llmos_event {
	size_t size;
	uint32_t type;
	uint32_t pid;
	uint64_t time_ns;
	uint64_t cgroup_id;
	uint32_t uid;
	uint32_t requests;
	uint64_t request;
	uint64_t count;
	uint64_t stall_ns;
};

/**
 * struct llmos_watch_opts - when to be told
 * @size: sizeof(struct llmos_watch_opts)
 * @full: of time in which none of its requests was stepped, not just some
 * @stall_ns: when it was stalled that long
 * @window_ns: within so many, 500 ms to 300 s
 */
struct llmos_watch_opts {
	size_t size;
	bool full;
	uint64_t stall_ns;
	uint64_t window_ns;
};

/** llmos_events_open() - have all events told from now on; -EPERM for administrators only */
LLMOS_API int llmos_events_open(struct llmos_admin *admin);
/** llmos_watch() - have an event told, once a window at most, when a cgroup was stalled */
LLMOS_API int llmos_watch(struct llmos_admin *admin, uint64_t id,
			  const struct llmos_watch_opts *opts);
/**
 * llmos_events_fd() - a descriptor that polls readable while there may be an event to take; -errno
 *
 * To be polled only; llmos_admin_free() closes it.
 */
LLMOS_API int llmos_events_fd(struct llmos_admin *admin);
/**
 * llmos_events_next() - the next event
 * @timeout_ms: wait at most this long; 0: do not wait, -1: forever
 *
 * Return: 1; 0 none came; -ENOBUFS some were lost (go on), -EINTR a signal handler ran, -ENODEV
 * llm.ko was unloaded: no more will come, -errno.
 */
LLMOS_API int llmos_events_next(struct llmos_admin *admin, struct llmos_event *event,
				int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* LLMOS_H */
