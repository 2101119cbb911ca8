// SPDX-License-Identifier: MIT
/*
 * Commands as the dice have them: mostly well-formed, so that they get far, and then with a few
 * bits wrong. See stress.h.
 */
#include "stress.h"

#include <string.h>

static struct llm_submit submit_roll(struct dice *dice)
{
	static const uint32_t ops[] = { LLM_OP_GENERATE, LLM_OP_GENERATE, LLM_OP_GENERATE,
		LLM_OP_SCORE, LLM_OP_NOP, LLM_OP_TOKENIZE, LLM_OP_MODELS, 200 };
	struct llm_submit submit = {
		.size = sizeof(submit),
		.flags = one_in(dice, 3) ? roll(dice, 64) : 0,
		.op = ops[roll(dice, 8)],
		.payload_type = roll(dice, LLM_PAYLOAD_MAX + 1),
		.payload = roll_address(dice),
		.payload_len = one_in(dice, 20) ? (uint32_t)roll_number(dice) : roll(dice, 9000),
		.max_tokens = roll(dice, 100),
	};

	submit.flags &= ~(LLM_SUBMIT_FILE | LLM_SUBMIT_BUFFER);
	if (one_in(dice, 6)) {
		submit.flags |= LLM_SUBMIT_BUFFER;
		submit.buffer = roll_buffer(dice);
		submit.payload = one_in(dice, 8) ? roll_number(dice) : roll(dice, 4096);
	}
	if (one_in(dice, 10)) {
		submit.answer_buffer = roll_buffer(dice);
		submit.answer_offset = one_in(dice, 8) ? roll_number(dice) : roll(dice, 4096);
		submit.answer_len = one_in(dice, 8) ? roll_number(dice) : roll(dice, 4096);
	}
	if (submit.op < LLM_OP_CONTROL)
		submit.sched_class = roll(dice, 3);
	if (one_in(dice, 3)) {
		submit.flags |= LLM_SUBMIT_SESSION;
		submit.session = roll_session(dice);
	}
	if (one_in(dice, 8)) {
		submit.stop = roll_address(dice);
		submit.stop_len = roll(dice, 40);
	}
	return submit;
}

static struct llm_read read_roll(struct dice *dice, uint64_t id)
{
	return (struct llm_read){
		.size = sizeof(struct llm_read),
		.flags = one_in(dice, 4) ? roll(dice, 4) : LLM_READ_NONBLOCK,
		.id = id,
		.buf = roll_address(dice),
		.buf_len = one_in(dice, 20) ? (uint32_t)roll_number(dice) : roll(dice, 8192),
	};
}

static struct llm_register register_roll(struct dice *dice)
{
	struct llm_register registration = {
		.size = sizeof(registration),
		.flags = roll(dice, 2) * LLM_BUFFER_WRITE,
		.addr = roll_address(dice) & ~(ARENA_PAGE - 1ULL),
		.len = ARENA_PAGE * (1 + roll(dice, 8)),
	};

	if (one_in(dice, 3)) {
		/* of whatever kind that file is */
		registration.flags |= LLM_BUFFER_MEMFD;
		registration.fd = (int)roll(dice, 40);
		registration.addr = ARENA_PAGE * roll(dice, 4);
	}
	if (one_in(dice, 16))
		registration.addr = roll_number(dice);
	if (one_in(dice, 16))
		registration.len = roll_number(dice);
	return registration;
}

