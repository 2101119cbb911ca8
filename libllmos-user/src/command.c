/* SPDX-License-Identifier: MIT */
/*
 * A command on its way to the broker: made by requests and listings, carried by a transport, owned
 * by its maker except between start and completion.
 */
#include <stdlib.h>
#include <string.h>

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
	free(command->in);
	free(command->out);
	free(command);
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
