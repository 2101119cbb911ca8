/* SPDX-License-Identifier: MIT */
/*
 * llmctl session: conversations that programs inherit. What is run has the descriptor, and its
 * number in $LLMOS_SESSION; each llmctl ask in it goes on with the conversation.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "llmctl.h"
#include "session.h"
#include "term.h"

#define SESSION_VARIABLE	"LLMOS_SESSION"
#define SAVED_MAGIC		"llmos session 1\n"
#define SAVED_MODEL		"model "
#define SAVED_TOKENS		"tokens "

int session_open(const struct options *options, struct llmos_session **ret)
{
	const char *text = options->session ? options->session : getenv(SESSION_VARIABLE);
	uint64_t number;
	int fd, r;

	*ret = NULL;
	if (!text || !*text)
		return EX_OK;
	r = parse_u64(text, INT_MAX, &number);
	if (r < 0)
		return fail(EX_USAGE, "session '%s' is not the number of a descriptor", text);
	/* the number stays good for whoever comes later */
	fd = fcntl((int)number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return fail(EX_USAGE, "session '%s': %s", text, strerror(errno));
	r = llmos_session_from_fd(ret, fd);
	return r < 0 ? fail(exit_code(r), "session '%s': %s", text, strerror(-r)) : EX_OK;
}

static int session_needed(const struct options *options, struct llmos_session **ret)
{
	int code = session_open(options, ret);

	if (code || *ret)
		return code;
	return fail(EX_USAGE, "no session: neither --session nor $" SESSION_VARIABLE
		    " names a descriptor");
}

/* ---- run and fork ---- */

/* Return: only if it fails */
static int session_exec(const struct options *options, struct llmos_session *session, char **argv)
{
	int fd = llmos_session_fd(session);
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	if (fcntl(fd, F_SETFD, 0) < 0 || setenv(SESSION_VARIABLE, number, 1) < 0 ||
	    (options->address && setenv("LLMOS_ADDRESS", options->address, 1) < 0))
		return fail(EX_OSERR, "%s", strerror(errno));
	execvp(argv[0], argv);
	return fail(errno == ENOENT ? EX_NOINPUT : EX_NOPERM, "'%s': %s", argv[0],
		    strerror(errno));
}

static int verb_run(const struct options *options, struct llmos *llmos, char **argv)
{
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	int r;

	r = llmos_session_new(llmos, &session);
	return r < 0 ? fail_llmos(llmos, r) : session_exec(options, session, argv);
}

static int verb_fork(const struct options *options, struct llmos *llmos, char **argv)
{
	_cleanup_(session_freep) struct llmos_session *session = NULL, *fork = NULL;
	int code, r;

	code = session_needed(options, &session);
	if (code)
		return code;
	r = llmos_session_fork(llmos, &fork, session);
	return r < 0 ? fail_llmos(llmos, r) : session_exec(options, fork, argv);
}

/* ---- seal and info ---- */

static int verb_seal(const struct options *options, struct llmos *llmos, char **argv)
{
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	int code, r;

	(void)argv;
	code = session_needed(options, &session);
	if (code)
		return code;
	r = llmos_session_seal(llmos, session);
	return r < 0 ? fail_llmos(llmos, r) : EX_OK;
}

