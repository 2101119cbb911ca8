/* SPDX-License-Identifier: MIT */
/* The broker of the socket transport; see broker.h. */
#include "ipc/broker.h"

#include <string.h>

#include "base/clock.h"

#define BROKER_TABLE_SIZE	1024	/* a power of two; ids are consecutive */

/** struct broker_user - how many requests one user has */
struct broker_user {
	struct list link;
	uint32_t uid;
	unsigned int count;
};

struct broker {
	struct ipc ipc;
	struct list table[BROKER_TABLE_SIZE];
	struct list all;
	struct list states[LLM_STATE_ENDED + 1];
	struct list users;
	struct tenants tenants;
	struct broker_sessions sessions;
	struct llm_ledger kept;		/* for all cgroups together: none has a quota */
	uint64_t last_file;
	unsigned int count;
	unsigned int wanted;		/* requests that need compute the scheduler would take */
	unsigned int slots;		/* as set; 0: it is not fair */
	unsigned int sequences;
	uint64_t last_id;
	uint64_t ended;
	uint64_t cancelled;
};

static struct broker *to_broker(struct ipc *ipc)
{
	return container_of(ipc, struct broker, ipc);
}

static bool broker_is_control(const struct broker_request *request)
{
	return request->event.op >= LLM_OP_CONTROL;
}

/* the one place where a request changes its state */
static void broker_move(struct broker *broker, struct broker_request *request,
			enum llm_state state)
{
	request->state = state;
	list_move(&broker->states[state], &request->link);
}

/* ---- users ---- */

static struct broker_user *broker_user_get(struct broker *broker, uint32_t uid)
{
	struct broker_user *user;

	list_each(user, &broker->users, link)
		if (user->uid == uid)
			return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	list_append(&broker->users, &user->link);
	return user;
}

static void broker_user_put(struct broker_user *user)
{
	if (user->count)
		return;
	list_remove(&user->link);
	free(user);
}

/* ---- sessions ---- */

/* it is over for its reader: the next one may append */
static void broker_release_session(struct broker_request *request)
{
	if (request->appends)
		request->session->is_busy = false;
	request->appends = false;
}

/* nobody needs its past any more */
static void broker_leave_session(struct broker *broker, struct broker_request *request)
{
	struct broker_session *session = steal_ptr(request->session);

	broker_past_drop(&broker->sessions, &request->past);
	if (!session)
		return;
	if (request->appends)
		session->is_busy = false;
	request->appends = false;
	broker_session_put(&broker->sessions, session);
}

/* ---- birth and death ---- */

static void broker_request_free(struct broker *broker, struct broker_request *request)
{
	struct broker_user *user = broker_user_get(broker, request->event.uid);

	if (user) {
		user->count--;
		broker_user_put(user);
	}
	if (request->leaf) {
		llm_ledger_release(&request->ledger);
		llm_ticket_end(&broker->tenants.stage, &request->ticket, clock_ns());
		tenants_put(request->leaf);
	}
	broker_leave_session(broker, request);
	broker->count--;
	list_remove(&request->link);
	list_remove(&request->file_link);
	list_remove(&request->table_link);
	list_remove(&request->all_link);
	if (request->file)
		request->file->count--;
	free(request->data);
	bytes_free(&request->unread);
	free(request);
}

/* without a cgroup that is known, what is computed for a connection is for that one alone */
static void broker_fill_domain(struct llm_event *event, const struct broker_file *file)
{
	event->domain_cgroup = file->peer.cgroup_id;
	event->domain_uid = file->peer.uid;
	if (event->domain_cgroup)
		return;
	event->domain_cgroup = file->number;
	event->domain_uid = UINT32_MAX;
}

