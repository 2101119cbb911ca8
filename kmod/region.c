// SPDX-License-Identifier: GPL-2.0-only
/*
 * The names of regions: see region.h. Asked by the commands of the server and by who sets and shows
 * quotas. The broker's lock protects them.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/string.h>

#include "broker.h"
#include "dmem.h"
#include "region.h"

/**
 * struct llm_region_entry - a region
 * @name: empty: none has this number
 * @users: the server, if it named it, and quotas that limit it
 */
struct llm_region_entry {
	char name[LLM_REGION_NAME_MAX];
	u32 users;
};

/* Host memory is always in use. */
static struct llm_region_entry llm_regions[LLM_REGIONS_MAX] = { { "host", 1 } };

/** llm_region_name() - Return: what a region is called; NULL: none has this number */
const char *llm_region_name(unsigned int region)
{
	lockdep_assert_held(&llm_broker.lock);
	return llm_regions[region].name[0] ? llm_regions[region].name : NULL;
}

/** llm_region_names_take() - notes down what all regions are called now */
void llm_region_names_take(struct llm_region_names *ret_names)
{
	lockdep_assert_held(&llm_broker.lock);
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		memcpy(ret_names->of[region], llm_regions[region].name, LLM_REGION_NAME_MAX);
}

static bool llm_region_char_valid(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/**
 * llm_region_valid() - may a region be called this
 * @name: LLM_REGION_NAME_MAX bytes, or less with a NUL
 *
 * Return: it is made of lower-case letters, digits, "_", "-" and ".", and ends within its bound.
 */
bool llm_region_valid(const char *name)
{
	const size_t len = strnlen(name, LLM_REGION_NAME_MAX);

	for (size_t i = 0; i < len; i++)
		if (!llm_region_char_valid(name[i]))
			return false;
	return len && len < LLM_REGION_NAME_MAX;
}

/** llm_region_find() - Return: the number of the region called @name; ENOENT */
int llm_region_find(const char *name)
{
	lockdep_assert_held(&llm_broker.lock);
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (!strcmp(llm_regions[region].name, name))
			return region;
	return -ENOENT;
}

static bool llm_region_spare(unsigned int region)
{
	return !llm_regions[region].users && llm_dmem_idle(region);
}

/* A number for one more region: one that was never used, if there is one. There is one. */
static unsigned int llm_region_pick(void)
{
	unsigned int region, spare = 0;

	for (region = 0; region < LLM_REGIONS_MAX && llm_regions[region].name[0]; region++)
		if (llm_region_spare(region))
			spare = region;
	return region < LLM_REGIONS_MAX ? region : spare;
}

static void llm_region_make(unsigned int region, const char *name)
{
	llm_dmem_unregister(region);
	strscpy(llm_regions[region].name, name, LLM_REGION_NAME_MAX);
	llm_regions[region].users = 1;
}

/* Uses those that are known. Return: how many are not. */
static u32 llm_regions_get_known(const char *const *names, u32 count)
{
	u32 missing = 0;

	for (u32 i = 0; i < count; i++) {
		const int region = llm_region_find(names[i]);

		if (region < 0)
			missing++;
		else
			llm_regions[region].users++;
	}
	return missing;
}

static void llm_regions_put_known(const char *const *names, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		const int region = llm_region_find(names[i]);

		if (region >= 0)
			llm_region_put(region);
	}
}

/**
 * llm_regions_get() - makes regions known, and uses them
 * @names: valid ones, each once
 * @count: of them
 * @ret_regions: their numbers, each with a use that llm_region_put() ends
 *
 * Context: under the broker's lock.
 * Return: 0; ENOSPC there are too many: nothing has changed.
 */
int llm_regions_get(const char *const *names, u32 count, u32 *ret_regions)
{
	u32 missing, spare = 0;

	lockdep_assert_held(&llm_broker.lock);
	missing = llm_regions_get_known(names, count);
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		spare += llm_region_spare(region);
	if (missing > spare) {
		llm_regions_put_known(names, count);
		return -ENOSPC;
	}
	for (u32 i = 0; i < count; i++) {
		const int known = llm_region_find(names[i]);

		ret_regions[i] = known < 0 ? llm_region_pick() : (unsigned int)known;
		if (known < 0)
			llm_region_make(ret_regions[i], names[i]);
	}
	return 0;
}

/** llm_region_put() - one less uses a region */
void llm_region_put(unsigned int region)
{
	lockdep_assert_held(&llm_broker.lock);
	WARN_ON_ONCE(!llm_regions[region].users);
	llm_regions[region].users--;
}