static int info_json(const struct llmos_session_info *info)
{
	struct json json = { 0 };
	int r;

	json_object(&json, NULL);
	json_number(&json, "id", info->id);
	json_number(&json, "tokens", info->tokens);
	json_number(&json, "turns", info->turns);
	json_number(&json, "bytes", info->bytes);
	json_bool(&json, "sealed", info->sealed);
	json_bool(&json, "busy", info->busy);
	json_end_object(&json);
	r = json_done(&json);
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

static int verb_info(const struct options *options, struct llmos *llmos, char **argv)
{
	struct llmos_session_info info = { .size = sizeof(info) };
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	int code, r;

	(void)argv;
	code = session_needed(options, &session);
	if (code)
		return code;
	r = llmos_session_get_info(llmos, session, &info);
	if (r < 0)
		return fail_llmos(llmos, r);
	if (options->json)
		return info_json(&info);
	printf("session %llu: %llu tokens, %llu turns%s%s\n", (unsigned long long)info.id,
	       (unsigned long long)info.tokens, (unsigned long long)info.turns,
	       info.sealed ? ", sealed" : "", info.busy ? ", busy" : "");
	r = term_flush();
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

/* ---- save and restore ---- */

static int saved_write(FILE *file, const struct llmos_tokens *tokens, const char *model)
{
	size_t i;

	fprintf(file, SAVED_MAGIC SAVED_MODEL "%s\n" SAVED_TOKENS "%zu\n", model, tokens->count);
	for (i = 0; i < tokens->count; i++)
		fprintf(file, "%u%c", tokens->tokens[i].id,
			i % 16 == 15 || i + 1 == tokens->count ? '\n' : ' ');
	return fflush(file) || ferror(file) ? -errno : 0;
}

/* "-" is standard output; a file is for nobody else to read */
static int saved_create(const char *path, const struct llmos_tokens *tokens, const char *model)
{
	FILE *file;
	int fd, r;

	if (!strcmp(path, "-"))
		return saved_write(stdout, tokens, model);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file) {
		r = -errno;
		close(fd);
		return r;
	}
	r = saved_write(file, tokens, model);
	if (fclose(file) && !r)
		r = -errno;
	return r;
}

static int verb_save(const struct options *options, struct llmos *llmos, char **argv)
{
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	_cleanup_(tokens_freep) struct llmos_tokens *tokens = NULL;
	_cleanup_free_ char *model = NULL;
	int code, r;

	code = session_needed(options, &session);
	if (code)
		return code;
	r = llmos_session_tokens(llmos, session, &tokens, &model);
	if (r < 0)
		return fail_llmos(llmos, r);
	if (!tokens->count)
		return fail(EX_NOINPUT, "nothing was said in the session yet");
	r = saved_create(argv[0], tokens, model ? model : "");
	return r < 0 ? fail(EX_IOERR, "'%s': %s", argv[0], strerror(-r)) : EX_OK;
}

/* all of a file, as text; the caller frees */
static int saved_read(const char *path, struct bytes *ret)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int code = EX_OK;

	if (!file)
		return fail(EX_NOINPUT, "'%s': %s", path, strerror(errno));
	ret->data = malloc(SAVED_MAX + 1);
	if (!ret->data) {
		code = fail(EX_OSERR, "'%s': %s", path, strerror(ENOMEM));
	} else {
		ret->len = fread(ret->data, 1, SAVED_MAX + 1, file);
		if (ferror(file))
			code = fail(EX_IOERR, "'%s': %s", path, strerror(errno));
		else if (ret->len > SAVED_MAX)
			code = fail(EX_DATAERR, "'%s': more than %u bytes", path, SAVED_MAX);
		else
			ret->data[ret->len] = '\0';
	}
	if (file != stdin)
		fclose(file);
	return code;
}

/* saved_counted() - the line that says how many ids there are; *ret: (size_t)-1 if it is missing */
static int saved_counted(struct bytes *text, size_t *ret)
{
	const size_t len = strlen(SAVED_TOKENS);
	unsigned long long count;
	char *end;

	*ret = (size_t)-1;
	/* an earlier version had none */
	if (strncmp(text->data, SAVED_TOKENS, len))
		return EX_OK;
	if (text->data[len] < '0' || text->data[len] > '9')
		return fail(EX_DATAERR, "a saved session that does not say how many tokens it has");
	errno = 0;
	count = strtoull(text->data + len, &end, 10);
	if (errno || *end != '\n' || count >= SAVED_MAX)
		return fail(EX_DATAERR, "a saved session that does not say how many tokens it has");
	*ret = (size_t)count;
	text->len -= (size_t)(end + 1 - text->data);
	text->data = end + 1;
	return EX_OK;
}

