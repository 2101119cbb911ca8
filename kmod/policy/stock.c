// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Drawing and passing on a leaf's stock: see stock.h.
 */
#include "quota.h"
#include "stock.h"

/**
 * llm_stock_open() - a leaf may count its requests out of a stock from now on
 * @policy: its tree; there is no stock
 * @leaf: whose
 * @band: where they compete
 * @units: that each is granted
 * @now_ns: the time
 *
 * Return: there is room for one at least; false: some quota above wants to be asked each time, or
 * somebody waits.
 */
bool llm_stock_open(struct llm_policy *policy, struct llm_tenant *leaf, enum llm_band band,
		    u64 units, u64 now_ns)
{
	u32 room = U32_MAX;

	if (policy->root.pressure.waiting)
		return false;
	for (struct llm_tenant *tenant = leaf; tenant && room; tenant = tenant->parent) {
		const u32 spare = llm_quota_spare(tenant, units, now_ns);

		if (spare < room)
			room = spare;
	}
	if (!room)
		return false;
	policy->stock = (struct llm_stock){
		.leaf = leaf,
		.number = policy->stock.number + 1,
		.band = band,
		.units = units,
		.room = room,
		.at_ns = now_ns,
	};
	return true;
}

/** llm_stock_pass() - see llm_stock_drain(); there is a stock */
void llm_stock_pass(struct llm_policy *policy)
{
	const struct llm_stock stock = policy->stock;

	/* before anything that would drain it again */
	policy->stock.leaf = NULL;
	policy->stock.in_flight = 0;
	for (struct llm_tenant *tenant = stock.leaf; tenant; tenant = tenant->parent) {
		llm_tenant_owe(tenant, &stock);
		llm_quota_owe(tenant, stock.in_flight * (s64)stock.units, stock.at_ns);
		tenant->usage.in_flight += stock.in_flight;
		tenant->pressure.running += stock.in_flight;
	}
	llm_tenant_tally(stock.leaf, &stock.tally);
}
