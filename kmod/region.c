// SPDX-License-Identifier: GPL-2.0-only
/*
 * The names of regions: see region.h. Asked by the commands of the server and by who sets and shows
 * quotas. The broker's lock protects the making of new ones; a name that is there never changes.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/string.h>

#include "broker.h"
#include "policy/tenant.h"
#include "region.h"

static char llm_region_names[LLM_REGIONS_MAX][LLM_REGION_NAME_MAX] = { "host" };
static unsigned int llm_region_count = 1;

/**
 * llm_region_name() - what a region is called
 * @region: its number
 *
 * Context: any.
 * Return: its name, which never changes; NULL: there is none with this number or above.
 */
const char *llm_region_name(unsigned int region)
{
	/* pairs with llm_region_take() */
	return region < smp_load_acquire(&llm_region_count) ? llm_region_names[region] : NULL;
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
	const char *other;

	for (unsigned int region = 0; (other = llm_region_name(region)); region++)
		if (!strcmp(other, name))
			return region;
	return -ENOENT;
}

/**
 * llm_region_take() - makes a region known
 * @name: what it is called
 *
 * Context: under the broker's lock.
 * Return: its number, also where it was known; EINVAL it cannot be called that, ENOSPC there are
 * too many.
 */
int llm_region_take(const char *name)
{
	int region;

	lockdep_assert_held(&llm_broker.lock);
	if (!llm_region_valid(name))
		return -EINVAL;
	region = llm_region_find(name);
	if (region >= 0)
		return region;
	if (llm_region_count == LLM_REGIONS_MAX)
		return -ENOSPC;
	region = llm_region_count;
	strscpy(llm_region_names[region], name, LLM_REGION_NAME_MAX);
	/* pairs with llm_region_name(): who sees the count sees the name */
	smp_store_release(&llm_region_count, region + 1);
	return region;
}
