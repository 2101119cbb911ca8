/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a leaf's requests do to the tenants above them, while nobody else asks: requests begin, use
 * nothing yet and end, one after the other, and each would be a walk to the root and back. The
 * policy has one stock, and a leaf draws it where none of its tenants is near a limit: what they
 * could not refuse is counted there, and passed up in one walk as soon as anything else happens.
 * Everything that looks at a tenant or changes one drains the stock first, so nobody can tell.
 *
 * It is open only while no request of the tree wants to be stepped: nobody is in any tree of
 * children then, and no time is stalled.
 */
#ifndef LLM_POLICY_STOCK_H
#define LLM_POLICY_STOCK_H

#include "tenant.h"

bool llm_stock_open(struct llm_policy *policy, struct llm_tenant *leaf, enum llm_band band,
		    u64 units, u64 now_ns);
void llm_stock_pass(struct llm_policy *policy);

/** llm_stock_drain() - what is in the stock is counted where it belongs; there is none from now on */
static inline void llm_stock_drain(struct llm_policy *policy)
{
	if (policy->stock.leaf)
		llm_stock_pass(policy);
}

/** llm_stock_of() - Return: the stock is this leaf's, so no quota keeps its requests out */
static inline bool llm_stock_of(const struct llm_tenant *leaf)
{
	const struct llm_stock *stock = &leaf->policy->stock;

	return stock->leaf == leaf && stock->room;
}

/**
 * llm_stock_begin() - a request of a leaf begins out of the stock
 * @leaf: whose
 * @band: where it competes
 * @units: granted, as many as the stock was opened for
 * @now_ns: the time
 *
 * Return: it has begun; false: the stock is not for this, or used up.
 */
static inline bool llm_stock_begin(struct llm_tenant *leaf, enum llm_band band, u64 units,
				   u64 now_ns)
{
	struct llm_stock *stock = &leaf->policy->stock;

	if (!llm_stock_of(leaf) || stock->band != band || stock->units != units)
		return false;
	stock->room--;
	stock->began = true;
	stock->in_flight++;
	stock->at_ns = now_ns;
	return true;
}

/**
 * llm_stock_end() - a request of a leaf that was stepped ends, and has used nothing
 * @leaf: whose
 * @number: of the stock it began out of
 * @now_ns: the time
 *
 * What began before the stock was drawn gives nothing back to it: a bucket may have filled up since.
 *
 * Return: it has ended; false: the stock is not for this.
 */
static inline bool llm_stock_end(struct llm_tenant *leaf, u64 number, u64 now_ns)
{
	struct llm_stock *stock = &leaf->policy->stock;

	if (stock->leaf != leaf || stock->number != number)
		return false;
	stock->room++;
	stock->in_flight--;
	stock->at_ns = now_ns;
	return true;
}

#endif /* LLM_POLICY_STOCK_H */
