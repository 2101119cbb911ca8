// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptor of a session: a file without a name, which can be inherited and sent, but not
 * opened. It holds its session in use; the last copy of it lets go.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "broker.h"
#include "session.h"

static int llm_session_fop_release(struct inode *inode, struct file *file)
{
	llm_session_leave(file->private_data);
	return 0;
}

#ifdef CONFIG_PROC_FS
static void llm_session_fop_fdinfo(struct seq_file *m, struct file *file)
{
	struct llm_session_cmd info;

	spin_lock(&llm_broker.lock);
	llm_session_describe(file->private_data, &info);
	spin_unlock(&llm_broker.lock);
	seq_printf(m, "llm-session:\t%llu\nbytes:\t%llu\ntokens:\t%llu\nturns:\t%llu\n",
		   info.id, info.bytes, info.tokens, info.turns);
	seq_printf(m, "sealed:\t%u\nbusy:\t%u\n", !!(info.out_flags & LLM_SESSION_SEALED),
		   !!(info.out_flags & LLM_SESSION_BUSY));
}
#endif

static const struct file_operations llm_session_fops = {
	.owner = THIS_MODULE,
	.release = llm_session_fop_release,
	.llseek = noop_llseek,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = llm_session_fop_fdinfo,
#endif
};

/**
 * llm_session_use_fd() - finds the session that a descriptor of the current task means
 * @fd: the descriptor
 * @ret_session: the session, in use until llm_session_unuse()
 *
 * Context: takes the broker's lock.
 * Return: 0; EBADF, EINVAL it is one of something else.
 */
int llm_session_use_fd(int fd, struct llm_session **ret_session)
{
	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	if (fd_file(f)->f_op != &llm_session_fops)
		return -EINVAL;
	*ret_session = fd_file(f)->private_data;
	spin_lock(&llm_broker.lock);
	llm_session_use(*ret_session);
	spin_unlock(&llm_broker.lock);
	return 0;
}

/**
 * llm_session_open() - makes a descriptor that nobody can use yet
 * @session: in use; from success on by the file
 * @ret_file: the file, for llm_session_open_done()
 *
 * Context: sleeps.
 * Return: the descriptor; EMFILE, ENFILE, ENOMEM.
 */
int llm_session_open(struct llm_session *session, struct file **ret_file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile("[llm-session]", &llm_session_fops, session, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	*ret_file = file;
	return fd;
}

/** llm_session_open_done() - the caller knows of it, or (!@keep) can not be told */
void llm_session_open_done(int fd, struct file *file, bool keep)
{
	if (keep) {
		fd_install(fd, file);
		return;
	}
	put_unused_fd(fd);
	fput(file);
}
