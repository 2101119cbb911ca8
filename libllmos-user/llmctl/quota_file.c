/* SPDX-License-Identifier: MIT */
/*
 * Reading of quota files: inih takes the lines apart, but names of sections, which it would cut,
 * are taken from the lines before it sees them. Matching is fnmatch(3), name by name; a backslash
 * stands for itself, as names of systemd's slices have some.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "llmctl.h"
#include "quota_file.h"
#include "quota_key.h"

#define RULES_MAX	10000U
#define FILES_MAX	1000
#define NAMES_MAX	64	/* in a path: walks recurse as deep */

/**
 * struct reading - a file that is being read
 * @rules: gets what is in it
 * @file: the lines
 * @name: for errors
 * @line: number of the one at hand
 * @text: of it; owned
 * @size: bytes there is room for in @text
 * @rule: a section has begun, its rule is the last one
 * @r: first error
 * @why: its text
 */
struct reading {
	struct quota_rules *rules;
	FILE *file;
	const char *name;
	unsigned int line;
	char *text;
	size_t size;
	bool rule;
	int r;
	char *why;
};

__attribute__((format(printf, 3, 4)))
static int reading_fail(struct reading *reading, int r, const char *what, ...)
{
	char text[384];
	va_list ap;

	if (reading->r)
		return r;
	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	reading->r = r;
	snprintf(reading->why, QUOTA_WHY_MAX, "%.100s:%u: %s", reading->name, reading->line, text);
	return r;
}

void quota_rules_done(struct quota_rules *rules)
{
	size_t i;

	for (i = 0; i < rules->count; i++)
		free(rules->rules[i].pattern);
	free(rules->rules);
	*rules = (struct quota_rules){ 0 };
}

/* ---- sections ---- */

/* absolute, without empty names, "." and ".." */
static bool pattern_valid(const char *pattern)
{
	const char *name, *end;
	size_t names = 0;

	if (*pattern != '/' || strlen(pattern) >= PATH_MAX)
		return false;
	if (!pattern[1])
		return true;
	for (name = pattern + 1;; name = end + 1) {
		end = strchrnul(name, '/');
		if (end == name || (end - name == 1 && *name == '.') ||
		    (end - name == 2 && !strncmp(name, "..", 2)))
			return false;
		if (++names > NAMES_MAX)
			return false;
		if (!*end)
			return true;
	}
}

static int rule_add(struct reading *reading, const char *pattern)
{
	struct quota_rules *rules = reading->rules;
	struct quota_rule *grown;
	char *copy;

	if (rules->count == RULES_MAX)
		return reading_fail(reading, -E2BIG, "more than %u sections", RULES_MAX);
	if (!(rules->count & (rules->count - 1))) {
		grown = reallocarray(rules->rules, rules->count ? rules->count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return reading_fail(reading, -ENOMEM, "%s", strerror(ENOMEM));
		rules->rules = grown;
	}
	copy = strdup(pattern);
	if (!copy)
		return reading_fail(reading, -ENOMEM, "%s", strerror(ENOMEM));
	rules->rules[rules->count++] = (struct quota_rule){ .pattern = copy,
							    .quota = quota_none() };
	reading->rule = true;
	return 0;
}

/* "[PATTERN]" and nothing but blanks or a comment behind; the last ] of it ends it */
static int section_begin(struct reading *reading, char *line)
{
	char *comment = strstr(line, " ;"), *end;

	if (comment)
		*comment = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	end = strrchr(line, ']');
	if (!end || end[1 + strspn(end + 1, " \t")])
		return reading_fail(reading, -EINVAL, "'%.64s' does not end with ]", line);
	*end = '\0';
	line++;
	/* "/a/" is "/a" */
	if (end - line > 1 && end[-1] == '/')
		end[-1] = '\0';
	if (!pattern_valid(line))
		return reading_fail(reading, -EINVAL, "'%.128s' is no path of cgroups", line);
	return rule_add(reading, line);
}

/* ---- lines ---- */

/* what inih reads: each line, sections under another name */
static char *next_line(char *text, int size, void *stream)
{
	struct reading *reading = stream;
	ssize_t len;
	char *line;

	if (reading->r)
		return NULL;
	len = getline(&reading->text, &reading->size, reading->file);
	if (len < 0) {
		if (ferror(reading->file))
			reading_fail(reading, -EIO, "%s", strerror(EIO));
		return NULL;
	}
	reading->line++;
	if (strlen(reading->text) != (size_t)len) {
		reading_fail(reading, -EINVAL, "a NUL byte");
		return NULL;
	}
	/* no value goes on in the next line: an indented key is a key */
	line = reading->text + strspn(reading->text, " \t");
	if (*line == '[') {
		if (section_begin(reading, line) < 0)
			return NULL;
		line = strcpy(line, "[]\n");
	}
	if (strlen(line) + 1 > (size_t)size) {
		reading_fail(reading, -EINVAL, "line is too long");
		return NULL;
	}
	return strcpy(text, line);
}

static const char *value_error(int r)
{
	return r == -ERANGE ? "is out of range" : r == -E2BIG ? "is one region too many" : "is not";
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
	struct reading *reading = user;
	const char *wanted = "";
	struct quota_rule *rule;
	int r;

	(void)section;
	if (!reading->rule) {
		reading_fail(reading, -EINVAL, "'%.64s' stands before the first section", name);
		return 0;
	}
	if (!value)
		value = "";
	rule = &reading->rules->rules[reading->rules->count - 1];
	r = quota_key_parse(&rule->quota, name, value, &wanted);
	if (r == -ENOENT)
		reading_fail(reading, -EINVAL, "unknown key '%.64s'", name);
	else if (r < 0)
		reading_fail(reading, -EINVAL, "%.64s: '%.64s' %s%s%s", name, value, value_error(r),
			     r == -E2BIG ? "" : r == -ERANGE ? ": " : " ",
			     r == -E2BIG ? "" : wanted);
	return r >= 0;
}

int quota_rules_parse(struct quota_rules *rules, FILE *file, const char *name,
		      char why[QUOTA_WHY_MAX])
{
	struct reading reading = { .rules = rules, .file = file, .name = name, .why = why };
	int r = ini_parse_stream(next_line, &reading, take_key, &reading);

	free(reading.text);
	/* the parser's own complaint, where it comes first */
	if (r > 0 && (!reading.r || (unsigned int)r < reading.line)) {
		reading.r = 0;
		reading.line = r;
		reading_fail(&reading, -EINVAL, "not a 'key = value'");
	} else if (r < 0 && !reading.r) {
		reading_fail(&reading, -ENOMEM, "%s", strerror(ENOMEM));
	}
	return reading.r;
}

/* ---- files ---- */

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return *entry->d_name != '.' && len > 5 && !strcmp(entry->d_name + len - 5, ".conf");
}

