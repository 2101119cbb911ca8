/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who shares the server: a tree of tenants. The inner ones are cgroups as they are nested; below a
 * cgroup hang its child cgroups and one tenant for its own processes, below that its users, below a
 * user its open files by class. Only these last ones, the leaves, have requests.
 *
 * Order is start-time fair queueing at every level of the tree. A tenant that wants something has a
 * start tag in its parent's virtual time; the one with the lowest is served. What it is granted
 * moves its tag on by cost divided by weight, at once, so that grants that run at the same time are
 * counted; what of it was not used is given back. Virtual time itself follows what was used: a
 * tenant that comes back from idleness starts there, neither owes nor has saved anything, and comes
 * before those who have grants under way. Requests of the idle band are served when no other
 * request of the machine could be.
 *
 * Limits bind a tenant and all below it: a rate and a share of compute time keep it out of its
 * parent's tree until the time has come; a bound on requests in flight keeps what is new below it
 * out, and lets what is under way go on. Cost is in units: LLM_COST_UNIT for a generated token.
 */
#ifndef LLM_POLICY_TENANT_H
#define LLM_POLICY_TENANT_H

#include "pressure.h"
#include "tree.h"

#define LLM_COST_UNIT		1000U	/* of one generated token */
#define LLM_WEIGHT_MIN		1U
#define LLM_WEIGHT_DEFAULT	100U
#define LLM_WEIGHT_INTERACTIVE	400U
#define LLM_WEIGHT_MAX		10000U
#define LLM_RATE_MAX		(1ULL << 40) /* units a second; U64_MAX: no limit */
#define LLM_PERIOD_MIN_NS	10000000ULL
#define LLM_PERIOD_DEFAULT_NS	1000000000ULL
#define LLM_PERIOD_MAX_NS	1000000000000ULL
#define LLM_REGIONS_MAX		8	/* host memory, and devices */

/** enum llm_band - what is served first: all of one before any of the next */
enum llm_band {
	LLM_BAND_FAIR,
	LLM_BAND_IDLE,
	LLM_BANDS
};

/**
 * enum llm_want - what a leaf's requests want
 * @LLM_WANT_GO_ON: they have begun and ran out of credit
 * @LLM_WANT_START: they have yet to begin
 */
enum llm_want {
	LLM_WANT_GO_ON,
	LLM_WANT_START,
	LLM_WANTS
};

/**
 * struct llm_entity - a tenant as one of its parent's children, in one band
 * @nodes: in the parent's trees: in that of each want it could be served with
 * @start: its tag in the parent's virtual time, with what was granted and not settled
 * @out: units granted and not settled
 * @wants: requests of a leaf, by what they want
 * @children: those of the tenant that could be served, by what with
 * @vtime: virtual time of the tenant's own children: what the last one served had used
 */
struct llm_entity {
	struct llm_tree_node nodes[LLM_WANTS];
	u64 start;
	u64 out;
	u32 wants[LLM_WANTS];
	struct llm_tree children[LLM_WANTS];
	u64 vtime;
};

/**
 * struct llm_quota - what the administrator allows a tenant
 *
 * The highest value of a field's type is no limit, and 0 lets nothing through.
 *
 * @weight: its share among its parent's children, LLM_WEIGHT_MIN to LLM_WEIGHT_MAX
 * @in_flight: requests that have begun and not ended
 * @queued: requests that have yet to begin
 * @rate: units a second
 * @burst: units that may be used at once after idleness, LLM_COST_UNIT at least
 * @compute_ns: compute time in each period
 * @period_ns: the period, LLM_PERIOD_MIN_NS to LLM_PERIOD_MAX_NS
 * @memory: bytes by region
 */
struct llm_quota {
	u32 weight;
	u32 in_flight;
	u32 queued;
	u64 rate;
	u64 burst;
	u64 compute_ns;
	u64 period_ns;
	u64 memory[LLM_REGIONS_MAX];
};

/**
 * struct llm_tally - counts that only grow
 * @prompt_tokens: processed
 * @output_tokens: generated
 * @submitted: requests
 * @dispatched: of those, handed to a server at least once
 * @ended: of those submitted
 * @refused: requests refused or ended because of a quota
 * @queued_ns: from submission to first dispatch, of all that were dispatched
 */
struct llm_tally {
	u64 prompt_tokens;
	u64 output_tokens;
	u64 submitted;
	u64 dispatched;
	u64 ended;
	u64 refused;
	u64 queued_ns;
};

/**
 * struct llm_usage - what a tenant and all below it have and had
 * @tally: by llm_tenant_tally()
 * @in_flight: requests that have begun and not ended
 * @queued: requests that have yet to begin
 * @units: used, ever
 * @compute_ns: used, ever
 * @throttled_ns: time it was kept out by its own quota
 * @memory: bytes charged, by region
 */
struct llm_usage {
	struct llm_tally tally;
	u32 in_flight;
	u32 queued;
	u64 units;
	u64 compute_ns;
	u64 throttled_ns;
	u64 memory[LLM_REGIONS_MAX];
};

