/* SPDX-License-Identifier: MIT */
/*
 * The options of all commands, in one table; a command names the groups it takes.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "llmctl.h"

#define CONSTRAINT_MAX	(1U << 20)	/* bytes of a grammar or a schema */

enum option_type {
	TYPE_FLAG,	/* bool */
	TYPE_TEXT,	/* const char * */
	TYPE_U32,
	TYPE_U64,
	TYPE_REAL,	/* double */
	TYPE_STOP,	/* one more stop string */
	TYPE_LOGPROBS,	/* optional number */
	TYPE_SHIFT,	/* the same, struct options_shift */
	TYPE_CLASS,	/* enum llmos_class, by name */
	TYPE_POOLING,	/* enum llmos_pooling, by name */
	TYPE_ADAPTER,	/* one more adapter, NAME or NAME=SCALE */
};

/**
 * struct option_def - an option
 * @name: without the dashes
 * @letter: its short form, 0 if it has none
 * @type: how to read its value
 * @group: enum option_group
 * @offset: of its field in struct options
 */
struct option_def {
	const char *name;
	char letter;
	enum option_type type;
	unsigned int group;
	size_t offset;
};

#define OPTION(n, l, t, g, field) { n, l, t, g, offsetof(struct options, field) }

static const struct option_def defs[] = {
	OPTION("address",	 'a', TYPE_TEXT,     OPT_ADDRESS,  address),
	OPTION("help",		 'h', TYPE_FLAG,     OPT_HELP,	   help),
	OPTION("version",	 'V', TYPE_FLAG,     OPT_VERSION,  version),
	OPTION("json",		 'j', TYPE_FLAG,     OPT_JSON,	   json),
	OPTION("model",		 'm', TYPE_TEXT,     OPT_MODEL,	   model),
	OPTION("max-tokens",	 'n', TYPE_U32,	     OPT_SAMPLING, max_tokens),
	OPTION("context-shift",	  0,  TYPE_SHIFT,    OPT_SAMPLING, shift),
	OPTION("temperature",	 't', TYPE_REAL,     OPT_SAMPLING, temperature),
	OPTION("top-k",		  0,  TYPE_U32,	     OPT_SAMPLING, top_k),
	OPTION("top-p",		  0,  TYPE_REAL,     OPT_SAMPLING, top_p),
	OPTION("min-p",		  0,  TYPE_REAL,     OPT_SAMPLING, min_p),
	OPTION("repeat-penalty",  0,  TYPE_REAL,     OPT_SAMPLING, repeat_penalty),
	OPTION("repeat-last-n",   0,  TYPE_U32,	     OPT_SAMPLING, repeat_last_n),
	OPTION("seed",		  0,  TYPE_U64,	     OPT_SAMPLING, seed),
	OPTION("stop",		  0,  TYPE_STOP,     OPT_SAMPLING, stop),
	OPTION("ignore-eos",	  0,  TYPE_FLAG,     OPT_SAMPLING, ignore_eos),
	OPTION("grammar",	  0,  TYPE_TEXT,     OPT_SAMPLING, grammar),
	OPTION("schema",	  0,  TYPE_TEXT,     OPT_SAMPLING, schema),
	OPTION("any-json",	  0,  TYPE_FLAG,     OPT_SAMPLING, any_json),
	OPTION("adapter",	  0,  TYPE_ADAPTER,  OPT_ADAPTERS, adapters),
	OPTION("class",		  0,  TYPE_CLASS,    OPT_CLASS,    sched_class),
	OPTION("no-wait",	  0,  TYPE_FLAG,     OPT_CLASS,    no_wait),
	OPTION("raw",		  0,  TYPE_FLAG,     OPT_PROMPT | OPT_RAW, raw),
	OPTION("pooling",	  0,  TYPE_POOLING,  OPT_VECTORS,  pooling),
	OPTION("dims",		  0,  TYPE_U32,	     OPT_VECTORS,  dims),
	OPTION("no-normalize",	  0,  TYPE_FLAG,     OPT_VECTORS,  not_normal),
	OPTION("truncate",	  0,  TYPE_FLAG,     OPT_TEXTS,	   truncate),
	OPTION("null",		 '0', TYPE_FLAG,     OPT_TEXTS,	   nul),
	OPTION("no-bos",	  0,  TYPE_FLAG,     OPT_PROMPT | OPT_NO_BOS, no_bos),
	OPTION("system",	  0,  TYPE_TEXT,     OPT_SYSTEM,   system),
	OPTION("special",	  0,  TYPE_FLAG,     OPT_SPECIAL,  special),
	OPTION("logprobs",	  0,  TYPE_LOGPROBS, OPT_LOGPROBS, logprobs),
	OPTION("choices",	  0,  TYPE_U32,	     OPT_CHOICES,  choices),
	OPTION("best-of",	  0,  TYPE_U32,	     OPT_CHOICES,  best_of),
	OPTION("ids",		  0,  TYPE_FLAG,     OPT_IDS,	   ids),
	OPTION("bos",		  0,  TYPE_FLAG,     OPT_BOS,	   bos),
	OPTION("batch",		 'b', TYPE_FLAG,     OPT_ROUNDS,   batch),
	OPTION("interval",	  0,  TYPE_REAL,     OPT_ROUNDS,   interval),
	OPTION("sort",		  0,  TYPE_TEXT,     OPT_ROUNDS,   sort),
	OPTION("count",		 'c', TYPE_U64,	     OPT_COUNT,	   count),
	OPTION("watch",		  0,  TYPE_TEXT,     OPT_WATCH,	   watch),
	OPTION("full",		  0,  TYPE_FLAG,     OPT_WATCH,	   full),
	OPTION("folder",	  0,  TYPE_TEXT,     OPT_QUOTA,    folder),
	OPTION("all",		  0,  TYPE_FLAG,     OPT_QUOTA,	   all),
	OPTION("session",	  0,  TYPE_TEXT,     OPT_SESSION,  session),
};

