/* SPDX-License-Identifier: MIT */
/*
 * As much of a kernel as the module's request logic needs to run in a user-space test, under
 * sanitizers: one task at a time, user memory that can be out of reach, allocations that can fail.
 * Forced into each of the module's files (-include), whose own includes of linux/ find nothing.
 *
 * What the kernel would only complain about with the right debug options ends the program here:
 * taking a lock twice, sleeping with the spinlock held, WARN_ON(). What was allocated and what was
 * referenced is counted, so a test can see that nothing is left.
 */
#ifndef KSHIM_H
#define KSHIM_H

#include <errno.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/types.h>

/* ---- types and arithmetic ---- */

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef unsigned int __poll_t;

#define __user
#define noinline	__attribute__((noinline))
#define __init
#define __exit
#define U32_MAX		UINT32_MAX
#define U64_MAX		UINT64_MAX
#define S64_MAX		INT64_MAX
#define PAGE_SHIFT	12
#define PAGE_SIZE	4096UL
#define MAX_ERRNO	4095
#define HZ		250
#define NSEC_PER_SEC	1000000000L
#define BIT(n)		(1UL << (n))
#define BIT_ULL(n)	(1ULL << (n))
#define READ_ONCE(x)	(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define min(a, b)	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min3(a, b, c)	min(min(a, b), c)
#define clamp(x, low, high) min(max(x, low), high)
#define clamp_t(type, x, low, high) ((type)clamp((type)(x), (type)(low), (type)(high)))
#define struct_size(ptr, member, count) \
	(sizeof(*(ptr)) + sizeof(*(ptr)->member) * (count))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define memset_startat(object, value, member)						\
	memset((char *)(object) + offsetof(__typeof__(*(object)), member), (value),	\
	       sizeof(*(object)) - offsetof(__typeof__(*(object)), member))
#define get_unaligned(ptr) \
	({ const struct { __typeof__(*(ptr)) value; } __attribute__((packed)) *at_ =	\
		   (const void *)(ptr);						\
	   at_->value; })
#define static_assert(expr, ...) _Static_assert(expr, #expr)
#define ilog2(n)	(31 - __builtin_clz(n))
#define u64_to_user_ptr(x) ((void *)(uintptr_t)(x))
#define hash_64(value, bits) ((u32)((u64)(value) * 0x61C8864680B583EBULL >> (64 - (bits))))
#define hash_32(value, bits) ((u32)(value) * 0x61C88647U >> (32 - (bits)))

#define ERESTARTSYS	512
#define EIOCBQUEUED	529

#define smp_load_acquire(ptr) READ_ONCE(*(ptr))
#define smp_store_release(ptr, value) WRITE_ONCE(*(ptr), value)

static inline void strscpy(char *to, const char *from, size_t room)
{
	const size_t len = strnlen(from, room - 1);

	memcpy(to, from, len);
	memset(to + len, 0, room - len);
}

static inline void *memchr_inv(const void *start, int c, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const u8 *)start)[i] != (u8)c)
			return (u8 *)start + i;
	return NULL;
}

#define IS_ERR(ptr)	((uintptr_t)(ptr) >= (uintptr_t)-MAX_ERRNO)
#define ERR_PTR(err)	((void *)(intptr_t)(err))
#define PTR_ERR(ptr)	((int)(intptr_t)(ptr))

/* ---- complaints ---- */

void kshim_bug(const char *what, const char *file, int line) __attribute__((noreturn));

