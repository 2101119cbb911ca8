/* SPDX-License-Identifier: MIT */
/*
 * Who is running and waiting. The list is read page by page; the array returned owns it and the
 * names of the cgroups.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "internal.h"

#define PS_PAGE		64U	/* entries of one LIST */
#define PS_MAX		65536U	/* entries we are ready to hold */

_Static_assert(PS_PAGE * sizeof(struct llm_request_info) <= LLMOS_READ_BYTES,
	       "a page fits in a message");

/**
 * struct process_list - what a struct llmos_processes is the first member of
 * @processes: what the caller sees
 * @infos: as they came, sorted by id
 * @size: entries there is room for
 * @cgroups: paths by id
 * @cgroup_count: number of them
 */
struct process_list {
	struct llmos_processes processes;
	struct llm_request_info *infos;
	size_t size;
	struct llmos_cgroup *cgroups;
	size_t cgroup_count;
};

void llmos_processes_free(struct llmos_processes *processes)
{
	struct process_list *list;
	size_t i;

	if (!processes)
		return;
	list = llmos_container(processes, struct process_list, processes);
	for (i = 0; i < list->cgroup_count; i++)
		free(list->cgroups[i].path);
	free(list->cgroups);
	free(list->infos);
	free(processes->processes);
	free(list);
}

static int process_list_add(struct process_list *list, const struct llm_request_info *info)
{
	size_t count = list->processes.count;
	struct llm_request_info *grown;

	if (count >= PS_MAX)
		return -EMSGSIZE;
	/* ids grow: a server that repeats itself would keep us here for ever */
	if (info->id <= (count ? list->infos[count - 1].id : 0))
		return -EPROTO;
	if (count == list->size) {
		grown = reallocarray(list->infos, count + PS_PAGE, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->infos = grown;
		list->size += PS_PAGE;
	}
	list->infos[count] = *info;
	list->infos[count].model[LLM_MODEL_NAME_MAX - 1] = '\0';
	list->processes.count++;
	return 0;
}

/* Return: entries of this page, -errno */
static int process_list_page(struct llmos *llmos, struct process_list *list,
			     struct llmos_command **command)
{
	size_t count = list->processes.count;
	struct llm_list *arg;
	uint32_t i;
	int r;

	llmos_command_reset(*command, LLM_IOC_LIST);
	arg = &(*command)->arg.list;
	arg->entry_size = sizeof(struct llm_request_info);
	arg->capacity = PS_PAGE;
	arg->cursor = count ? list->infos[count - 1].id : 0;
	r = llmos_call(llmos, command);
	if (r < 0)
		return r;
	if (arg->count > PS_PAGE)
		return -EPROTO;
	for (i = 0; i < arg->count; i++) {
		struct llm_request_info info;

		memcpy(&info, (*command)->out + i * sizeof(info), sizeof(info));
		r = process_list_add(list, &info);
		if (r < 0)
			return r;
	}
	return (int)arg->count;
}

static int process_list_read(struct llmos *llmos, struct process_list *list)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r;

	command = llmos_command_new(LLM_IOC_LIST, PS_PAGE * sizeof(struct llm_request_info));
	if (!command)
		return -ENOMEM;
	do {
		r = process_list_page(llmos, list, &command);
	} while (r > 0);
	return r;
}

/* ---- names of cgroups ---- */

static int cgroup_compare(const void *a, const void *b)
{
	const struct llmos_cgroup *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int process_list_cgroups(struct process_list *list)
{
	_cleanup_free_ char *mount = NULL;
	struct llmos_cgroup *cgroups;
	size_t i, count = 0;

	cgroups = calloc(list->processes.count, sizeof(*cgroups));
	if (!cgroups)
		return -ENOMEM;
	for (i = 0; i < list->processes.count; i++)
		cgroups[i].id = list->infos[i].cgroup_id;
	qsort(cgroups, list->processes.count, sizeof(*cgroups), cgroup_compare);
	for (i = 0; i < list->processes.count; i++)
		if (cgroups[i].id && (!count || cgroups[i].id != cgroups[count - 1].id))
			cgroups[count++] = cgroups[i];
	list->cgroups = cgroups;
	list->cgroup_count = count;
	mount = llmos_cgroup_mount("/proc/self/mountinfo");
	if (mount)
		llmos_cgroup_resolve(cgroups, count, mount);
	return 0;
}

static const char *process_list_cgroup(const struct process_list *list, uint64_t id)
{
	struct llmos_cgroup key = { .id = id };
	const struct llmos_cgroup *cgroup;

	cgroup = bsearch(&key, list->cgroups, list->cgroup_count, sizeof(key), cgroup_compare);
	return cgroup && cgroup->path ? cgroup->path : "";
}

static void process_fill(const struct process_list *list, struct llmos_process *process,
			 const struct llm_request_info *info)
{
	*process = (struct llmos_process){
		.id = info->id,
		.cgroup_id = info->cgroup_id,
		.cgroup = process_list_cgroup(list, info->cgroup_id),
		.pid = info->pid,
		.uid = info->uid,
		.state = info->state <= LLM_STATE_ENDED ? (enum llmos_state)info->state :
							  LLMOS_ENDED,
		.op = info->op,
		.model = info->model,
		.prompt_tokens = info->prompt_tokens,
		.output_tokens = info->output_tokens,
		.submit_ns = info->submit_ns,
		.dispatch_ns = info->dispatch_ns,
		.first_ns = info->first_ns,
		.output_bytes = info->output_bytes,
		.unread_bytes = info->unread_bytes,
		.attempts = info->attempts,
		.sched_class = info->sched_class <= LLM_CLASS_IDLE ?
			       (enum llmos_class)info->sched_class : LLMOS_NORMAL,
	};
}

static int process_list_fill(struct process_list *list)
{
	struct llmos_processes *processes = &list->processes;
	size_t i;
	int r;

	if (!processes->count)
		return 0;
	r = process_list_cgroups(list);
	if (r < 0)
		return r;
	processes->processes = calloc(processes->count, sizeof(*processes->processes));
	if (!processes->processes)
		return -ENOMEM;
	for (i = 0; i < processes->count; i++)
		process_fill(list, &processes->processes[i], &list->infos[i]);
	return 0;
}

int llmos_ps(struct llmos *llmos, struct llmos_processes **ret)
{
	_cleanup_(llmos_processes_freep) struct llmos_processes *processes = NULL;
	struct process_list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return llmos_fail(llmos, -ENOMEM, "list of requests");
	processes = &list->processes;
	r = process_list_read(llmos, list);
	if (!r)
		r = process_list_fill(list);
	if (r < 0)
		return llmos_fail(llmos, r, "list of requests at '%s'", llmos->address);
	*ret = processes;
	processes = NULL;
	return 0;
}