static void broker_fill_event(struct llm_event *event, const struct llm_submit *submit,
			      const struct broker_file *file, uint64_t id)
{
	const struct peer *peer = &file->peer;

	*event = (struct llm_event){
		.size = sizeof(*event),
		.type = LLM_EVENT_REQUEST,
		.id = id,
		.time_ns = clock_ns(),
		.cgroup_id = peer->cgroup_id,
		.pid = peer->pid,
		.uid = peer->uid,
		.op = submit->op,
		.payload_type = submit->payload_type,
		.flags = submit->flags,
		.max_tokens = submit->max_tokens,
		.sampling = submit->sampling,
		.stop_len = submit->stop_len,
		.payload_len = submit->payload_len,
		.data_len = submit->stop_len + submit->payload_len,
		.sched_class = submit->sched_class,
	};
	broker_fill_domain(event, file);
	memcpy(event->model, submit->model, sizeof(event->model));
}

/* the scheduler wants the stop strings first */
static uint8_t *broker_copy_data(const struct llm_submit *submit, const uint8_t *data)
{
	size_t len = (size_t)submit->payload_len + submit->stop_len;
	uint8_t *copy = malloc(MAX(len, (size_t)1));

	if (!copy)
		return NULL;
	if (submit->stop_len)
		memcpy(copy, data + submit->payload_len, submit->stop_len);
	if (submit->payload_len)
		memcpy(copy + submit->stop_len, data, submit->payload_len);
	return copy;
}

/* finds out among whom it competes */
static int broker_place(struct broker *broker, struct broker_request *request)
{
	struct broker_file *file = request->file;
	uint32_t class = request->event.sched_class;
	int r;

	if (broker_is_control(request))
		return 0;
	r = tenants_get(&broker->tenants, &file->leaves, &file->peer,
			class == LLM_CLASS_INTERACTIVE, &request->leaf);
	if (r < 0)
		return r;
	llm_ticket_init(&request->ticket, &request->leaf->share,
			class == LLM_CLASS_IDLE ? LLM_BAND_IDLE : LLM_BAND_FAIR,
			request->event.id);
	llm_ledger_init(&request->ledger, &request->leaf->share.tenant, request->event.id, false);
	return 0;
}

static struct broker_request *broker_request_new(struct broker *broker, struct broker_file *file,
						 const struct llm_submit *submit,
						 const uint8_t *data)
{
	struct broker_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->file = file;
	broker_fill_event(&request->event, submit, file, broker->last_id + 1);
	request->data = broker_copy_data(submit, data);
	if (!request->data || broker_place(broker, request) < 0) {
		free(request->data);
		free(request);
		return NULL;
	}
	broker->last_id++;
	list_init(&request->link);
	list_init(&request->reads);
	list_init(&request->table_link);
	list_append(&file->requests, &request->file_link);
	list_append(&broker->all, &request->all_link);
	list_append(&broker->table[request->event.id % BROKER_TABLE_SIZE], &request->table_link);
	broker_move(broker, request, LLM_STATE_QUEUED);
	return request;
}

/* ---- towards the scheduler ---- */

/* what was said before goes with it: until now it was not worth a copy. Return: 0, -ENOMEM */
static int broker_add_past(struct broker_request *request)
{
	const size_t len = (size_t)request->event.stop_len + request->event.payload_len;
	const size_t past_len = broker_past_bytes(&request->past);
	uint8_t *data;

	if (!past_len)
		return 0;
	data = realloc(request->data, len + past_len);
	if (!data)
		return -ENOMEM;
	broker_past_copy(&request->past, data + len);
	request->data = data;
	return 0;
}

static void broker_end(struct broker *broker, struct broker_request *request);

static void broker_hand_out(struct broker *broker, struct broker_request *request)
{
	uint8_t *data;

	if (broker_add_past(request) < 0) {
		request->status = -ENOMEM;
		broker_end(broker, request);
		return;
	}
	data = steal_ptr(request->data);
	request->event.attempts++;
	request->dispatch_ns = clock_ns();
	broker_move(broker, request, LLM_STATE_RUNNING);
	broker->ipc.sink->request(broker->ipc.sink, &broker->ipc, &request->event, data);
}

static void broker_resume(struct broker *broker, struct broker_request *request)
{
	broker_move(broker, request, LLM_STATE_RUNNING);
	broker->ipc.sink->resume(broker->ipc.sink, &broker->ipc, request->event.id);
}