#define WARN_ON(condition) \
	({ if (condition) kshim_bug(#condition, __FILE__, __LINE__); false; })
#define WARN_ON_ONCE(condition) WARN_ON(condition)

/* ---- locks; one task runs at a time, so a lock that is taken stays so for ever ---- */

typedef struct {
	bool held;
} spinlock_t;

struct mutex {
	bool held;
};

extern int kshim_spinlocks_held;

#define spin_lock_init(lock)	((lock)->held = false)
#define mutex_init(mutex)	((mutex)->held = false)
#define lockdep_assert_held(lock) WARN_ON(!(lock)->held)
#define might_sleep()		WARN_ON(kshim_spinlocks_held)

static inline void spin_lock(spinlock_t *lock)
{
	WARN_ON(lock->held);
	lock->held = true;
	kshim_spinlocks_held++;
}

static inline void spin_unlock(spinlock_t *lock)
{
	WARN_ON(!lock->held);
	lock->held = false;
	kshim_spinlocks_held--;
}

static inline void mutex_lock(struct mutex *mutex)
{
	might_sleep();
	WARN_ON(mutex->held);
	mutex->held = true;
}

static inline int mutex_lock_interruptible(struct mutex *mutex)
{
	mutex_lock(mutex);
	return 0;
}

static inline int mutex_trylock(struct mutex *mutex)
{
	if (mutex->held)
		return 0;
	mutex->held = true;
	return 1;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	WARN_ON(!mutex->held);
	mutex->held = false;
}

#define rcu_read_lock()
#define rcu_read_unlock()
#define cond_resched()		might_sleep()

/* ---- lists ---- */

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list_head *list)
{
	return list->next == list;
}

static inline void list_insert(struct list_head *node, struct list_head *prev,
			       struct list_head *next)
{
	WARN_ON(prev->next != next || next->prev != prev || node == prev || node == next);
	next->prev = node;
	node->next = next;
	node->prev = prev;
	prev->next = node;
}

static inline void list_add(struct list_head *node, struct list_head *head)
{
	list_insert(node, head, head->next);
}

static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
	list_insert(node, head->prev, head);
}

static inline void list_del(struct list_head *node)
{
	WARN_ON(node->next->prev != node || node->prev->next != node);
	node->next->prev = node->prev;
	node->prev->next = node->next;
}

static inline void list_del_init(struct list_head *node)
{
	list_del(node);
	INIT_LIST_HEAD(node);
}

static inline void list_move(struct list_head *node, struct list_head *head)
{
	list_del(node);
	list_add(node, head);
}

static inline void list_move_tail(struct list_head *node, struct list_head *head)
{
	list_del(node);
	list_add_tail(node, head);
}

static inline void list_splice_between(struct list_head *list, struct list_head *prev,
				       struct list_head *next)
{
	if (list_empty(list))
		return;
	list->next->prev = prev;
	prev->next = list->next;
	list->prev->next = next;
	next->prev = list->prev;
	INIT_LIST_HEAD(list);
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	list_splice_between(list, head, head->next);
}

static inline void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
	list_splice_between(list, head->prev, head);
}

#define list_first_entry(head, type, member) container_of((head)->next, type, member)
#define list_last_entry(head, type, member) container_of((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_for_each_entry(pos, head, member)					\
	for (pos = list_first_entry(head, __typeof__(*pos), member);		\
	     &pos->member != (head);						\
	     pos = list_first_entry(&pos->member, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, n, head, member)				\
	for (pos = list_first_entry(head, __typeof__(*pos), member),		\
	     n = list_first_entry(&pos->member, __typeof__(*pos), member);	\
	     &pos->member != (head);						\
	     pos = n, n = list_first_entry(&n->member, __typeof__(*n), member))

static inline void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	node->next = head->first;
	if (node->next)
		node->next->pprev = &node->next;
	head->first = node;
	node->pprev = &head->first;
}

static inline void hlist_del(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
}

#define hlist_entry(ptr, type, member) container_of(ptr, type, member)
#define hlist_empty(head) (!(head)->first)
#define hlist_for_each_entry(pos, head, member)					\
	for (struct hlist_node *node_ = (head)->first;				\
	     node_ && (pos = container_of(node_, __typeof__(*pos), member), true); \
	     node_ = node_->next)

/* ---- a search tree: of the same interface, never balanced ---- */

