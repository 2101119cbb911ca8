/* SPDX-License-Identifier: MIT */
/*
 * llmctl: the command line of llmos. main.c picks the command, options.c reads its options, one file
 * for each group of commands does it. Everything goes through llmos.h. A command returns its exit
 * code after having said on standard error, in one line, what was wrong.
 */
#ifndef LLMCTL_H
#define LLMCTL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>

#include "llmos.h"

/* llm.ko was unloaded while it was needed; the first code behind those of sysexits.h */
#define EX_UNLOADED	79
/* exit code of an answer that Ctrl-C ended, as shells have it */
#define EX_INTERRUPTED	130

#define STOPS_MAX	64

/**
 * struct options - what the command line said
 * @address: NULL: the default
 * @model: NULL: the server's default
 * @system: text of a system message, or NULL
 * @json: machine-readable output
 * @ids: token ids go in (score) or come out (tokenize)
 * @bos: tokenize with the begin-of-text token
 * @logprobs: -1: none; else number of alternatives beside each token's own
 * @grammar, @schema: files of what an answer is held to, or NULL
 * @any_json: an answer is JSON
 * @adapters: added to the model (adapter_count)
 * @adapter_names: where their names are
 * @shift: context_shift and keep_tokens
 * @choices: how many answers; 0: one, written as it comes
 * @best_of: of so many; 0: of @choices
 * @stop: strings that end an answer, NULL-terminated
 * @stop_count: number of them
 * @class_given: @sched_class was asked for
 * @batch: no screen: one table after the other
 * @count: rounds, or lines, to end after; 0: none
 * @interval: seconds between two rounds
 * @sort: name of a column
 * @watch: STALL/WINDOW to be told of
 * @full: the pressure in which none was stepped
 * @folder: of the files of quotas, NULL: the system's
 * @all: all cgroups
 * @pooling: how a text's vector is made of its tokens'
 * @dims: of a vector; 0: all
 * @not_normal: vectors as the model gives them
 * @truncate: cut texts that are too long
 * @nul: texts end with a NUL, not with a line
 * @help: show the command's help
 * @version: show the version
 *
 * The others are as in struct llmos_generate_opts.
 */
struct options {
	const char *address;
	const char *model;
	const char *system;
	bool json;
	bool ids;
	bool bos;
	bool raw;
	bool special;
	bool no_bos;
	bool ignore_eos;
	const char *grammar;
	const char *schema;
	bool any_json;
	struct llmos_adapter adapters[LLMOS_ADAPTERS_MAX];
	char adapter_names[LLMOS_ADAPTERS_MAX][64];
	size_t adapter_count;
	struct options_shift {
		bool is_on;
		uint32_t keep;
	} shift;
	uint32_t choices;
	uint32_t best_of;
	uint32_t max_tokens;
	double temperature;
	double top_p;
	double min_p;
	double repeat_penalty;
	uint32_t top_k;
	uint32_t repeat_last_n;
	uint64_t seed;
	int logprobs;
	const char *stop[STOPS_MAX + 1];
	size_t stop_count;
	enum llmos_class sched_class;
	bool class_given;
	bool no_wait;
	bool batch;
	uint64_t count;
	double interval;
	const char *sort;
	const char *watch;
	bool full;
	const char *folder;
	bool all;
	const char *session;
	enum llmos_pooling pooling;
	uint32_t dims;
	bool not_normal;
	bool truncate;
	bool nul;
	bool help;
	bool version;
};

/* which options a command takes */
enum option_group {
	OPT_HELP	= 1 << 0,
	OPT_JSON	= 1 << 1,
	OPT_MODEL	= 1 << 2,
	OPT_SAMPLING	= 1 << 3,	/* how to generate */
	OPT_PROMPT	= 1 << 4,	/* --raw, --no-bos */
	OPT_SYSTEM	= 1 << 5,
	OPT_SPECIAL	= 1 << 6,
	OPT_LOGPROBS	= 1 << 7,
	OPT_IDS		= 1 << 8,
	OPT_BOS		= 1 << 9,
	OPT_NO_BOS	= 1 << 10,
	OPT_VERSION	= 1 << 11,	/* only in front of the command */
	OPT_ADDRESS	= 1 << 12,
	OPT_CLASS	= 1 << 13,	/* --class, --no-wait */
	OPT_ROUNDS	= 1 << 14,	/* --interval, --batch, --sort */
	OPT_COUNT	= 1 << 15,
	OPT_WATCH	= 1 << 16,	/* --watch, --full */
	OPT_QUOTA	= 1 << 17,	/* --folder, --all */
	OPT_CHOICES	= 1 << 18,	/* --choices, --best-of */
	OPT_SESSION	= 1 << 19,	/* --session */
	OPT_STOP	= 1 << 20,	/* options end at the first operand */
	OPT_ADAPTERS	= 1 << 21,	/* --adapter */
	OPT_VECTORS	= 1 << 22,	/* --pooling, --dims, --no-normalize */
	OPT_TEXTS	= 1 << 23,	/* --truncate, --null */
	OPT_RAW		= 1 << 24,	/* --raw */
	OPT_COMMON	= OPT_HELP | OPT_ADDRESS,
};

/**
 * struct ctl_command - a command
 * @name: as typed
 * @options: enum option_group, or-ed
 * @help: the whole text of its --help
 * @run: does it with the operands that are left; its exit code
 */
