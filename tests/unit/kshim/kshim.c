// SPDX-License-Identifier: MIT
/*
 * As much of a kernel as the module's request logic needs: see kshim.h.
 */
#include "kshim.h"

#include <stdio.h>

#include "kmod/broker.h"
#include "kmod/netlink.h"

int kshim_spinlocks_held;
int kshim_fail_alloc = -1;
int kshim_allocs;
int kshim_fail_copy = -1;
void (*kshim_copying)(void);
uintptr_t kshim_user_min = 65536;
u64 kshim_now_ns = 1;
void (*kshim_idle)(void);
u64 kshim_behind_ns;
struct delayed_work *kshim_scheduled;
unsigned long kshim_schedules;
struct cgroup *kshim_cgroups;
int kshim_cgroup_count;
unsigned long kshim_told;

static struct pid first_pid = { .refs = 1, .nr = 100 };
static struct cgroup first_cgroup = { .id = 1, .ancestors = { &first_cgroup } };
static struct mem_cgroup first_memcg = { .refs = 1 };
static struct mm_struct first_mm = { .memcg = &first_memcg };
static struct task_struct first_task = {
	.tgid = &first_pid,
	.cgroup = &first_cgroup,
	.mm = &first_mm,
};
struct task_struct *current = &first_task;

void kshim_bug(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

static bool fails(int *countdown)
{
	if (*countdown < 0)
		return false;
	return (*countdown)-- == 0;
}

void *kmalloc(size_t size, gfp_t flags)
{
	void *ptr;

	(void)flags;
	might_sleep();
	if (fails(&kshim_fail_alloc))
		return NULL;
	ptr = malloc(size);
	if (ptr) {
		memset(ptr, 0xa5, size);
		kshim_allocs++;
	}
	return ptr;
}

void *kzalloc(size_t size, gfp_t flags)
{
	void *ptr = kmalloc(size, flags);

	return ptr ? memset(ptr, 0, size) : NULL;
}

void *kmalloc_array(size_t n, size_t size, gfp_t flags)
{
	return n && size > SIZE_MAX / n ? NULL : kmalloc(n * size, flags);
}

void kfree(const void *ptr)
{
	if (!ptr)
		return;
	kshim_allocs--;
	free((void *)ptr);
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, unsigned int align, int flags,
				     void (*construct)(void *))
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));

	(void)name;
	(void)align;
	(void)flags;
	(void)construct;
	if (cache)
		cache->size = size;
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	free(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags)
{
	void *object = kzalloc(cache->size, flags);

	return object ? memset(object, 0x5a, cache->size) : NULL;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	(void)cache;
	kfree(object);
}

bool kshim_user_ok(const void *at, size_t len)
{
	might_sleep();
	if (fails(&kshim_fail_copy))
		return false;
	return (uintptr_t)at >= kshim_user_min && (uintptr_t)at + len >= (uintptr_t)at;
}

int copy_struct_from_user(void *dst, size_t ksize, const void *src, size_t usize)
{
	if (!kshim_user_ok(src, usize))
		return -EFAULT;
	if (usize > ksize && memchr_inv((const char *)src + ksize, 0, usize - ksize))
		return -E2BIG;
	memset(dst, 0, ksize);
	memcpy(dst, src, min(ksize, usize));
	return 0;
}

unsigned long copy_from_user(void *to, const void *from, size_t len)
{
	if (!len)
		return 0;
	if (!kshim_user_ok(from, len))
		return len;
	memcpy(to, from, len);
	return 0;
}

unsigned long copy_to_user(void *to, const void *from, size_t len)
{
	if (!len)
		return 0;
	if (!kshim_user_ok(to, len))
		return len;
	memcpy(to, from, len);
	return 0;
}

unsigned long clear_user(void *to, size_t len)
{
	if (!len)
		return 0;
	if (!kshim_user_ok(to, len))
		return len;
	memset(to, 0, len);
	return 0;
}

int import_ubuf(int direction, void *buf, size_t len, struct iov_iter *iter)
{
	(void)direction;
	*iter = (struct iov_iter) { .at = buf, .count = len };
	return 0;
}

size_t copy_from_iter(void *to, size_t len, struct iov_iter *from)
{
	WARN_ON(len > from->count);
	if (!kshim_user_ok(from->at, len))
		return 0;
	memcpy(to, from->at, len);
	from->at += len;
	from->count -= len;
	return len;
}

size_t copy_to_iter(const void *from, size_t len, struct iov_iter *to)
{
	void (*const copying)(void) = kshim_copying;

	WARN_ON(len > to->count);
	kshim_copying = NULL;
	if (copying)
		copying();
	if (!kshim_user_ok(to->at, len))
		return 0;
	memcpy(to->at, from, len);
	to->at += len;
	to->count -= len;
	return len;
}