struct rb_node {
	struct rb_node *rb_parent, *rb_left, *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT			((struct rb_root) { NULL })
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)
#define RB_CLEAR_NODE(node)	((node)->rb_parent = (node))
#define rb_entry(ptr, type, member) container_of(ptr, type, member)
#define rb_insert_color(node, root)

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	*node = (struct rb_node) { .rb_parent = parent };
	*link = node;
}

void rb_erase(struct rb_node *node, struct rb_root *root);

/* ---- memory ---- */

typedef int gfp_t;

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	1
#define __GFP_RETRY_MAYFAIL	2
#define __GFP_NOWARN		4

/* Allocations until one fails; negative: none does. */
extern int kshim_fail_alloc;
/* Allocations that are not freed. */
extern int kshim_allocs;

void *kmalloc(size_t size, gfp_t flags);
void *kzalloc(size_t size, gfp_t flags);
void *kmalloc_array(size_t n, size_t size, gfp_t flags);
void kfree(const void *ptr);
#define kvzalloc(size, flags)	kzalloc(size, flags)
#define kvfree(ptr)		kfree(ptr)

/* Caches are no more than a size. */
struct kmem_cache {
	size_t size;
};

#define SLAB_ACCOUNT		1
#define SLAB_HWCACHE_ALIGN	2
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define kmem_cache_create_usercopy(name, size, align, flags, from, len, construct)	\
	((void)(from), (void)(len), kmem_cache_create(name, size, align, flags, construct))

struct kmem_cache *kmem_cache_create(const char *name, size_t size, unsigned int align, int flags,
				     void (*construct)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
/* Full of what nobody has put there. */
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags);
void kmem_cache_free(struct kmem_cache *cache, void *object);

/* ---- user memory: everything but what lies below kshim_user_min ---- */

extern uintptr_t kshim_user_min;
/* Copies until one fails; negative: none does. */
extern int kshim_fail_copy;

/* Called once, before the next copy to an iterator: that may take as long as a user wants. */
extern void (*kshim_copying)(void);

bool kshim_user_ok(const void *at, size_t len);
#define user_read_access_begin(at, len)	kshim_user_ok(at, len)
#define user_read_access_end()
#define user_write_access_begin(at, len) kshim_user_ok(at, len)
#define user_write_access_end()
/* The label is there for the compiler alone: what begins well ends well here. */
#define unsafe_get_user(value, at, label)						\
	do {										\
		memcpy(&(value), at, sizeof(*(at)));					\
		if (0)									\
			goto label;							\
	} while (0)
#define unsafe_put_user(value, at, label)						\
	do {										\
		const __typeof__(*(at)) value_ = (value);				\
											\
		memcpy(at, &value_, sizeof(value_));					\
		if (0)									\
			goto label;							\
	} while (0)
int copy_struct_from_user(void *dst, size_t ksize, const void *src, size_t usize);
unsigned long copy_from_user(void *to, const void *from, size_t len);
unsigned long copy_to_user(void *to, const void *from, size_t len);
unsigned long clear_user(void *to, size_t len);

#define put_user(x, ptr)							\
	(kshim_user_ok(ptr, sizeof(*(ptr))) ? (memcpy(ptr, &(x), sizeof(*(ptr))), 0) : -EFAULT)
#define get_user(x, ptr)							\
	(kshim_user_ok(ptr, sizeof(*(ptr))) ? (memcpy(&(x), ptr, sizeof(*(ptr))), 0) : -EFAULT)

#define ITER_SOURCE	1
#define ITER_DEST	0

struct iov_iter {
	char *at;
	size_t count;
};

static inline size_t iov_iter_count(const struct iov_iter *iter)
{
	return iter->count;
}

int import_ubuf(int direction, void *buf, size_t len, struct iov_iter *iter);
size_t copy_from_iter(void *to, size_t len, struct iov_iter *from);
size_t copy_to_iter(const void *from, size_t len, struct iov_iter *to);

/* ---- who is running ---- */

typedef struct {
	u32 val;
} kuid_t;

