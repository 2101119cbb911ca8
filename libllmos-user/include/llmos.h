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
};

/**
 * struct llmos_usage - what a request took
 * @size: sizeof(struct llmos_usage), set by the caller
 * @prompt_tokens: number of tokens of the prompt
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
 * -EOPNOTSUPP unknown chat template (use raw), -ECANCELED a callback said so, -EBUSY too many
 * requests, -ECONNRESET the server went and did not come back, -EMSGSIZE an answer of more than
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

struct llmos_score_opts {
	size_t size;
	const char *model;
	bool special;
	bool no_bos;
	uint32_t top_logprobs;
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
LLMOS_API void llmos_tokens_free(struct llmos_tokens *tokens);

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

#ifdef __cplusplus
}
#endif

#endif /* LLMOS_H */
