// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pinned pages: see pin.h. Called by the registration of buffers, in the process whose they are,
 * with nothing held. What is pinned when something goes wrong half-way is let go of again.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "pin.h"

/* Pages that are pinned at once, before somebody who waits for the processor gets it. */
#define LLM_PIN_ROUND	512UL

/* ---- billing ---- */

/* So many pages more. Return: 0; ENOMEM: that would be more than the user may have. */
static int llm_pin_bill(struct llm_pin *pin, unsigned long count)
{
	const long limit = min_t(unsigned long, rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT, LONG_MAX);
	long locked;

	if (pin->user) {
		locked = atomic_long_read(&pin->user->locked_vm);
		do {
			if (locked > limit || count > limit - locked)
				return -ENOMEM;
		} while (!atomic_long_try_cmpxchg(&pin->user->locked_vm, &locked,
						  locked + count));
	}
	atomic64_add(count, &pin->mm->pinned_vm);
	pin->billed += count;
	return 0;
}

static void llm_pin_unbill(struct llm_pin *pin)
{
	if (pin->user) {
		atomic_long_sub(pin->billed, &pin->user->locked_vm);
		free_uid(pin->user);
	}
	if (pin->mm) {
		atomic64_sub(pin->billed, &pin->mm->pinned_vm);
		mmdrop(pin->mm);
	}
}

/*
 * A pinned page holds all of its folio: that is billed, too. Folios that are met again after others
 * are billed again.
 */
static int llm_pin_bill_folios(struct llm_pin *pin)
{
	const struct folio *last = NULL;
	unsigned long count = 0;

	for (unsigned long i = 0; i < pin->count; i++) {
		const struct folio *folio = page_folio(pin->pages[i]);

		if (folio != last)
			count += folio_nr_pages(folio);
		last = folio;
	}
	return count > pin->billed ? llm_pin_bill(pin, count - pin->billed) : 0;
}

/* Return: 0, and billed, with room for the pages; ENOMEM. */
static int llm_pin_begin(struct llm_pin *pin, u64 len, bool write)
{
	*pin = (struct llm_pin) { .count = len >> PAGE_SHIFT, .write = write };
	pin->pages = kvmalloc_array(pin->count, sizeof(*pin->pages), GFP_KERNEL_ACCOUNT);
	if (!pin->pages)
		return -ENOMEM;
	if (!capable(CAP_IPC_LOCK))
		pin->user = get_uid(current_user());
	mmgrab(current->mm);
	pin->mm = current->mm;
	return llm_pin_bill(pin, pin->count);
}

/* Gives back all but the pins. */
static void llm_pin_end(struct llm_pin *pin)
{
	if (pin->file) {
		mapping_unmap_writable(pin->file->f_mapping);
		fput(pin->file);
	}
	llm_pin_unbill(pin);
	kvfree(pin->folios);
	kvfree(pin->pages);
	*pin = (struct llm_pin) { .pages = NULL };
}

/* ---- memory ---- */

static int llm_pin_all(struct llm_pin *pin, u64 addr)
{
	const unsigned int flags = FOLL_LONGTERM | (pin->write ? FOLL_WRITE : 0);
	unsigned long done = 0;
	int n;

	while (done < pin->count) {
		n = fatal_signal_pending(current) ? -EINTR :
		    pin_user_pages_fast(addr + (done << PAGE_SHIFT),
					min(pin->count - done, LLM_PIN_ROUND), flags,
					pin->pages + done);
		if (n <= 0) {
			unpin_user_pages(pin->pages, done);
			return n ?: -EFAULT;
		}
		done += n;
		cond_resched();
	}
	return 0;
}

/**
 * llm_pin_memory() - pins memory of the current process
 * @pin: to be filled in, for llm_pin_release()
 * @addr: of the first byte, at the start of a page
 * @len: bytes, whole pages; not 0
 * @write: it is going to be written
 *
 * Context: sleeps.
 * Return: 0; EFAULT it is not there or cannot be pinned, ENOMEM, EINTR, or what else
 * get_user_pages() says; @pin need not be released.
 */
int llm_pin_memory(struct llm_pin *pin, u64 addr, u64 len, bool write)
{
	int err;

	err = llm_pin_begin(pin, len, write) ?: llm_pin_all(pin, addr);
	if (err)
		goto fail;
	err = llm_pin_bill_folios(pin);
	if (!err)
		return 0;
	unpin_user_pages(pin->pages, pin->count);
fail:
	llm_pin_end(pin);
	return err;
}

/* ---- files in memory ---- */