#define DEF_COUNT	(sizeof(defs) / sizeof(defs[0]))
/* getopt's values of long options: index in defs, away from all letters */
#define DEF_BASE	256

const char *class_name(enum llmos_class class)
{
	return class == LLMOS_INTERACTIVE ? "interactive" : class == LLMOS_IDLE ? "idle" :
	       "normal";
}

int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

static int parse_real(const char *text, double *ret)
{
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	if (end == text || *end)
		return -EINVAL;
	return errno == ERANGE ? -ERANGE : 0;
}

static int option_add_stop(struct options *options, const char *text)
{
	if (!*text)
		return -EINVAL;
	if (options->stop_count >= STOPS_MAX)
		return -E2BIG;
	options->stop[options->stop_count++] = text;
	return 0;
}

static int option_add_adapter(struct options *options, const char *text)
{
	const char *scale = strrchr(text, '=');
	const size_t len = scale ? (size_t)(scale - text) : strlen(text);
	struct llmos_adapter *adapter = &options->adapters[options->adapter_count];
	char *name = options->adapter_names[options->adapter_count];
	int r;

	if (options->adapter_count == LLMOS_ADAPTERS_MAX)
		return -E2BIG;
	if (!len || len >= sizeof(options->adapter_names[0]))
		return -EINVAL;
	adapter->scale = 1;
	r = scale ? parse_real(scale + 1, &adapter->scale) : 0;
	if (r < 0)
		return r;
	memcpy(name, text, len);
	name[len] = '\0';
	adapter->name = name;
	options->adapter_count++;
	return 0;
}

static int option_set_class(struct options *options, const char *text)
{
	enum llmos_class class;

	for (class = LLMOS_NORMAL; class <= LLMOS_IDLE; class++) {
		if (strcmp(text, class_name(class)))
			continue;
		options->sched_class = class;
		options->class_given = true;
		return 0;
	}
	return -EINVAL;
}

static int option_set_shift(struct options *options, const char *text)
{
	uint64_t keep = 0;
	int r = text ? parse_u64(text, UINT32_MAX, &keep) : 0;

	if (r < 0)
		return r;
	/* 0 would be as if nothing was said */
	if (text && !keep)
		return -ERANGE;
	options->shift.is_on = true;
	options->shift.keep = (uint32_t)keep;
	return 0;
}

static int option_set_pooling(struct options *options, const char *text)
{
	static const char *const names[] = {
		[LLMOS_POOLING_MEAN] = "mean", [LLMOS_POOLING_FIRST] = "first",
		[LLMOS_POOLING_LAST] = "last",
	};
	unsigned int i;

	for (i = LLMOS_POOLING_MEAN; i <= LLMOS_POOLING_LAST; i++) {
		if (strcmp(text, names[i]))
			continue;
		options->pooling = i;
		return 0;
	}
	return -EINVAL;
}

static int option_set(struct options *options, const struct option_def *def, const char *text)
{
	void *field = (char *)options + def->offset;
	uint64_t number = 0;
	int r;

	switch (def->type) {
	case TYPE_FLAG:
		*(bool *)field = true;
		return 0;
	case TYPE_TEXT:
		*(const char **)field = text;
		return 0;
	case TYPE_U32:
		r = parse_u64(text, UINT32_MAX, &number);
		*(uint32_t *)field = (uint32_t)number;
		return r;
	case TYPE_U64:
		return parse_u64(text, UINT64_MAX, field);
	case TYPE_REAL:
		return parse_real(text, field);
	case TYPE_STOP:
		return option_add_stop(options, text);
	case TYPE_CLASS:
		return option_set_class(options, text);
	case TYPE_POOLING:
		return option_set_pooling(options, text);
	case TYPE_ADAPTER:
		return option_add_adapter(options, text);
	case TYPE_SHIFT:
		return option_set_shift(options, text);
	case TYPE_LOGPROBS:
		r = text ? parse_u64(text, 20, &number) : 0;
		*(int *)field = (int)number;
		return r;
	}
	return -EINVAL;
}

static int option_needs(const struct option_def *def)
{
	return def->type == TYPE_FLAG ? no_argument :
	       def->type == TYPE_LOGPROBS || def->type == TYPE_SHIFT ? optional_argument :
								       required_argument;
}