struct pid {
	int refs;
	u32 nr;
};

struct mem_cgroup {
	int refs;
};

struct cgroup {
	u64 id;
	bool dead;
	int level;
	struct cgroup *ancestors[3];
};

struct mm_struct {
	struct mem_cgroup *memcg;
};

struct user_namespace;
struct pid_namespace;

#define PF_KTHREAD	1
#define PIDTYPE_TGID	1

struct task_struct {
	unsigned int flags;
	struct pid *tgid;
	kuid_t euid;
	struct cgroup *cgroup;
	struct mm_struct *mm;
	struct mem_cgroup *active_memcg;
};

extern struct task_struct *current;

#define task_tgid(task)			((task)->tgid)
#define current_euid()			(current->euid)
#define current_user_ns()		((struct user_namespace *)NULL)
#define task_active_pid_ns(task)	((struct pid_namespace *)NULL)
#define task_dfl_cgroup(task)		((task)->cgroup)
#define cgroup_id(cgroup)		((cgroup)->id)
#define cgroup_put(cgroup)		((void)(cgroup))
#define pid_nr(pid)			((pid)->nr)
#define from_kuid_munged(ns, uid)	((void)(ns), (uid).val)
#define pid_has_task(pid, type)		((void)(type), (pid)->nr != 0)
#define pid_nr_ns(pid, ns)		((void)(ns), (pid)->nr)
#define __kuid_val(uid)			((uid).val)
#define uid_eq(a, b)			((a).val == (b).val)
#define fatal_signal_pending(task)	false

/* All there are. */
extern struct cgroup *kshim_cgroups;
extern int kshim_cgroup_count;

/* The living one with this id, as an error pointer where there is none. */
struct cgroup *cgroup_get_from_id(u64 id);

static inline struct pid *get_pid(struct pid *pid)
{
	pid->refs++;
	return pid;
}

static inline void put_pid(struct pid *pid)
{
	if (pid)
		WARN_ON(--pid->refs < 1);
}

static inline struct mem_cgroup *get_mem_cgroup_from_mm(struct mm_struct *mm)
{
	mm->memcg->refs++;
	return mm->memcg;
}

static inline void mem_cgroup_put(struct mem_cgroup *memcg)
{
	if (memcg)
		WARN_ON(--memcg->refs < 1);
}

static inline struct mem_cgroup *set_active_memcg(struct mem_cgroup *memcg)
{
	struct mem_cgroup *old = current->active_memcg;

	current->active_memcg = memcg;
	return old;
}

/* ---- references ---- */

typedef struct {
	int count;
} refcount_t;

#define refcount_set(ref, n)	((ref)->count = (n))

static inline void refcount_inc(refcount_t *ref)
{
	WARN_ON(ref->count < 1);
	ref->count++;
}

#define refcount_read(ref)	((ref)->count)

static inline void refcount_dec(refcount_t *ref)
{
	WARN_ON(ref->count < 2);
	ref->count--;
}

static inline bool refcount_dec_and_test(refcount_t *ref)
{
	WARN_ON(ref->count < 1);
	return --ref->count == 0;
}

/* ---- time and work: both go on when the test says so ---- */

extern u64 kshim_now_ns;

struct work_struct {
	void (*func)(struct work_struct *work);
	bool pending;
};

struct workqueue_struct;

typedef u64 ktime_t;

enum hrtimer_restart { HRTIMER_NORESTART };
enum hrtimer_mode { HRTIMER_MODE_ABS };

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	bool armed;
	u64 due_ns;
};

struct delayed_work {
	struct work_struct work;
	bool pending;
	u64 due_ns;
};

#define ktime_get_ns()		(kshim_now_ns)
#define nsecs_to_jiffies(ns)	((unsigned long)((ns) / (NSEC_PER_SEC / HZ)))
#define nsecs_to_jiffies64(ns)	((u64)nsecs_to_jiffies(ns))
#define MAX_SCHEDULE_TIMEOUT	INT64_MAX
#define MAX_JIFFY_OFFSET	((INT64_MAX >> 1) - 1)