int session_saved_parse(struct bytes *text, const char **ret_model, uint32_t **ret_ids,
			size_t *ret_count)
{
	struct bytes ids = { .data = text->data, .len = text->len };
	char *model, *end;
	size_t wanted;
	int code;

	/* a NUL byte would end the lines early */
	if (memchr(text->data, '\0', text->len) ||
	    strncmp(text->data, SAVED_MAGIC SAVED_MODEL, strlen(SAVED_MAGIC SAVED_MODEL)))
		return fail(EX_DATAERR, "that is no saved session");
	model = text->data + strlen(SAVED_MAGIC SAVED_MODEL);
	end = strchr(model, '\n');
	if (!end || end == model)
		return fail(EX_DATAERR, "a saved session without the name of its model");
	*end = '\0';
	ids.data = end + 1;
	ids.len = text->len - (size_t)(ids.data - text->data);
	*ret_model = model;
	/* the last id may be half of one */
	if (text->data[text->len - 1] != '\n')
		return fail(EX_DATAERR, "a saved session that is cut off");
	code = saved_counted(&ids, &wanted);
	if (!code)
		code = input_ids(&ids, ret_ids, ret_count);
	if (!code && wanted != (size_t)-1 && wanted != *ret_count)
		return fail(EX_DATAERR, "a saved session of %zu tokens, of which %zu are there",
			    wanted, *ret_count);
	return code;
}

static int verb_restore(const struct options *options, struct llmos *llmos, char **argv)
{
	struct llmos_session_info info = { .size = sizeof(info) };
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	_cleanup_(bytes_freep) struct bytes text = { 0 };
	_cleanup_free_ uint32_t *ids = NULL;
	const char *model;
	size_t count;
	int code, r;

	code = session_needed(options, &session);
	if (!code)
		code = saved_read(argv[0], &text);
	if (!code)
		code = session_saved_parse(&text, &model, &ids, &count);
	if (code)
		return code;
	r = llmos_session_get_info(llmos, session, &info);
	if (r < 0)
		return fail_llmos(llmos, r);
	if (info.tokens)
		return fail(EX_USAGE, "%llu tokens were said in the session already",
			    (unsigned long long)info.tokens);
	r = llmos_session_append(llmos, session, ids, count, model);
	return r < 0 ? fail_llmos(llmos, r) : EX_OK;
}

/* ---- all of them ---- */

/**
 * struct session_verb - what session can do
 * @name: as typed
 * @wanted: its operand, for the one who gives none; NULL: it has none
 * @runs: its operands are a command with options of its own
 */
static const struct session_verb {
	const char *name;
	const char *wanted;
	bool runs;
	int (*run)(const struct options *options, struct llmos *llmos, char **argv);
} verbs[] = {
	{ "run", "a command expected", true, verb_run },
	{ "fork", "a command expected", true, verb_fork },
	{ "seal", NULL, false, verb_seal },
	{ "info", NULL, false, verb_info },
	{ "save", "a file expected", false, verb_save },
	{ "restore", "a file expected", false, verb_restore },
};

static const struct session_verb *verb_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

int cmd_session(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	const struct session_verb *verb;
	int first, code;

	if (argc < 1)
		return fail_operands("run, fork, seal, info, save or restore expected");
	verb = verb_find(argv[0]);
	if (!verb)
		return fail(EX_USAGE, "'%s' is not run, fork, seal, info, save or restore",
			    argv[0]);
	first = options_parse(options, SESSION_OPTIONS, verb->runs, argc, argv);
	if (first < 0)
		return EX_USAGE;
	argv += first;
	argc -= first;
	if (verb->wanted ? argc < 1 : argc > 0)
		return fail_operands(verb->wanted ? verb->wanted : "no operand expected");
	if (!verb->runs && argc > 1)
		return fail_operands(verb->wanted);
	llmos = connect_llmos(options, &code);
	return llmos ? verb->run(options, llmos, argv) : code;
}