/* what getopt_long() wants, for the options of these groups */
static void options_tables(unsigned int groups, struct option longs[DEF_COUNT + 1],
			   char *letters)
{
	size_t i;

	for (i = 0; i < DEF_COUNT; i++) {
		if (!(defs[i].group & groups))
			continue;
		*longs++ = (struct option){ defs[i].name, option_needs(&defs[i]), NULL,
					    (int)(DEF_BASE + i) };
		if (!defs[i].letter)
			continue;
		*letters++ = defs[i].letter;
		if (option_needs(&defs[i]) == required_argument)
			*letters++ = ':';
	}
	*longs = (struct option){ 0 };
	*letters = '\0';
}

static const struct option_def *option_find(int value)
{
	size_t i;

	if (value >= DEF_BASE)
		return &defs[value - DEF_BASE];
	for (i = 0; i < DEF_COUNT; i++)
		if (defs[i].letter == value)
			return &defs[i];
	return NULL;
}

static int option_unknown(int value, char **argv)
{
	const char *reason = value == ':' ? "needs a value" : "is not known";

	/* a cluster of letters is named by the one that is wrong */
	if (optopt && optopt < DEF_BASE)
		fail(EX_USAGE, "option '-%c' %s", optopt, reason);
	else
		fail(EX_USAGE, "option '%s' %s", argv[optind - 1], reason);
	return -1;
}

int options_parse(struct options *options, unsigned int groups, bool stop_at_operand, int argc,
		  char **argv)
{
	struct option longs[DEF_COUNT + 1];
	char letters[2 * DEF_COUNT + 3];
	const struct option_def *def;
	int value, r;

	/* a colon first: tell a missing value from an unknown option, and say nothing */
	options_tables(groups, longs, stpcpy(letters, stop_at_operand ? "+:" : ":"));
	optind = 0;
	opterr = 0;
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		def = value == '?' || value == ':' ? NULL : option_find(value);
		if (!def)
			return option_unknown(value, argv);
		r = option_set(options, def, optarg);
		if (r < 0) {
			fail(EX_USAGE, "option '--%s' '%s': %s", def->name, optarg ? optarg : "",
			     strerror(-r));
			return -1;
		}
	}
	return optind;
}

void options_init(struct options *options)
{
	*options = (struct options){ .logprobs = -1, .interval = 2 };
}

struct llmos_generate_opts options_generate(const struct options *options)
{
	return (struct llmos_generate_opts){
		.size = sizeof(struct llmos_generate_opts),
		.model = options->model,
		.raw = options->raw,
		.special = options->special,
		.no_bos = options->no_bos,
		.ignore_eos = options->ignore_eos,
		.logprobs = options->logprobs >= 0,
		.max_tokens = options->max_tokens,
		.temperature = options->temperature,
		.top_p = options->top_p,
		.min_p = options->min_p,
		.repeat_penalty = options->repeat_penalty,
		.top_k = options->top_k,
		.repeat_last_n = options->repeat_last_n,
		.seed = options->seed,
		.top_logprobs = options->logprobs > 0 ? (uint32_t)options->logprobs : 0,
		.stop = options->stop,
		.sched_class = options->sched_class,
		.no_wait = options->no_wait,
		.grammar = options->grammar,
		.schema = options->schema,
		.any_json = options->any_json,
		.adapters = options->adapters,
		.adapter_count = options->adapter_count,
		.context_shift = options->shift.is_on,
		.keep_tokens = options->shift.keep,
	};
}

/* all of a file, of a megabyte at most; NULL: errno says why not */
static char *read_file(const char *path, size_t *ret_len)
{
	char *text = malloc(CONSTRAINT_MAX + 1);
	FILE *file = text ? fopen(path, "re") : NULL;

	if (!file) {
		free(text);
		return NULL;
	}
	*ret_len = fread(text, 1, CONSTRAINT_MAX + 1, file);
	if (ferror(file) || *ret_len > CONSTRAINT_MAX) {
		errno = ferror(file) ? errno : EFBIG;
		free(text);
		text = NULL;
	} else {
		text[*ret_len] = '\0';
	}
	fclose(file);
	return text;
}

int options_read_constraint(struct options *options, char **ret_text)
{
	const char **path = options->grammar ? &options->grammar : &options->schema;
	size_t len;

	if (!!options->grammar + !!options->schema + options->any_json > 1)
		return fail(EX_USAGE,
			    "options '--grammar', '--schema' and '--any-json' exclude each other");
	if (options->ignore_eos && (*path || options->any_json))
		return fail(EX_USAGE, "option '--ignore-eos' and '--%s' exclude each other",
			    options->grammar ? "grammar" : *path ? "schema" : "any-json");
	if (!*path)
		return EX_OK;
	*ret_text = read_file(*path, &len);
	if (!*ret_text)
		return fail(EX_NOINPUT, "'%s': %s", *path, strerror(errno));
	if (memchr(*ret_text, '\0', len))
		return fail(EX_DATAERR, "'%s': a NUL byte in it", *path);
	*path = *ret_text;
	return EX_OK;
}