/* a slot has become free, or somebody wants one */
static void broker_run(struct broker *broker)
{
	struct llm_ticket *ticket;

	if (!broker->ipc.is_fair)
		return;
	while ((ticket = llm_stage_next(&broker->tenants.stage, true, clock_ns()))) {
		struct broker_request *request = container_of(ticket, struct broker_request,
							      ticket);

		if (request->state == LLM_STATE_QUEUED)
			broker_hand_out(broker, request);
		else
			broker_resume(broker, request);
	}
}

static void broker_want(struct ipc *ipc, unsigned int count)
{
	struct broker *broker = to_broker(ipc);
	struct broker_request *request, *next;

	broker->wanted = count;
	if (ipc->is_fair) {
		broker_run(broker);
		return;
	}
	list_each_safe(request, next, &broker->states[LLM_STATE_QUEUED], link) {
		if (!broker->wanted)
			break;
		broker->wanted--;
		broker_hand_out(broker, request);
	}
}

static void broker_spare(struct ipc *ipc, unsigned int count)
{
	struct broker *broker = to_broker(ipc);

	if (!ipc->is_fair)
		return;
	llm_stage_set_slots(&broker->tenants.stage, broker->slots + count,
			    broker->sequences ? broker->sequences + count : 0);
	broker_run(broker);
}

/* a request has come that needs compute */
static void broker_queue(struct broker *broker, struct broker_request *request)
{
	if (broker->ipc.is_fair)
		llm_ticket_wait(&broker->tenants.stage, &request->ticket, clock_ns());
	broker_want(&broker->ipc, broker->wanted);
}

/* its reader has caught up */
static void broker_go_on(struct broker *broker, struct broker_request *request)
{
	request->waits_for_reader = false;
	/* it gets its slot when the scheduler asks what there is: readers are being served now */
	if (broker->ipc.is_fair && request->leaf)
		llm_ticket_wait(&broker->tenants.stage, &request->ticket, clock_ns());
	else
		broker_resume(broker, request);
}

static void broker_end(struct broker *broker, struct broker_request *request)
{
	struct broker_file *file = request->file;

	broker->ended++;
	broker_leave_session(broker, request);
	broker_move(broker, request, LLM_STATE_ENDED);
	if (!request->end_ns)
		request->end_ns = clock_ns();
	if (request->leaf) {
		llm_ledger_release(&request->ledger);
		llm_ticket_end(&broker->tenants.stage, &request->ticket, request->end_ns);
	}
	if (!file)
		broker_request_free(broker, request);
	else
		file->changed(file, request);
}

static struct broker_request *broker_lookup(struct broker *broker, uint64_t id)
{
	struct broker_request *request;

	list_each(request, &broker->table[id % BROKER_TABLE_SIZE], table_link)
		if (request->event.id == id)
			return request;
	return NULL;
}

/* counts what was done for it */
static void broker_account(struct broker *broker, struct broker_request *request,
			   const struct llm_commit *commit)
{
	if (request->leaf)
		llm_ticket_use(&broker->tenants.stage, &request->ticket, commit->prompt_tokens,
			       commit->output_tokens, commit->compute_ns, clock_ns());
}

/* what it may do now: its reader comes first, then those it shares the server with */
static void broker_judge(struct broker *broker, struct broker_request *request)
{
	struct llm_stage *stage = &broker->tenants.stage;

	if (request->unread.len > BROKER_UNREAD_MAX) {
		if (request->leaf)
			llm_ticket_leave(stage, &request->ticket, clock_ns());
		request->waits_for_reader = true;
		broker_move(broker, request, LLM_STATE_PAUSED);
	} else if (broker->ipc.is_fair && request->leaf &&
		   !llm_ticket_renew(stage, &request->ticket, true, clock_ns())) {
		broker_move(broker, request, LLM_STATE_PAUSED);
	}
	if (request->state == LLM_STATE_PAUSED)
		broker_run(broker);
}

