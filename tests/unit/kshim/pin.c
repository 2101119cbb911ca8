// SPDX-License-Identifier: MIT
/*
 * Pinned pages and mappings, where there are none: pages are where their bytes are, and a buffer that
 * is taken out of mappings is only marked. What cannot be pinned is what cannot be reached. Stands
 * in for pin.c and map.c.
 */
#include "kshim.h"

#include "kmod/buffer.h"
#include "kmod/map.h"
#include "kmod/pin.h"

int llm_pin_memory(struct llm_pin *pin, u64 addr, u64 len, bool write)
{
	const u64 count = len >> PAGE_SHIFT;

	might_sleep();
	if (!kshim_user_ok(u64_to_user_ptr(addr), len))
		return -EFAULT;
	*pin = (struct llm_pin) { .count = count, .write = write };
	pin->pages = kmalloc_array(count, sizeof(*pin->pages), GFP_KERNEL_ACCOUNT);
	if (!pin->pages)
		return -ENOMEM;
	for (u64 i = 0; i < count; i++)
		pin->pages[i] = u64_to_user_ptr(addr + (i << PAGE_SHIFT));
	return 0;
}

/* There are no files. */
int llm_pin_memfd(struct llm_pin *pin, int fd, u64 offset, u64 len, bool write)
{
	return -EBADF;
}

void llm_pin_release(struct llm_pin *pin)
{
	might_sleep();
	kfree(pin->pages);
	*pin = (struct llm_pin) { .pages = NULL };
}

size_t llm_pin_copy(const struct llm_pin *pin, u64 offset, size_t len, struct iov_iter *to)
{
	size_t done = 0;

	WARN_ON(offset > pin->count << PAGE_SHIFT || len > (pin->count << PAGE_SHIFT) - offset);
	while (done < len) {
		const size_t at = (offset + done) & (PAGE_SIZE - 1);
		const size_t n = min(len - done, PAGE_SIZE - at);

		if (copy_to_iter((char *)pin->pages[(offset + done) >> PAGE_SHIFT] + at, n, to) != n)
			break;
		done += n;
	}
	return done;
}

void llm_map_revoke(struct llm_buffer *buffer)
{
	might_sleep();
	WARN_ON(buffer->dead || !buffer->pin.pages || buffer->uses);
	buffer->dead = true;
}

void llm_map_revoke_all(void)
{
	might_sleep();
}

void llm_map_end(void)
{
	might_sleep();
}
