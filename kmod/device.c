// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/llm and /dev/llmd: the file operations, called by the VFS and io_uring. A file's private
 * data is its struct llm_client or struct llm_server, and lives as long as the file.
 */
#include <linux/compat.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "broker.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "device.h"
#include "map.h"
#include "server.h"
#include "stream.h"
#include "uring.h"

static bool llm_file_nonblock(const struct file *file)
{
	return file->f_flags & O_NONBLOCK;
}

static bool llm_iocb_nonblock(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT || llm_file_nonblock(iocb->ki_filp);
}

/* ---- /dev/llm ---- */

static int llm_client_fop_open(struct inode *inode, struct file *file)
{
	struct llm_client *client = llm_client_create();

	if (!client)
		return -ENOMEM;
	llm_uring_pool_init(&client->pool);
	file->private_data = client;
	/* What read() and write() do here can be tried without waiting. */
	file->f_mode |= FMODE_NOWAIT;
	return stream_open(inode, file);
}

static int llm_client_fop_release(struct inode *inode, struct file *file)
{
	struct llm_client *client = file->private_data;

	llm_uring_pool_empty(&client->pool);
	llm_client_destroy(client);
	return 0;
}

static long llm_client_fop_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct llm_command *command =
		llm_command_find(llm_client_commands, LLM_CLIENT_COMMANDS, cmd);

	if (!command)
		return -ENOTTY;
	return llm_call_sleep(command, file->private_data, NULL, (void __user *)arg,
			      llm_file_nonblock(file));
}

static int llm_client_fop_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct llm_client *client = cmd->file->private_data;
	const struct llm_command *command;

	if (issue_flags & IO_URING_F_CANCEL)
		return llm_uring_cancel(cmd, issue_flags, &client->pool);
	command = llm_command_find(llm_client_commands, LLM_CLIENT_COMMANDS, cmd->cmd_op);
	if (!command)
		return -ENOTTY;
	return llm_uring_issue(cmd, issue_flags, command, client, NULL);
}

static ssize_t llm_client_fop_write(struct kiocb *iocb, struct iov_iter *from)
{
	return llm_stream_write(iocb->ki_filp->private_data, from, llm_iocb_nonblock(iocb));
}

static ssize_t llm_client_fop_read(struct kiocb *iocb, struct iov_iter *to)
{
	return llm_stream_read(iocb->ki_filp->private_data, to, llm_iocb_nonblock(iocb));
}

static __poll_t llm_client_fop_poll(struct file *file, struct poll_table_struct *table)
{
	struct llm_client *client = file->private_data;

	poll_wait(file, &client->poll, table);
	return llm_stream_poll(client, poll_requested_events(table) & (EPOLLIN | EPOLLRDNORM));
}

static const struct file_operations llm_client_fops = {
	.owner = THIS_MODULE,
	.open = llm_client_fop_open,
	.release = llm_client_fop_release,
	.read_iter = llm_client_fop_read,
	.write_iter = llm_client_fop_write,
	.poll = llm_client_fop_poll,
	.unlocked_ioctl = llm_client_fop_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = llm_client_fop_uring_cmd,
};

static struct miscdevice llm_client_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "llm",
	.fops = &llm_client_fops,
	.mode = 0660,
};

/* ---- /dev/llmd ---- */

static int llm_server_fop_open(struct inode *inode, struct file *file)
{
	struct llm_server *server;
	int err;

	err = llm_server_open(&server);
	if (err)
		return err;
	llm_uring_pool_init(&server->pool);
	file->private_data = server;
	llm_map_begin(file->f_mapping);
	return nonseekable_open(inode, file);
}

static int llm_server_fop_release(struct inode *inode, struct file *file)
{
	struct llm_server *server = file->private_data;

	llm_uring_pool_empty(&server->pool);
	llm_server_close(server);
	return 0;
}

/*
 * Commands that a dead server left parked hold its file until io_uring gets around to cancelling
 * them. The next server need not wait for that: once the process that serves lets go of its files
 * on its way out, it serves no more. A close() before that, or by a child, means nothing.
 */
static int llm_server_fop_flush(struct file *file, fl_owner_t owner)
{
	struct llm_server *server = file->private_data;
	bool serving;

	spin_lock(&llm_broker.lock);
	serving = server->pid == task_tgid(current);
	spin_unlock(&llm_broker.lock);
	/* of a thread with files of its own, it is not the process that goes */
	if (serving && current->flags & PF_EXITING && !atomic_read(&current->signal->live))
		llm_server_leave(server);
	return 0;
}

static long llm_server_fop_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct llm_command *command =
		llm_command_find(llm_server_commands, LLM_SERVER_COMMANDS, cmd);

	if (!command)
		return -ENOTTY;
	return llm_call_sleep(command, NULL, file->private_data, (void __user *)arg,
			      llm_file_nonblock(file));
}

static int llm_server_fop_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct llm_server *server = cmd->file->private_data;
	const struct llm_command *command;

	if (issue_flags & IO_URING_F_CANCEL)
		return llm_uring_cancel(cmd, issue_flags, &server->pool);
	command = llm_command_find(llm_server_commands, LLM_SERVER_COMMANDS, cmd->cmd_op);
	if (!command)
		return -ENOTTY;
	return llm_uring_issue(cmd, issue_flags, command, NULL, server);
}

static int llm_server_fop_mmap(struct file *file, struct vm_area_struct *vma)
{
	return llm_map(file->private_data, vma);
}

static const struct file_operations llm_server_fops = {
	.owner = THIS_MODULE,
	.open = llm_server_fop_open,
	.release = llm_server_fop_release,
	.flush = llm_server_fop_flush,
	.mmap = llm_server_fop_mmap,
	.unlocked_ioctl = llm_server_fop_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = llm_server_fop_uring_cmd,
};

static struct miscdevice llm_server_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "llmd",
	.fops = &llm_server_fops,
	.mode = 0600,
};

int llm_devices_register(void)
{
	int err;

	err = misc_register(&llm_server_device);
	if (err)
		return err;
	err = misc_register(&llm_client_device);
	if (err)
		misc_deregister(&llm_server_device);
	return err;
}

void llm_devices_unregister(void)
{
	misc_deregister(&llm_client_device);
	misc_deregister(&llm_server_device);
}