/* Puts @child, which may be NULL, where @node is. */
static void rb_replace(struct rb_node *node, struct rb_node *child, struct rb_root *root)
{
	if (!node->rb_parent)
		root->rb_node = child;
	else if (node->rb_parent->rb_left == node)
		node->rb_parent->rb_left = child;
	else
		node->rb_parent->rb_right = child;
	if (child)
		child->rb_parent = node->rb_parent;
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *next;

	if (!node->rb_left || !node->rb_right) {
		rb_replace(node, node->rb_left ? node->rb_left : node->rb_right, root);
		return;
	}
	for (next = node->rb_right; next->rb_left; next = next->rb_left)
		;
	if (next != node->rb_right) {
		rb_replace(next, next->rb_right, root);
		next->rb_right = node->rb_right;
		next->rb_right->rb_parent = next;
	}
	rb_replace(node, next, root);
	next->rb_left = node->rb_left;
	next->rb_left->rb_parent = next;
}

struct cgroup *cgroup_get_from_id(u64 id)
{
	might_sleep();
	for (int i = 0; i < kshim_cgroup_count; i++)
		if (kshim_cgroups[i].id == id && !kshim_cgroups[i].dead)
			return &kshim_cgroups[i];
	return ERR_PTR(-ENOENT);
}

/* In place of the netlink family, which is not here. */
void llm_netlink_tell(const struct llm_report *report)
{
	might_sleep();
	WARN_ON(!report->type || !report->count || report->time_ns > kshim_now_ns);
	/* or the next server's coming might be told before */
	WARN_ON(report->type == LLM_NL_EVENT_SERVER_DOWN && !llm_broker.server_mutex.held);
	kshim_told++;
}

/* what a delay in jiffies takes by the clock */
static u64 kshim_delay(unsigned long delay)
{
	const u64 ns = delay * (u64)(NSEC_PER_SEC / HZ);
	const u64 early = min_t(u64, kshim_behind_ns, ns);

	kshim_behind_ns = 0;
	return ns - early;
}

void schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	if (work->pending)
		return;
	work->pending = true;
	work->due_ns = kshim_now_ns + kshim_delay(delay);
	kshim_scheduled = work;
	kshim_schedules++;
}

bool cancel_delayed_work(struct delayed_work *work)
{
	const bool was = work->pending;

	work->pending = false;
	return was;
}

bool cancel_delayed_work_sync(struct delayed_work *work)
{
	might_sleep();
	return cancel_delayed_work(work);
}

void kshim_run_work(struct delayed_work *work)
{
	if (!work->pending || work->due_ns > kshim_now_ns)
		return;
	work->pending = false;
	work->work.func(&work->work);
}

void hrtimer_start(struct hrtimer *timer, ktime_t at, enum hrtimer_mode mode)
{
	(void)mode;
	timer->armed = true;
	timer->due_ns = at;
}

void hrtimer_cancel(struct hrtimer *timer)
{
	might_sleep();
	timer->armed = false;
}

void kshim_run_timer(struct hrtimer *timer)
{
	if (!timer->armed || timer->due_ns > kshim_now_ns)
		return;
	timer->armed = false;
	timer->function(timer);
}

bool queue_work(struct workqueue_struct *queue, struct work_struct *work)
{
	const bool was = work->pending;

	(void)queue;
	work->pending = true;
	return !was;
}

bool cancel_work_sync(struct work_struct *work)
{
	const bool was = work->pending;

	might_sleep();
	work->pending = false;
	return was;
}

void kshim_run_plain_work(struct work_struct *work)
{
	if (!work->pending)
		return;
	work->pending = false;
	work->func(work);
}

long wait_for_completion_interruptible_timeout(struct completion *completion,
					       unsigned long timeout)
{
	might_sleep();
	if (!completion->done && kshim_idle)
		kshim_idle();
	if (completion->done)
		return 1;
	if (timeout == MAX_SCHEDULE_TIMEOUT)
		return -ERESTARTSYS;
	kshim_now_ns += kshim_delay(timeout);
	return 0;
}

int param_set_uint_minmax(const char *value, const struct kernel_param *param, unsigned int low,
			  unsigned int high)
{
	char *end;
	const unsigned long n = strtoul(value, &end, 0);

	if (end == value || *end || n < low || n > high)
		return -EINVAL;
	*(unsigned int *)param->arg = (unsigned int)n;
	return 0;
}

int param_get_uint(char *buf, const struct kernel_param *param)
{
	return sprintf(buf, "%u\n", *(unsigned int *)param->arg);
}