/* a turn becomes part of its session with the rest of the commit, or not at all */
static int broker_take_turn(struct broker *broker, struct broker_request *request,
			    const struct llm_commit *commit)
{
	if (!commit->session_len)
		return 0;
	if (!request->appends || !(commit->flags & LLM_COMMIT_END) || commit->status)
		return -EINVAL;
	return broker_session_append(&broker->sessions, request->session, request->event.model,
				     commit);
}

static int broker_take_commit(struct broker *broker, struct broker_request *request,
			      const struct llm_commit *commit)
{
	const uint8_t *data = (const uint8_t *)(uintptr_t)commit->data;
	int r;

	if (bytes_reserve(&request->unread, commit->data_len) < 0)
		return -ENOMEM;
	r = broker_take_turn(broker, request, commit);
	if (r < 0)
		return r;
	/* there is room */
	if (bytes_append(&request->unread, data, commit->data_len) < 0)
		return -ENOMEM;
	if (commit->data_len && !request->first_ns)
		request->first_ns = clock_ns();
	request->event.output_bytes += commit->data_len;
	request->event.prompt_tokens = commit->prompt_tokens;
	request->event.output_tokens = commit->output_tokens;
	broker_account(broker, request, commit);
	if (commit->flags & LLM_COMMIT_END) {
		request->status = commit->status;
		request->finish = commit->finish;
		broker_end(broker, request);
		broker_run(broker);
		return LLM_VERDICT_CONTINUE;
	}
	broker_judge(broker, request);
	if (commit->data_len)
		request->file->changed(request->file, request);
	/* a reader may just have taken it all */
	return request->state == LLM_STATE_PAUSED ? LLM_VERDICT_PAUSE : LLM_VERDICT_CONTINUE;
}

static int broker_commit(struct ipc *ipc, const struct llm_commit *commit)
{
	struct broker *broker = to_broker(ipc);
	struct broker_request *request = broker_lookup(broker, commit->id);

	if (!request || request->state == LLM_STATE_QUEUED || request->state == LLM_STATE_ENDED)
		return -ENOENT;
	if (commit->data_len > BROKER_COMMIT_MAX)
		return -E2BIG;
	if (request->state != LLM_STATE_CANCELLING)
		return broker_take_commit(broker, request, commit);
	broker_account(broker, request, commit);
	if (commit->flags & LLM_COMMIT_END)
		broker_end(broker, request);
	return LLM_VERDICT_CANCELLED;
}

/* ---- memory ---- */

static struct broker_request *broker_payer(struct broker *broker, uint64_t id)
{
	struct broker_request *request = broker_lookup(broker, id);

	if (!request || request->state == LLM_STATE_QUEUED || request->state == LLM_STATE_ENDED)
		return NULL;
	return request;
}

/* there are no quotas here: what is held is counted, and nobody has to wait */
static int broker_charge(struct ipc *ipc, const struct llm_charge *charge)
{
	struct broker *broker = to_broker(ipc);
	struct broker_request *request = broker_payer(broker, charge->id);

	if (!request)
		return -ENOENT;
	if (!request->leaf || charge->region >= LLM_REGIONS_MAX ||
	    charge->flags & ~LLM_CHARGE_FLAGS || charge->flags == LLM_CHARGE_FLAGS ||
	    !charge->bytes)
		return -EINVAL;
	if (charge->flags & LLM_CHARGE_KEEP)
		return llm_ledger_keep(&request->ledger, &broker->kept, charge->region,
				       charge->bytes) ? LLM_VERDICT_CONTINUE : -EINVAL;
	if (request->state == LLM_STATE_CANCELLING)
		return LLM_VERDICT_CANCELLED;
	if (llm_ledger_charge(&request->ledger, charge->region, charge->bytes, false) !=
	    LLM_CHARGE_DONE)
		return -EDQUOT;
	return LLM_VERDICT_CONTINUE;
}

static int broker_uncharge(struct ipc *ipc, const struct llm_charge *charge)
{
	struct broker *broker = to_broker(ipc);
	struct llm_ledger *ledger = &broker->kept;

	if (charge->id) {
		struct broker_request *request = broker_payer(broker, charge->id);

		if (!request)
			return -ENOENT;
		if (!request->leaf)
			return -EINVAL;
		ledger = &request->ledger;
	}
	if (charge->region >= LLM_REGIONS_MAX ||
	    !llm_ledger_uncharge(ledger, charge->region, charge->bytes))
		return -EINVAL;
	return 0;
}

