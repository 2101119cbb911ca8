/* SPDX-License-Identifier: MIT */
/*
 * A command on its way to the broker: made by requests and listings, carried by a transport, owned
 * by its maker except between start and completion.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport.h"

size_t llmos_command_arg_size(const struct llmos_command *command)
{
	return _IOC_SIZE(command->cmd);
}

void llmos_command_reset(struct llmos_command *command, unsigned int cmd)
{
	memset(&command->arg, 0, sizeof(command->arg));
	command->cmd = cmd;
	command->result = 0;
	command->done = false;
	command->sent = 0;
	/* every struct starts with its size */
	command->arg.features.size = _IOC_SIZE(cmd);
}

struct llmos_command *llmos_command_new(unsigned int cmd, size_t out_size)
{
	struct llmos_command *command;

	if (_IOC_SIZE(cmd) > sizeof(command->arg))
		return NULL;
	command = calloc(1, sizeof(*command));
	if (!command)
		return NULL;
	llmos_list_init(&command->link);
	command->pass_fd = -1;
	command->got_fd = -1;
	if (out_size) {
		command->out = malloc(out_size);
		if (!command->out) {
			free(command);
			return NULL;
		}
		command->out_size = out_size;
	}
	llmos_command_reset(command, cmd);
	return command;
}

void llmos_command_free(struct llmos_command *command)
{
	if (!command)
		return;
	llmos_list_remove(&command->link);
	if (command->pass_fd >= 0)
		close(command->pass_fd);
	if (command->got_fd >= 0)
		close(command->got_fd);
	free(command->in);
	free(command->out);
	free(command);
}

int llmos_command_pass(struct llmos_command *command, int fd)
{
	command->pass_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return command->pass_fd < 0 ? -errno : 0;
}

void llmos_command_complete(struct llmos_command *command, int result)
{
	llmos_list_remove(&command->link);
	command->result = result;
	command->done = true;
	if (command->on_done)
		command->on_done(command);
	else
		llmos_command_free(command);
}