struct ctl_command {
	const char *name;
	unsigned int options;
	const char *help;
	int (*run)(struct options *options, int argc, char **argv);
};

#define SESSION_OPTIONS	(OPT_COMMON | OPT_JSON | OPT_SESSION)

extern const struct ctl_command ctl_commands[];
const struct ctl_command *ctl_find(const char *name);

/* Return: index of the first operand, or -1 after an error was printed */
int options_parse(struct options *options, unsigned int groups, bool stop_at_operand, int argc,
		  char **argv);
void options_init(struct options *options);
/* the part of the options that the library takes; the callbacks are the caller's to add */
struct llmos_generate_opts options_generate(const struct options *options);
/*
 * Reads the file of --grammar or --schema, whose text takes the place of its name until *ret_text is
 * freed. Return: EX_OK, or another exit code after an error was printed.
 */
int options_read_constraint(struct options *options, char **ret_text);
const char *class_name(enum llmos_class class);
/* strict: decimal, nothing before or behind; 0 or -EINVAL, -ERANGE */
int parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* ---- saying what is wrong; error.c ---- */

/* name of the command in error lines */
void error_set_command(const char *name);
/* "llmctl: COMMAND: ..."; Return: code */
__attribute__((format(printf, 2, 3)))
int fail(int code, const char *what, ...);
/* the same for a call of the library that failed: its line, its code */
int fail_llmos(const struct llmos *llmos, int error);
/* exit code for a -errno */
int exit_code(int error);
/* connect; on failure the line is printed and *ret_code set, NULL returned */
struct llmos *connect_llmos(const struct options *options, int *ret_code);
int fail_operands(const char *wanted);
/* the same as connect_llmos(), to the kernel's broker; NULL: said why */
struct llmos_admin *connect_admin(int *ret_code);
int fail_unloaded(void);
/* a call of the library about a cgroup failed: its code; @cgroup NULL: about none */
int fail_admin(const struct llmos_admin *admin, const char *cgroup, int error);

/* ---- input; input.c ---- */

/** struct bytes - owned bytes, NUL-terminated beyond len */
struct bytes {
	char *data;
	size_t len;
};

/* operands joined by one space; Return: 0, -ENOMEM */
int input_join(struct bytes *bytes, int argc, char **argv);
/*
 * Everything of standard input behind what @bytes has, unless it is a terminal or closed.
 * Return: 0, -E2BIG more than @max bytes in all, -errno
 */
int input_append_stdin(struct bytes *bytes, size_t max);
bool input_is_terminal(void);
/* token ids, separated by spaces or commas; Return: exit code, said what */
int input_ids(const struct bytes *text, uint32_t **ret_ids, size_t *ret_count);

/* standard input is never read past this; the server's own limit is lower */
#define INPUT_BYTES_MAX	(64U << 20)

/* ---- cleanup ---- */

#define _cleanup_(fn)	__attribute__((cleanup(fn)))

static inline void freep(void *ptr)
{
	free(*(void **)ptr);
}
static inline void llmos_freep(struct llmos **llmos)
{
	llmos_free(*llmos);
}
static inline void request_freep(struct llmos_request **request)
{
	llmos_request_free(*request);
}
static inline void tokens_freep(struct llmos_tokens **tokens)
{
	llmos_tokens_free(*tokens);
}
static inline void models_freep(struct llmos_models **models)
{
	llmos_models_free(*models);
}
static inline void processes_freep(struct llmos_processes **processes)
{
	llmos_processes_free(*processes);
}
static inline void admin_freep(struct llmos_admin **admin)
{
	llmos_admin_free(*admin);
}
static inline void groups_freep(struct llmos_groups **groups)
{
	llmos_groups_free(*groups);
}
static inline void embeddings_freep(struct llmos_embeddings **embeddings)
{
	llmos_embeddings_free(*embeddings);
}
static inline void labels_freep(struct llmos_labels **labels)
{
	llmos_labels_free(*labels);
}
static inline void ranking_freep(struct llmos_ranking **ranking)
{
	llmos_ranking_free(*ranking);
}
static inline void bytes_freep(struct bytes *bytes)
{
	free(bytes->data);
}
#define _cleanup_free_	_cleanup_(freep)

/* ---- the commands ---- */

int cmd_ask(struct options *options, int argc, char **argv);
int cmd_run(struct options *options, int argc, char **argv);
int cmd_chat(struct options *options, int argc, char **argv);
int cmd_ls(struct options *options, int argc, char **argv);
int cmd_show(struct options *options, int argc, char **argv);
int cmd_ps(struct options *options, int argc, char **argv);
int cmd_tokenize(struct options *options, int argc, char **argv);
int cmd_detokenize(struct options *options, int argc, char **argv);
int cmd_score(struct options *options, int argc, char **argv);
int cmd_embed(struct options *options, int argc, char **argv);
int cmd_rank(struct options *options, int argc, char **argv);
int cmd_classify(struct options *options, int argc, char **argv);
int cmd_status(struct options *options, int argc, char **argv);
int cmd_session(struct options *options, int argc, char **argv);
int cmd_quota(struct options *options, int argc, char **argv);
int cmd_top(struct options *options, int argc, char **argv);
int cmd_events(struct options *options, int argc, char **argv);
int cmd_pressure(struct options *options, int argc, char **argv);
int cmd_version(struct options *options, int argc, char **argv);
int cmd_help(struct options *options, int argc, char **argv);

#endif /* LLMCTL_H */