/* its clients have no buffers */
static int broker_view(struct ipc *ipc, uint64_t offset, size_t len, bool write,
		       struct ipc_view *ret)
{
	(void)ipc;
	(void)offset;
	(void)len;
	(void)write;
	(void)ret;
	return -EOPNOTSUPP;
}

static void broker_ipc_free(struct ipc *ipc)
{
	(void)ipc;
}

static const struct ipc_ops broker_ops = {
	.want = broker_want,
	.spare = broker_spare,
	.commit = broker_commit,
	.charge = broker_charge,
	.uncharge = broker_uncharge,
	.view = broker_view,
	.free = broker_ipc_free,
};

int broker_new(struct broker **ret, struct ipc_sink *sink)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	size_t i;

	if (!broker)
		return -ENOMEM;
	broker->ipc = (struct ipc){
		.ops = &broker_ops,
		.sink = sink,
		.name = "socket",
		.max_commit_bytes = BROKER_COMMIT_MAX,
		.max_session_bytes = BROKER_SESSION_BYTES_MAX,
	};
	for (i = 0; i < ARRAY_SIZE(broker->table); i++)
		list_init(&broker->table[i]);
	for (i = 0; i < ARRAY_SIZE(broker->states); i++)
		list_init(&broker->states[i]);
	list_init(&broker->all);
	list_init(&broker->users);
	broker_sessions_init(&broker->sessions, &broker->ipc);
	tenants_init(&broker->tenants);
	llm_ledger_init(&broker->kept, &broker->tenants.stage.policy.root, 1, true);
	*ret = broker;
	return 0;
}

void broker_set_slots(struct broker *broker, unsigned int slots, unsigned int sequences)
{
	broker->slots = slots;
	broker->sequences = sequences;
	llm_stage_set_slots(&broker->tenants.stage, slots, sequences);
	broker->ipc.is_fair = slots;
}

struct ipc *broker_ipc(struct broker *broker)
{
	return &broker->ipc;
}

struct broker_sessions *broker_sessions(struct broker *broker)
{
	return &broker->sessions;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	while (!list_empty(&broker->all))
		broker_request_free(broker,
				    list_first(&broker->all, struct broker_request, all_link));
	free(broker);
}

/* ---- towards the clients ---- */

void broker_file_init(struct broker *broker, struct broker_file *file)
{
	file->number = ++broker->last_file;
	list_init(&file->requests);
	list_init(&file->leaves);
	file->count = 0;
}

/* nobody will read it: as soon as the scheduler has let go of it, it is gone */
static void broker_abandon(struct broker *broker, struct broker_request *request)
{
	list_remove(&request->file_link);
	request->file->count--;
	request->file = NULL;
	bytes_free(&request->unread);
	if (request->state == LLM_STATE_ENDED)
		broker_request_free(broker, request);
}

static int broker_check_sampling(const struct llm_sampling *sampling, uint32_t flags)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sampling->reserved); i++)
		if (sampling->reserved[i])
			return -EINVAL;
	if (sampling->top_logprobs > LLM_LOGPROBS_MAX)
		return -EINVAL;
	if (sampling->top_logprobs && !(flags & LLM_SUBMIT_RECORDS))
		return -EINVAL;
	return 0;
}

static int broker_check_model(const char *model)
{
	size_t i = strnlen(model, LLM_MODEL_NAME_MAX);

	if (i == LLM_MODEL_NAME_MAX)
		return -EINVAL;
	for (; i < LLM_MODEL_NAME_MAX; i++)
		if (model[i])
			return -EINVAL;
	return 0;
}