unsigned int command_client(struct dice *dice, union command *command, enum stress_kind *ret_kind)
{
	unsigned int cmd;

	memset(command, 0, sizeof(*command));
	switch (roll(dice, 19)) {
	case 18:
		cmd = LLM_IOC_SESSION;
		command->session = session_roll(dice);
		*ret_kind = KIND_SESSION;
		break;
	case 16:
		cmd = LLM_IOC_REGISTER;
		command->registration = register_roll(dice);
		*ret_kind = KIND_REGISTER;
		break;
	case 17:
		cmd = LLM_IOC_UNREGISTER;
		command->unregistration.size = sizeof(command->unregistration);
		command->unregistration.buffer = roll_buffer(dice);
		*ret_kind = KIND_UNREGISTER;
		break;
	case 0:
		cmd = LLM_IOC_GET_FEATURES;
		command->size = sizeof(command->features);
		*ret_kind = KIND_FEATURES;
		break;
	case 1: case 2: case 3: case 4:
		cmd = LLM_IOC_SUBMIT;
		command->submit = submit_roll(dice);
		*ret_kind = KIND_SUBMIT;
		break;
	case 5: case 6: case 7: case 8:
		cmd = LLM_IOC_READ;
		command->read = read_roll(dice, roll_id(dice));
		*ret_kind = KIND_READ;
		break;
	case 9: case 10:
		cmd = LLM_IOC_SUBMIT_AND_READ;
		command->submit_read.submit = submit_roll(dice);
		command->submit_read.submit.size = sizeof(command->submit_read);
		command->submit_read.read = read_roll(dice, 0);
		*ret_kind = KIND_SUBMIT_READ;
		break;
	case 11: case 12:
		cmd = LLM_IOC_CANCEL;
		command->cancel = (struct llm_cancel){ sizeof(command->cancel),
			one_in(dice, 20) ? LLM_CANCEL_ALL : roll(dice, 2) * LLM_CANCEL_FORGET,
			0, { 0 } };
		if (!(command->cancel.flags & LLM_CANCEL_ALL))
			command->cancel.id = roll_id(dice);
		*ret_kind = KIND_CANCEL;
		break;
	case 13: case 14:
		cmd = LLM_IOC_WAIT;
		command->wait = (struct llm_wait){
			.size = sizeof(command->wait),
			.flags = roll(dice, 4),
			.id = one_in(dice, 2) ? 0 : roll_id(dice),
			.deadline_ns = roll_number(dice),
		};
		*ret_kind = KIND_WAIT;
		break;
	default:
		cmd = LLM_IOC_LIST;
		command->list = (struct llm_list){
			.size = sizeof(command->list),
			.buf = roll_address(dice),
			.entry_size = one_in(dice, 4) ? roll(dice, 300) :
							sizeof(struct llm_request_info),
			.capacity = roll(dice, 40),
			.cursor = one_in(dice, 2) ? 0 : roll_id(dice),
		};
		*ret_kind = KIND_LIST;
	}
	if (one_in(dice, 5))
		spoil(dice, command, command->size < sizeof(*command) && command->size ?
				     command->size : sizeof(*command));
	return cmd;
}

static void commit_roll(struct dice *dice, struct llm_commit *commit)
{
	*commit = (struct llm_commit){
		.size = sizeof(*commit),
		.flags = one_in(dice, 3) ? LLM_COMMIT_END : 0,
		.id = roll_id(dice),
		.data = roll_address(dice),
		.data_len = one_in(dice, 20) ? (uint32_t)roll_number(dice) : roll(dice, 4000),
		.journal = roll_address(dice),
		.journal_len = one_in(dice, 2) ? 0 : roll(dice, 500),
		.compute_ns = roll_number(dice),
		/* far ones make later honest ones go backwards */
		.prompt_tokens = one_in(dice, 50) ? (uint32_t)roll_number(dice) : roll(dice, 50),
		.output_tokens = one_in(dice, 50) ? (uint32_t)roll_number(dice) : roll(dice, 50),
	};
	if (one_in(dice, 8))
		commit->answer_bytes = roll(dice, 5000);
	if (commit->flags & LLM_COMMIT_END && one_in(dice, 3))
		commit->status = -(int)roll(dice, 600);
	if (one_in(dice, 4)) {
		commit->session = roll_address(dice);
		commit->session_len = one_in(dice, 20) ? (uint32_t)roll_number(dice) :
						       roll(dice, 9000);
		commit->session_tokens = roll(dice, 100);
	}
}

