// SPDX-License-Identifier: MIT
/*
 * A client that keeps to the contract, in memory that nobody spoils: what it asks for gets to the
 * server and comes back, so that there is something for the others to be hostile to. See stress.h.
 */
#include "stress.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROMPT_BYTES	6000U
#define PATIENCE_US	200000U	/* what an answer may take; with a quota in the way it takes longer */

/* Of one thread. */
static _Thread_local uint8_t prompt[8192], answer[8192];

static struct llm_submit submit_make(struct dice *dice)
{
	static const uint32_t ops[] = { LLM_OP_GENERATE, LLM_OP_GENERATE, LLM_OP_GENERATE,
					LLM_OP_SCORE, LLM_OP_NOP, LLM_OP_MODELS };
	struct llm_submit submit = {
		.size = sizeof(submit),
		.flags = one_in(dice, 4) ? LLM_SUBMIT_EDQUOT : 0,
		.op = ops[roll(dice, 6)],
		.payload = (uintptr_t)prompt,
		.payload_len = roll(dice, PROMPT_BYTES),
		.max_tokens = roll(dice, 200),
	};

	if (submit.op < LLM_OP_CONTROL)
		submit.sched_class = roll(dice, 3);
	if (one_in(dice, 3)) {
		submit.flags |= LLM_SUBMIT_SESSION;
		submit.session = roll_session(dice);
	}
	return submit;
}

static void submit_well(struct dice *dice, int fd)
{
	struct llm_submit submit = submit_make(dice);

	if (stress_called(KIND_SUBMIT, ioctl(fd, LLM_IOC_SUBMIT, &submit)) >= 0)
		known_id(submit.id);
}

/* Pages of its own, let go of at once: they stay pinned for as long as a request needs them. */
static void buffer_well(struct dice *dice, int fd)
{
	const size_t len = ARENA_PAGE * (1 + roll(dice, 4));
	uint8_t *pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct llm_register registration = {
		.size = sizeof(registration),
		.flags = LLM_BUFFER_WRITE,
		.addr = (uintptr_t)pages,
		.len = len,
	};
	struct llm_submit submit = submit_make(dice);
	long r;

	if (pages == MAP_FAILED)
		return;
	r = stress_called(KIND_REGISTER, ioctl(fd, LLM_IOC_REGISTER, &registration));
	munmap(pages, len);
	if (r < 0)
		return;
	known_buffer(registration.buffer);
	submit.flags |= LLM_SUBMIT_BUFFER;
	submit.buffer = registration.buffer;
	submit.payload = roll(dice, (uint32_t)len);
	submit.payload_len = (uint32_t)(len - submit.payload);
	submit.answer_buffer = registration.buffer;
	submit.answer_len = len;
	if (stress_called(KIND_SUBMIT, ioctl(fd, LLM_IOC_SUBMIT, &submit)) >= 0)
		known_id(submit.id);
}

/* Those that requests still use stay. */
static void unregister_well(struct dice *dice, int fd)
{
	struct llm_unregister end = { .size = sizeof(end), .buffer = roll_own_buffer(dice) };
	long r;

	if (!end.buffer)
		return;
	r = stress_called(KIND_UNREGISTER, ioctl(fd, LLM_IOC_UNREGISTER, &end));
	/* ENOENT: the file is another one by now */
	if (!r || r == -ENOENT)
		forget_buffer(end.buffer);
}

/* Return: that was its end, or there is nothing to be had of it. */
static bool read_some(struct dice *dice, int fd, uint64_t id)
{
	struct llm_read read = {
		.size = sizeof(read),
		.flags = LLM_READ_NONBLOCK | (one_in(dice, 3) ? LLM_READ_ALL : 0),
		.id = id,
		.buf = (uintptr_t)answer,
		.buf_len = 1 + roll(dice, sizeof(answer)),
	};

	if (stress_called(KIND_READ, ioctl(fd, LLM_IOC_READ, &read)) < 0)
		return true;
	if (read.out_flags & LLM_READ_END)
		forget_id(id);
	return read.out_flags & LLM_READ_END;
}

/* Whatever has something to read is read, all of it more often than not. */
static void read_well(struct dice *dice, int fd)
{
	struct llm_wait wait = {
		.size = sizeof(wait),
		.flags = LLM_WAIT_NONBLOCK | (one_in(dice, 4) ? LLM_WAIT_END : 0),
	};

	if (stress_called(KIND_WAIT, ioctl(fd, LLM_IOC_WAIT, &wait)) < 0)
		return;
	while (!read_some(dice, fd, wait.id) && !one_in(dice, 8))
		;
}

static void ask_well(struct dice *dice, int fd)
{
	struct llm_submit_read ask = {
		.submit = submit_make(dice),
		.read = { .size = sizeof(ask.read), .flags = LLM_READ_ALL,
			  .buf = (uintptr_t)answer, .buf_len = sizeof(answer) },
	};
	int r;

	ask.submit.size = sizeof(ask);
	if (one_in(dice, 2)) {
		ask.submit.op = LLM_OP_NOP;
		ask.submit.sched_class = LLM_CLASS_NORMAL;
	}
	/* who is kept out by a quota does not wait */
	ask.submit.flags |= LLM_SUBMIT_EDQUOT;
	patience(PATIENCE_US);
	r = ioctl(fd, LLM_IOC_SUBMIT_AND_READ, &ask);
	stress_called(KIND_SUBMIT_READ, r);
	known_id(ask.submit.id);
}

static void cancel_well(struct dice *dice, int fd)
{
	struct llm_cancel cancel = {
		.size = sizeof(cancel),
		.flags = roll(dice, 2) * LLM_CANCEL_FORGET,
		.id = roll_own_id(dice),
	};

	if (cancel.id)
		stress_called(KIND_CANCEL, ioctl(fd, LLM_IOC_CANCEL, &cancel));
}

/* As a shell does it. */
static void file_well(struct dice *dice, int fd)
{
	struct pollfd polls = { fd, POLLIN, 0 };
	ssize_t n;

	if (stress_called(KIND_FILE_WRITE, write(fd, prompt, 1 + roll(dice, PROMPT_BYTES))) < 0 &&
	    one_in(dice, 2))
		return;
	stress_called(KIND_POLL, poll(&polls, 1, one_in(dice, 4) ? 20 : 0));
	for (uint32_t i = 0; i < 4; i++) {
		patience(PATIENCE_US / 10);
		n = read(fd, answer, 1 + roll(dice, sizeof(answer)));
		if (stress_called(KIND_FILE_READ, n) <= 0)
			return;
	}
}

void well_step(struct dice *dice, int fd)
{
	switch (roll(dice, 12)) {
	case 0: case 1: case 2:
		submit_well(dice, fd);
		break;
	case 4:
		buffer_well(dice, fd);
		break;
	case 5: case 6: case 7: case 8:
		read_well(dice, fd);
		break;
	case 9:
		ask_well(dice, fd);
		break;
	case 3:
		unregister_well(dice, fd);
		break;
	case 10:
		cancel_well(dice, fd);
		break;
	default:
		file_well(dice, fd);
	}
}