int broker_check_submit(const struct llm_submit *submit)
{
	/* a descriptor travels beside the message */
	const int session = submit->flags & LLM_SUBMIT_SESSION ? -1 : 0;

	if (submit->flags & ~LLM_SUBMIT_FLAGS || submit->op > LLM_OP_MAX ||
	    submit->payload_type > LLM_PAYLOAD_MAX || submit->payload || submit->stop ||
	    submit->pad || submit->session != session || submit->id ||
	    submit->sched_class > LLM_CLASS_IDLE ||
	    (submit->sched_class && submit->op >= LLM_OP_CONTROL))
		return -EINVAL;
	/* buffers are the module's matter */
	if (submit->buffer || submit->answer_buffer || submit->answer_offset ||
	    submit->answer_len || submit->reserved)
		return -EINVAL;
	if (broker_check_sampling(&submit->sampling, submit->flags) < 0 ||
	    broker_check_model(submit->model) < 0)
		return -EINVAL;
	if (submit->payload_len > BROKER_PAYLOAD_MAX || submit->stop_len > LLM_STOP_BYTES_MAX)
		return -E2BIG;
	return 0;
}

/* it is a turn of a session, or reads what was said there */
static void broker_join(struct broker_request *request, struct broker_session *session,
			bool appends)
{
	request->appends = appends;
	request->session = broker_session_get(session);
	request->past = broker_past_take(session);
	broker_session_fill_event(session, &request->event);
	request->event.data_len += request->event.session_len;
}

int broker_submit(struct broker *broker, struct broker_file *file,
		  const struct llm_submit *submit, const uint8_t *data,
		  struct broker_session *session, __u64 *ret_id)
{
	const bool appends = session && (submit->op == LLM_OP_GENERATE ||
					 submit->op == LLM_OP_APPEND);
	struct broker_user *user = broker_user_get(broker, file->peer.uid);
	struct broker_request *request;
	int r;

	if (!user)
		return -ENOMEM;
	if (broker->count >= BROKER_REQUESTS_MAX || file->count >= BROKER_REQUESTS_FILE_MAX ||
	    user->count >= BROKER_REQUESTS_USER_MAX) {
		broker_user_put(user);
		return -EBUSY;
	}
	r = appends ? broker_session_claim(session) : 0;
	if (r < 0) {
		broker_user_put(user);
		return r;
	}
	request = broker_request_new(broker, file, submit, data);
	if (!request) {
		if (appends)
			session->is_busy = false;
		broker_user_put(user);
		return -ENOMEM;
	}
	user->count++;
	file->count++;
	broker->count++;
	if (session)
		broker_join(request, session, appends);
	*ret_id = request->event.id;
	if (broker_is_control(request))
		broker_hand_out(broker, request);
	else
		broker_queue(broker, request);
	return 0;
}

struct broker_request *broker_find(struct broker *broker, const struct broker_file *file,
				   uint64_t id)
{
	struct broker_request *request = broker_lookup(broker, id);

	return request && request->file == file ? request : NULL;
}

static bool broker_is_over(const struct broker_request *request)
{
	return request->state == LLM_STATE_ENDED || request->cancelled;
}

bool broker_ready(const struct broker_request *request)
{
	return request->unread.len || broker_is_over(request);
}

void broker_read(struct broker *broker, struct broker_request *request, struct llm_read *read,
		 uint8_t *buf, size_t len)
{
	const struct llm_event *event = &request->event;

	len = MIN(len, request->unread.len);
	if (len) {
		memcpy(buf, bytes_data(&request->unread), len);
		bytes_take(&request->unread, len);
	}
	read->len = len;
	read->out_flags = 0;
	read->status = 0;
	read->finish = LLM_FINISH_NONE;
	read->state = broker_is_over(request) ? LLM_STATE_ENDED : request->state;
	read->prompt_tokens = event->prompt_tokens;
	read->output_tokens = event->output_tokens;
	read->submit_ns = event->time_ns;
	read->dispatch_ns = request->dispatch_ns;
	read->first_ns = request->first_ns;
	read->end_ns = request->end_ns;
	if (broker_is_over(request) && !request->unread.len) {
		read->status = request->cancelled ? -ECANCELED : request->status;
		read->finish = request->finish;
	}
	if (request->state == LLM_STATE_PAUSED && request->waits_for_reader &&
	    request->unread.len <= BROKER_UNREAD_MAX / 2)
		broker_go_on(broker, request);
}