static int read_file(struct quota_rules *rules, const char *folder, const char *name,
		     char why[QUOTA_WHY_MAX])
{
	char path[PATH_MAX];
	FILE *file;
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) {
		snprintf(why, QUOTA_WHY_MAX, "'%.200s': %s", name, strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	file = fopen(path, "re");
	if (!file) {
		r = -errno;
		snprintf(why, QUOTA_WHY_MAX, "'%.200s': %s", path, strerror(-r));
		return r;
	}
	r = quota_rules_parse(rules, file, path, why);
	fclose(file);
	return r;
}

int quota_rules_read(struct quota_rules *rules, const char *folder, char why[QUOTA_WHY_MAX])
{
	struct dirent **entries;
	int i, count, r = 0;

	/* the locale's order is the C one: only LC_CTYPE was set */
	count = scandir(folder, &entries, is_conf, alphasort);
	if (count < 0) {
		r = -errno;
		snprintf(why, QUOTA_WHY_MAX, "'%.200s': %s", folder, strerror(-r));
		return r == -ENOENT ? 0 : r;
	}
	if (count > FILES_MAX) {
		r = -E2BIG;
		snprintf(why, QUOTA_WHY_MAX, "'%.200s' has more than %d files", folder, FILES_MAX);
	}
	for (i = 0; i < count; i++) {
		if (!r)
			r = read_file(rules, folder, entries[i]->d_name, why);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* ---- matching ---- */

static bool matches(const char *pattern, const char *path)
{
	return !fnmatch(pattern, path, FNM_PATHNAME | FNM_NOESCAPE);
}

int quota_rules_match(const struct quota_rules *rules, const char *path, struct llmos_quota *ret)
{
	struct llmos_quota quota = quota_none();
	bool any = false;
	size_t i;
	int r;

	for (i = 0; i < rules->count; i++) {
		if (!matches(rules->rules[i].pattern, path))
			continue;
		any = true;
		r = quota_merge(&quota, &rules->rules[i].quota);
		if (r < 0)
			return r;
	}
	if (!any || (!quota.fields && !quota.memory_count))
		return 0;
	*ret = quota;
	return 1;
}

/* names in a path; "/" has none */
static size_t path_depth(const char *path)
{
	size_t depth = 0;

	for (; *path; path++)
		depth += *path == '/' && path[1];
	return depth;
}

/* the first @depth names of the pattern match the path */
static bool begins_like(const char *pattern, size_t depth, const char *path)
{
	char begin[PATH_MAX];
	const char *end = pattern;

	if (!depth)
		return true;
	while (depth--)
		end = strchrnul(end + 1, '/');
	memcpy(begin, pattern, end - pattern);
	begin[end - pattern] = '\0';
	return matches(begin, path);
}

bool quota_rules_below(const struct quota_rules *rules, const char *path)
{
	size_t depth = path_depth(path), i;

	for (i = 0; i < rules->count; i++)
		if (path_depth(rules->rules[i].pattern) > depth &&
		    begins_like(rules->rules[i].pattern, depth, path))
			return true;
	return false;
}
