/* SPDX-License-Identifier: MIT */
/*
 * llmctl quota: set and reset, and the way to the other verbs.
 */
#include <stdio.h>
#include <string.h>

#include "group.h"
#include "quota.h"
#include "quota_file.h"
#include "quota_key.h"

/* one KEY=VALUE; Return: exit code, said what */
static int take_pair(struct llmos_quota *quota, const char *pair)
{
	const char *equals = strchr(pair, '='), *wanted = "";
	char key[64];
	int r = -ENOENT;

	if (!equals)
		return fail(EX_USAGE, "'%.64s' is no KEY=VALUE", pair);
	if ((size_t)(equals - pair) < sizeof(key)) {
		memcpy(key, pair, equals - pair);
		key[equals - pair] = '\0';
		r = quota_key_parse(quota, key, equals + 1, &wanted);
	}
	switch (r) {
	case 0:
		return EX_OK;
	case -ENOENT:
		return fail(EX_USAGE, "key '%.*s' is not known (see llmctl quota --help)",
			    (int)(equals - pair < 64 ? equals - pair : 64), pair);
	case -E2BIG:
		return fail(EX_USAGE, "'%.64s' is one region too many", pair);
	default:
		return fail(EX_USAGE, "%s '%.64s': %s; wanted: %s", key, equals + 1, strerror(-r),
			    wanted);
	}
}

static int verb_set(struct options *options, struct llmos_admin *admin, int argc, char **argv)
{
	_cleanup_free_ char *path = NULL;
	struct llmos_quota quota = quota_none();
	uint64_t id = 0;
	int i, code, r;

	(void)options;
	for (i = 1; i < argc; i++) {
		code = take_pair(&quota, argv[i]);
		if (code)
			return code;
	}
	if (!admin)
		return EX_OK;
	code = group_choose(admin, argv[0], &id, &path);
	if (code)
		return code;
	r = llmos_quota_set(admin, id, &quota);
	return r < 0 ? fail_admin(admin, argv[0], r) : group_chosen(path);
}

static int verb_reset(struct options *options, struct llmos_admin *admin, int argc, char **argv)
{
	_cleanup_free_ char *path = NULL;
	uint64_t id = 0;
	int code, r;

	if (options->all == (argc == 1))
		return fail_operands("a cgroup or --all expected");
	if (!admin)
		return EX_OK;
	code = argc ? group_choose(admin, argv[0], &id, &path) : EX_OK;
	if (code)
		return code;
	r = llmos_quota_reset(admin, id);
	return r < 0 ? fail_admin(admin, argc ? argv[0] : NULL, r) : group_chosen(path);
}

static int verb_show(struct options *options, struct llmos_admin *admin, int argc, char **argv)
{
	return admin ? quota_show(options, admin, argc ? argv[0] : NULL) : EX_OK;
}

static const char *folder_of(const struct options *options)
{
	return options->folder ? options->folder : QUOTA_FOLDER;
}

static int verb_apply(struct options *options, struct llmos_admin *admin, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return admin ? quota_apply(admin, folder_of(options)) : EX_OK;
}

static int verb_watch(struct options *options, struct llmos_admin *admin, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return admin ? quota_watch(admin, folder_of(options)) : EX_OK;
}

/**
 * struct verb - what quota can do
 * @name: as typed
 * @least: operands at least
 * @most: operands at most
 * @wanted: for the one who gives others
 * @run: with @admin NULL it only looks at its operands
 */
static const struct verb {
	const char *name;
	int least;
	int most;
	const char *wanted;
	int (*run)(struct options *options, struct llmos_admin *admin, int argc, char **argv);
} verbs[] = {
	{ "set", 2, 1000, "a cgroup and KEY=VALUE expected", verb_set },
	{ "show", 0, 1, "one cgroup expected", verb_show },
	{ "reset", 0, 1, "a cgroup or --all expected", verb_reset },
	{ "apply", 0, 0, "no operand expected", verb_apply },
	{ "watch", 0, 0, "no operand expected", verb_watch },
};

static const struct verb *verb_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

int cmd_quota(struct options *options, int argc, char **argv)
{
	_cleanup_(admin_freep) struct llmos_admin *admin = NULL;
	const struct verb *verb;
	int code;

	if (!argc)
		return fail_operands("set, show, reset, apply or watch expected");
	verb = verb_find(argv[0]);
	if (!verb)
		return fail(EX_USAGE, "'%.64s' is none of set, show, reset, apply, watch", argv[0]);
	argc--;
	argv++;
	if (argc < verb->least || argc > verb->most)
		return fail_operands(verb->wanted);
	/* what is wrong on the command line is wrong without a module too */
	code = verb->run(options, NULL, argc, argv);
	if (code)
		return code;
	admin = connect_admin(&code);
	return admin ? verb->run(options, admin, argc, argv) : code;
}
