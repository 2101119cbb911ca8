// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of buffers: see map.h. A page is put into a mapping when it is touched, under the read
 * side of llm_map_lock, after a look at whether its buffer lives and who touches it. Whoever
 * ends that takes the write side, says so and takes out what is there: from then on nothing comes
 * back.
 *
 * Order of locks: mmap_lock, llm_map_lock, then llm_broker.lock or those of the address space.
 */
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "broker.h"
#include "buffer.h"
#include "map.h"
#include "server.h"

/* Pages that are put there with the one that was touched, as far as they follow it. */
#define LLM_MAP_AHEAD	64UL

static DECLARE_RWSEM(llm_map_lock); /* protects the following, and llm_buffer.dead */
static struct address_space *llm_map_space; /* of the server's file; NULL: there is no server */

/* Is the current process the one that serves, by this file? */
static bool llm_map_allowed(const struct llm_server *server)
{
	bool allowed;

	spin_lock(&llm_broker.lock);
	allowed = !server->gone && server->pid == task_tgid(current);
	spin_unlock(&llm_broker.lock);
	return allowed;
}

/* Puts the touched page there, and what follows it as far as that is no trouble. */
static vm_fault_t llm_map_insert(struct vm_fault *vmf, const struct llm_buffer *buffer)
{
	const unsigned long index = vmf->pgoff - buffer->first;
	const unsigned long left = (vmf->vma->vm_end - vmf->address) >> PAGE_SHIFT;
	const unsigned long count = min3(buffer->pin.count - index, left, LLM_MAP_AHEAD);
	vm_fault_t result = VM_FAULT_SIGBUS;

	for (unsigned long i = 0; i < count; i++) {
		const vm_fault_t one = vmf_insert_pfn(vmf->vma, vmf->address + (i << PAGE_SHIFT),
						      page_to_pfn(buffer->pin.pages[index + i]));

		if (!i)
			result = one;
		if (one != VM_FAULT_NOPAGE)
			break;
	}
	return result;
}

static vm_fault_t llm_map_fault(struct vm_fault *vmf)
{
	const struct llm_buffer *buffer = vmf->vma->vm_private_data;
	const struct llm_server *server = vmf->vma->vm_file->private_data;
	vm_fault_t result = VM_FAULT_SIGBUS;

	down_read(&llm_map_lock);
	if (!buffer->dead && llm_map_allowed(server))
		result = llm_map_insert(vmf, buffer);
	up_read(&llm_map_lock);
	return result;
}

/* A part of a mapping has become one of its own. */
static void llm_map_open(struct vm_area_struct *vma)
{
	struct llm_buffer *buffer = vma->vm_private_data;

	refcount_inc(&buffer->refs);
}

static void llm_map_close(struct vm_area_struct *vma)
{
	llm_buffer_put_ref(vma->vm_private_data);
}

static const struct vm_operations_struct llm_map_ops = {
	.open = llm_map_open,
	.close = llm_map_close,
	.fault = llm_map_fault,
};

static int llm_map_check(struct vm_area_struct *vma, const struct llm_buffer *buffer)
{
	if (vma_pages(vma) > buffer->pin.count - (vma->vm_pgoff - buffer->first))
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE && !buffer->pin.write)
		return -EACCES;
	return 0;
}

/**
 * llm_map() - mmap() of /dev/llmd
 * @server: whose file it is
 * @vma: its offset is a buffer's name, or within that buffer
 *
 * Context: under mmap_lock.
 * Return: 0; EINVAL not shared, no buffer is there or it ends before, EACCES not to be executed, or
 * the buffer not to be written, EPERM not the process that serves.
 */
int llm_map(struct llm_server *server, struct vm_area_struct *vma)
{
	struct llm_buffer *buffer;
	int err;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (!llm_map_allowed(server))
		return -EPERM;
	spin_lock(&llm_broker.lock);
	buffer = llm_buffer_at(vma->vm_pgoff);
	spin_unlock(&llm_broker.lock);
	if (!buffer)
		return -EINVAL;
	err = llm_map_check(vma, buffer);
	if (err) {
		llm_buffer_put_ref(buffer);
		return err;
	}
	/* VM_IO: nobody has it inherited after all */
	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC | (buffer->pin.write ? 0 : VM_MAYWRITE));
	vma->vm_private_data = buffer;
	vma->vm_ops = &llm_map_ops;
	return 0;
}

/** llm_map_begin() - a server comes; @space is that of its file */
void llm_map_begin(struct address_space *space)
{
	down_write(&llm_map_lock);
	llm_map_space = space;
	up_write(&llm_map_lock);
}

/** llm_map_revoke() - a buffer is not to be seen any more; when it returns, it is not. Sleeps. */
void llm_map_revoke(struct llm_buffer *buffer)
{
	down_write(&llm_map_lock);
	buffer->dead = true;
	if (llm_map_space)
		unmap_mapping_range(llm_map_space, llm_buffer_id(buffer), llm_buffer_len(buffer), 1);
	up_write(&llm_map_lock);
}

/** llm_map_revoke_all() - another process serves; who did before is to see nothing more. Sleeps. */
void llm_map_revoke_all(void)
{
	down_write(&llm_map_lock);
	if (llm_map_space)
		unmap_mapping_range(llm_map_space, 0, 0, 1);
	up_write(&llm_map_lock);
}

/** llm_map_end() - the server is gone, as its struct says already. Sleeps. */
void llm_map_end(void)
{
	llm_map_revoke_all();
	llm_map_begin(NULL);
}