#define INIT_DELAYED_WORK(delayed, function)					\
	(*(delayed) = (struct delayed_work) { .work.func = (function) })

#define INIT_WORK(work, function)						\
	(*(work) = (struct work_struct) { .func = (function) })
#define system_highpri_wq	((struct workqueue_struct *)NULL)
#define ns_to_ktime(ns)		((ktime_t)(ns))

/* kmod/compat.h asks for a version and needs a kernel's headers: this is what it offers here. */
#define LLM_COMPAT_H
#define llm_compat_hrtimer_setup(timer, callback, clock, mode)			\
	(*(timer) = (struct hrtimer) { .function = (callback) })

#include "io_uring.h"

void hrtimer_start(struct hrtimer *timer, ktime_t at, enum hrtimer_mode mode);
void hrtimer_cancel(struct hrtimer *timer);
/* Lets it run out if its time has come. */
void kshim_run_timer(struct hrtimer *timer);
bool queue_work(struct workqueue_struct *queue, struct work_struct *work);
bool cancel_work_sync(struct work_struct *work);
void kshim_run_plain_work(struct work_struct *work);

void schedule_delayed_work(struct delayed_work *work, unsigned long delay);
bool cancel_delayed_work(struct delayed_work *work);
bool cancel_delayed_work_sync(struct delayed_work *work);
#define to_delayed_work(from)	container_of(from, struct delayed_work, work)
/* The one that was scheduled last, and how many were. */
extern struct delayed_work *kshim_scheduled;
extern unsigned long kshim_schedules;
/* Runs it if its time has come. */
void kshim_run_work(struct delayed_work *work);

/* Events that administrators were told of. */
extern unsigned long kshim_told;

/* ---- waiting: nobody else runs, so the test must let something happen, or time passes ---- */

typedef struct {
	int wakeups;
} wait_queue_head_t;

struct completion {
	bool done;
};

/* Called when a task would sleep. */
extern void (*kshim_idle)(void);

/* How far jiffies are behind the clock: the next delay ends as much too early. */
extern u64 kshim_behind_ns;

#define init_waitqueue_head(queue)	((queue)->wakeups = 0)
#define waitqueue_active(queue)		((void)(queue), true)
/* It does not sleep, but takes as long as a user wants: not for under the lock. */
#define wake_up_interruptible(queue)	(({ might_sleep(); }), (void)(queue)->wakeups++)
#define init_completion(completion)	((completion)->done = false)
#define reinit_completion(completion)	((completion)->done = false)
#define complete(completion)		((completion)->done = true)

long wait_for_completion_interruptible_timeout(struct completion *completion,
					       unsigned long timeout);

#define wait_event_interruptible(queue, condition)				\
	({									\
		(void)(queue);							\
		might_sleep();							\
		if (!(condition) && kshim_idle)					\
			kshim_idle();						\
		(condition) ? 0 : -ERESTARTSYS;					\
	})

/* ---- modules ---- */

struct kernel_param {
	void *arg;
};

struct kernel_param_ops {
	int (*set)(const char *value, const struct kernel_param *param);
	int (*get)(char *buf, const struct kernel_param *param);
};

#define KBUILD_MODNAME		"llm"
#define THIS_MODULE		NULL
#define kernel_param_lock(module)
#define kernel_param_unlock(module)
#define module_param_cb(name, ops, arg, perm)					\
	const struct kernel_param_ops *kshim_param_##name(void);		\
	const struct kernel_param_ops *kshim_param_##name(void) { return ops; }	\
	struct kshim_expect_semicolon
#define MODULE_PARM_DESC(name, text) struct kshim_expect_semicolon

int param_set_uint_minmax(const char *value, const struct kernel_param *param, unsigned int low,
			  unsigned int high);
int param_get_uint(char *buf, const struct kernel_param *param);

#endif /* KSHIM_H */