void broker_forget(struct broker *broker, struct broker_request *request)
{
	broker_abandon(broker, request);
}

void broker_cancel(struct broker *broker, struct broker_request *request, bool forget)
{
	struct broker_file *file = request->file;
	uint64_t now = clock_ns();

	if (!broker_is_over(request)) {
		broker->cancelled++;
		request->cancelled = true;
		request->end_ns = now;
		broker_release_session(request);
		if (request->leaf)
			llm_ticket_leave(&broker->tenants.stage, &request->ticket, now);
		if (request->state == LLM_STATE_QUEUED) {
			broker->ended++;
			broker_leave_session(broker, request);
			broker_move(broker, request, LLM_STATE_ENDED);
		} else {
			broker_move(broker, request, LLM_STATE_CANCELLING);
			broker->ipc.sink->cancelled(broker->ipc.sink, &broker->ipc,
						    request->event.id, now);
		}
	}
	if (forget)
		broker_abandon(broker, request);
	else
		file->changed(file, request);
}

void broker_file_close(struct broker *broker, struct broker_file *file)
{
	while (!list_empty(&file->requests))
		broker_cancel(broker,
			      list_first(&file->requests, struct broker_request, file_link), true);
	/* the scheduler may still have requests that came by it */
	while (!list_empty(&file->leaves))
		list_remove(file->leaves.next);
}

/* ---- what there is ---- */

static void broker_fill_info(struct llm_request_info *info, const struct broker_request *request)
{
	const struct llm_event *event = &request->event;

	*info = (struct llm_request_info){
		.id = event->id,
		.cgroup_id = event->cgroup_id,
		.pid = event->pid,
		.uid = event->uid,
		.state = request->state,
		.op = event->op,
		.prompt_tokens = event->prompt_tokens,
		.output_tokens = event->output_tokens,
		.submit_ns = event->time_ns,
		.dispatch_ns = request->dispatch_ns,
		.first_ns = request->first_ns,
		.output_bytes = event->output_bytes,
		.unread_bytes = request->unread.len,
		.attempts = event->attempts,
		.sched_class = event->sched_class,
		.memory_host = request->ledger.held[0],
	};
	memcpy(info->model, event->model, sizeof(info->model));
}

unsigned int broker_list(const struct broker *broker, uint64_t cursor,
			 struct llm_request_info *infos, unsigned int capacity,
			 unsigned int *ret_total)
{
	const struct broker_request *request;
	unsigned int count = 0, total = 0;

	list_each(request, &broker->all, all_link) {
		if (request->state == LLM_STATE_ENDED)
			continue;
		total++;
		if (request->event.id > cursor && count < capacity)
			broker_fill_info(&infos[count++], request);
	}
	*ret_total = total;
	return count;
}

void broker_features(const struct broker *broker, struct llm_features *features)
{
	features->abi_version = LLM_ABI_VERSION;
	features->server_pid = getpid();
	/* GET_FEATURES to LIST, and SESSION */
	features->commands = 0x7f | 1U << _IOC_NR(LLM_IOC_SESSION);
	features->max_sessions = BROKER_SESSIONS_MAX;
	features->max_sessions_user = BROKER_SESSIONS_USER_MAX;
	features->max_session_bytes = BROKER_SESSION_BYTES_MAX;
	features->sessions = broker->sessions.session_count;
	features->max_requests = BROKER_REQUESTS_MAX;
	features->max_requests_user = BROKER_REQUESTS_USER_MAX;
	features->max_requests_file = BROKER_REQUESTS_FILE_MAX;
	features->max_payload_bytes = BROKER_PAYLOAD_MAX;
	features->max_unread_bytes = BROKER_UNREAD_MAX;
	features->max_commit_bytes = BROKER_COMMIT_MAX;
	features->requests = broker->count;
	features->submitted = broker->last_id;
	features->ended = broker->ended;
	features->cancelled = broker->cancelled;
	features->memory_host = broker->tenants.stage.policy.root.usage.memory[0];
}