static unsigned int llm_memfd_seals(const struct file *file)
{
	struct inode *inode = file_inode(file);

#ifdef CONFIG_HUGETLBFS
	if (is_file_hugepages(file))
		return HUGETLBFS_I(inode)->seals;
#endif
	return SHMEM_I(inode)->seals;
}

/* Nobody can seal it against writing while it is written. Return: 0; EACCES, EPERM it is sealed. */
static int llm_memfd_promise(struct llm_pin *pin, struct file *file)
{
	int err;

	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (llm_memfd_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	err = mapping_map_writable(file->f_mapping);
	if (!err)
		pin->file = get_file(file);
	return err;
}

/* Lists the pages of the folios, of which the first one begins at @start, a number of bytes. */
static int llm_memfd_spread(struct llm_pin *pin, unsigned long start)
{
	unsigned long index = start >> PAGE_SHIFT, done = 0;

	for (unsigned long i = 0; i < pin->folio_count && done < pin->count; i++) {
		while (index < folio_nr_pages(pin->folios[i]) && done < pin->count)
			pin->pages[done++] = folio_page(pin->folios[i], index++);
		index = 0;
	}
	return done == pin->count ? 0 : -EFAULT;
}

static int llm_memfd_pin_all(struct llm_pin *pin, struct file *file, u64 offset)
{
	pgoff_t start;
	long n;
	int err;

	pin->folios = kvmalloc_array(pin->count, sizeof(*pin->folios), GFP_KERNEL_ACCOUNT);
	if (!pin->folios)
		return -ENOMEM;
	n = memfd_pin_folios(file, offset, offset + (pin->count << PAGE_SHIFT) - 1, pin->folios,
			     pin->count, &start);
	if (n <= 0)
		return n ?: -EFAULT;
	pin->folio_count = n;
	err = llm_memfd_spread(pin, start) ?: llm_pin_bill_folios(pin);
	if (err)
		unpin_folios(pin->folios, pin->folio_count);
	return err;
}

static int llm_memfd_begin(struct llm_pin *pin, struct file *file, u64 offset, u64 len, bool write)
{
	int err;

	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	err = llm_pin_begin(pin, len, write);
	if (!err && write)
		err = llm_memfd_promise(pin, file);
	if (!err)
		err = llm_memfd_pin_all(pin, file, offset);
	if (err)
		llm_pin_end(pin);
	return err;
}

/**
 * llm_pin_memfd() - pins a part of a file in memory
 * @pin: to be filled in, for llm_pin_release()
 * @fd: of the file, a memfd or one on tmpfs or hugetlbfs
 * @offset: of the first byte, at the start of a page
 * @len: bytes, whole pages; not 0
 * @write: it is going to be written
 *
 * Context: sleeps.
 * Return: 0; EBADF, EINVAL not such a file, or too short, EACCES it is not open for that, EPERM it
 * is sealed against it, ENOMEM; @pin need not be released.
 */
int llm_pin_memfd(struct llm_pin *pin, int fd, u64 offset, u64 len, bool write)
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = llm_memfd_begin(pin, file, offset, len, write);
	fput(file);
	return err;
}

/* ---- both ---- */

/* What was written is not lost when the file is all that is left of it. */
static void llm_pin_dirty(const struct llm_pin *pin)
{
	for (unsigned long i = 0; i < pin->folio_count; i++) {
		struct folio *folio = pin->folios[i];

		folio_lock(folio);
		folio_mark_dirty(folio);
		folio_unlock(folio);
		cond_resched();
	}
}

/** llm_pin_release() - lets go of pinned pages; nobody may reach them by it any more. Sleeps. */
void llm_pin_release(struct llm_pin *pin)
{
	if (!pin->pages)
		return;
	if (pin->folios) {
		if (pin->write)
			llm_pin_dirty(pin);
		unpin_folios(pin->folios, pin->folio_count);
	} else {
		unpin_user_pages_dirty_lock(pin->pages, pin->count, pin->write);
	}
	llm_pin_end(pin);
}

/**
 * llm_pin_copy() - copies from pinned pages
 * @pin: them
 * @offset: of the first byte
 * @len: bytes; they are there
 * @to: where to
 *
 * Context: sleeps.
 * Return: bytes copied; less than @len if user memory gave out.
 */
size_t llm_pin_copy(const struct llm_pin *pin, u64 offset, size_t len, struct iov_iter *to)
{
	size_t done = 0;

	while (done < len) {
		const size_t at = offset_in_page(offset + done);
		const size_t n = min_t(size_t, len - done, PAGE_SIZE - at);
		const size_t copied = copy_page_to_iter(pin->pages[(offset + done) >> PAGE_SHIFT],
							at, n, to);

		done += copied;
		if (copied != n)
			break;
		cond_resched();
	}
	return done;
}