unsigned int command_server(struct dice *dice, union command *command, enum stress_kind *ret_kind)
{
	unsigned int cmd;

	memset(command, 0, sizeof(*command));
	switch (roll(dice, 16)) {
	case 0: case 1: case 2: case 3: case 4: case 5:
		cmd = LLM_IOC_FETCH;
		command->fetch = (struct llm_fetch){
			.size = sizeof(command->fetch),
			.flags = (1 + roll(dice, 7)) | (one_in(dice, 8) ? 0 : LLM_FETCH_NONBLOCK),
			.buf = roll_address(dice),
			.buf_len = (uint32_t)sizeof(struct llm_event) + roll(dice, 8000),
		};
		*ret_kind = KIND_FETCH;
		break;
	case 6: case 7: case 8: case 9:
		cmd = LLM_IOC_COMMIT;
		commit_roll(dice, &command->commit);
		*ret_kind = KIND_COMMIT;
		break;
	case 10:
		cmd = LLM_IOC_COMMIT_AND_FETCH;
		commit_roll(dice, &command->commit);
		command->commit.flags = LLM_COMMIT_END;
		command->commit.fetch_buf = roll_address(dice);
		command->commit.fetch_len = (uint32_t)sizeof(struct llm_event) + roll(dice, 8000);
		command->commit.fetch_flags = (1 + roll(dice, 7)) | LLM_FETCH_NONBLOCK;
		*ret_kind = KIND_COMMIT;
		break;
	case 11:
		cmd = LLM_IOC_PULL;
		command->pull = (struct llm_pull){
			.size = sizeof(command->pull),
			.id = roll_id(dice),
			.buf = roll_address(dice),
			.buf_len = roll(dice, 9000),
			.offset = roll(dice, 9000),
		};
		*ret_kind = KIND_PULL;
		break;
	case 12:
		cmd = LLM_IOC_SETUP;
		command->setup = (struct llm_setup){
			.size = sizeof(command->setup),
			.slots = roll(dice, 6),
			.sequences = roll(dice, 12),
			.regions = one_in(dice, 4) ? roll_address(dice) : 0,
		};
		command->setup.region_count = command->setup.regions ? roll(dice, 9) : 0;
		*ret_kind = KIND_SETUP;
		break;
	default:
		cmd = one_in(dice, 3) ? LLM_IOC_UNCHARGE : LLM_IOC_CHARGE;
		command->charge = (struct llm_charge){
			.size = sizeof(command->charge),
			.flags = cmd == LLM_IOC_CHARGE ? roll(dice, 2) : 0,
			.id = roll_id(dice),
			.region = one_in(dice, 8) ? (uint32_t)roll_number(dice) : 0,
			.bytes = one_in(dice, 8) ? roll_number(dice) : 4096 * (1 + roll(dice, 64)),
		};
		*ret_kind = cmd == LLM_IOC_UNCHARGE ? KIND_UNCHARGE :
			    command->charge.flags & LLM_CHARGE_KEEP ? KIND_KEEP : KIND_CHARGE;
	}
	if (one_in(dice, 6))
		spoil(dice, command, command->size < sizeof(*command) && command->size ?
				     command->size : sizeof(*command));
	return cmd;
}

void command_took(struct dice *dice, unsigned int cmd, const union command *command)
{
	if (cmd == LLM_IOC_SUBMIT)
		known_id(command->submit.id);
	else if (cmd == LLM_IOC_SUBMIT_AND_READ)
		known_id(command->submit_read.submit.id);
	else if (cmd == LLM_IOC_REGISTER)
		known_buffer(command->registration.buffer);
	else if (cmd == LLM_IOC_SESSION &&
		 !(command->session.flags & (LLM_SESSION_SEAL | LLM_SESSION_INFO)))
		known_session(dice, command->session.fd);
	else if (cmd == LLM_IOC_FETCH)
		holder_leave(command->fetch.buf);
	else if (cmd == LLM_IOC_COMMIT_AND_FETCH)
		holder_leave(command->commit.fetch_buf);
}