/**
 * struct llm_tenant - one who shares
 * @parent: NULL: the root
 * @policy: the tree it belongs to
 * @quota: set by llm_tenant_set_quota()
 * @usage: of it and all below, but for what is in the policy's stock
 * @pressure: on all below, with the same exception
 * @bands: as a child of its parent, in each band
 * @level: units it may use now; negative is a debt
 * @level_ns: when @level was right
 * @period_end_ns: when the period of compute time ends
 * @period_used_ns: compute time used in it
 * @asleep: kept out by its own quota until the time that is the key
 * @asleep_ns: since when
 * @impatient: requests below that are not to wait for a quota
 * @stuck: of the memory charged, bytes that nobody gives back before he is asked to, by region
 * @kept: of the memory charged, bytes that are kept for later requests, by region
 * @lines: charges that wait for room in the quota of this tenant, by age, for each region
 */
struct llm_tenant {
	struct llm_tenant *parent;
	struct llm_policy *policy;
	struct llm_quota quota;
	struct llm_usage usage;
	struct llm_pressure pressure;
	struct llm_entity bands[LLM_BANDS];
	s64 level;
	u64 level_ns;
	u64 period_end_ns;
	u64 period_used_ns;
	struct llm_tree_node asleep;
	u64 asleep_ns;
	u32 impatient;
	u64 stuck[LLM_REGIONS_MAX];
	u64 kept[LLM_REGIONS_MAX];
	struct llm_tree lines[LLM_REGIONS_MAX];
};

/**
 * struct llm_stock - what a leaf's requests did and the tenants above it have yet to hear: stock.h
 * @leaf: whose; NULL: there is none, @in_flight is 0 and nothing else but @number counts
 * @number: of the stock, each has another; above 0
 * @band: where its requests compete
 * @units: that each is granted
 * @room: how many more may begin before a limit is near
 * @began: one has, since it was opened
 * @in_flight: requests that began, less those that ended
 * @at_ns: when that last changed
 * @tally: to be added
 */
struct llm_stock {
	struct llm_tenant *leaf;
	u64 number;
	enum llm_band band;
	u64 units;
	u32 room;
	bool began;
	s32 in_flight;
	u64 at_ns;
	struct llm_tally tally;
};

/**
 * struct llm_policy - a tree of tenants
 * @root: of it; its quota binds everybody
 * @stock: of the leaf whose requests come one after the other
 * @asleep: tenants kept out by their quotas, by when that ends
 * @barred: how often a quota has begun to keep out somebody who is impatient
 * @freed: how often one has ceased to, because time has passed or units were given back
 * @slept: told when a tenant is kept out from now on; may be NULL, calls nothing here
 * @claims: charges that wait for room, by age
 * @kept: ledgers of cgroups that hold something, by age
 * @stuck: ledgers of requests that stand still and hold something, by age
 */
struct llm_policy {
	struct llm_tenant root;
	struct llm_stock stock;
	struct llm_tree asleep;
	u64 barred;
	u64 freed;
	void (*slept)(struct llm_tenant *tenant);
	struct llm_tree claims;
	struct llm_tree kept;
	struct llm_tree stuck;
};

void llm_policy_init(struct llm_policy *policy, u64 now_ns);
void llm_tenant_init(struct llm_tenant *tenant, struct llm_tenant *parent, u32 weight, u64 now_ns);
void llm_tenant_exit(struct llm_tenant *tenant);
void llm_tenant_set_quota(struct llm_tenant *tenant, const struct llm_quota *quota, u64 now_ns);

struct llm_tenant *llm_tenant_full(struct llm_tenant *leaf);
struct llm_tenant *llm_tenant_never(struct llm_tenant *leaf);
struct llm_tenant *llm_tenant_kept(struct llm_tenant *leaf, enum llm_want want);
bool llm_tenant_spent(const struct llm_tenant *leaf);
void llm_tenant_want(struct llm_tenant *leaf, enum llm_band band, enum llm_want want);
void llm_tenant_unwant(struct llm_tenant *leaf, enum llm_band band, enum llm_want want);
void llm_tenant_end(struct llm_tenant *leaf);

struct llm_tenant *llm_policy_pick(struct llm_policy *policy, bool may_start,
				   enum llm_band *ret_band, enum llm_want *ret_want);
u64 llm_tenant_begin(struct llm_tenant *leaf, enum llm_band band, enum llm_want want, u64 units,
		     u64 now_ns);
u64 llm_tenant_grant(struct llm_tenant *leaf, enum llm_band band, u64 units, u64 now_ns);
void llm_tenant_settle(struct llm_tenant *leaf, enum llm_band band, u64 granted, u64 used,
		       u64 now_ns);
void llm_tenant_computed(struct llm_tenant *leaf, u64 compute_ns, u64 now_ns);

void llm_tenant_hurry(struct llm_tenant *leaf, int more);
void llm_tenant_tally(struct llm_tenant *leaf, const struct llm_tally *more);
void llm_tenant_owe(struct llm_tenant *tenant, const struct llm_stock *stock);

u64 llm_policy_wake(struct llm_policy *policy, u64 now_ns);
u64 llm_policy_wake_some(struct llm_policy *policy, u32 most, u64 now_ns);
u64 llm_policy_next_ns(const struct llm_policy *policy);

#endif /* LLM_POLICY_TENANT_H */
