/* SPDX-License-Identifier: MIT */
/*
 * llmctl status and version.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "llmctl.h"
#include "table.h"
#include "term.h"

/* names as in struct llmos_status; without a server that answers, version is null */
static int status_print_json(const struct llmos *llmos, const struct llmos_status *status)
{
	struct json json = { 0 };

	json_object(&json, NULL);
	json_string(&json, "address", llmos_address(llmos));
	json_number(&json, "abi_version", status->abi_version);
	json_number(&json, "server_pid", status->server_pid);
	json_number(&json, "requests", status->requests);
	json_number(&json, "max_requests", status->max_requests);
	json_number(&json, "submitted", status->submitted);
	json_number(&json, "ended", status->ended);
	json_number(&json, "recovered", status->recovered);
	json_number(&json, "cancelled", status->cancelled);
	if (*status->version)
		json_string(&json, "version", status->version);
	else
		json_null(&json, "version");
	json_string(&json, "isa", status->isa);
	json_number(&json, "start_ns", status->start_ns);
	json_number(&json, "steps", status->steps);
	json_number(&json, "step_ns", status->step_ns);
	json_number(&json, "step_max_ns", status->step_max_ns);
	json_number(&json, "prompt_tokens", status->prompt_tokens);
	json_number(&json, "output_tokens", status->output_tokens);
	json_number(&json, "server_ended", status->server_ended);
	json_number(&json, "server_failed", status->server_failed);
	json_number(&json, "server_cancelled", status->server_cancelled);
	json_number(&json, "server_recovered", status->server_recovered);
	json_number(&json, "cancel_steps_max", status->cancel_steps_max);
	json_number(&json, "slots", status->slots);
	json_number(&json, "slots_busy", status->slots_busy);
	json_number(&json, "kv_pages", status->kv_pages);
	json_number(&json, "kv_pages_used", status->kv_pages_used);
	json_number(&json, "threads", status->threads);
	json_number(&json, "models_loaded", status->models_loaded);
	json_number(&json, "kv_pages_kept", status->kv_pages_kept);
	json_number(&json, "kv_pages_swapped", status->kv_pages_swapped);
	json_number(&json, "reused_tokens", status->reused_tokens);
	json_number(&json, "swap_bytes", status->swap_bytes);
	json_number(&json, "swapped_out", status->swapped_out);
	json_number(&json, "swapped_in", status->swapped_in);
	json_number(&json, "swap_failed", status->swap_failed);
	json_number(&json, "grammar_bytes", status->grammar_bytes);
	json_number(&json, "reading_ns", status->reading_ns);
	if (*status->reading)
		json_string(&json, "reading", status->reading);
	else
		json_null(&json, "reading");
	json_end_object(&json);
	return json_done(&json);
}

static void status_print_swap(const struct llmos_status *status)
{
	char bytes[16];

	format_units(bytes, status->swap_bytes, 1024);
	printf("swap      %u cache pages on the disk (%s), %llu out, %llu in, %llu failed\n",
	       status->kv_pages_swapped, bytes, (unsigned long long)status->swapped_out,
	       (unsigned long long)status->swapped_in, (unsigned long long)status->swap_failed);
}

static void status_print_grammars(const struct llmos_status *status)
{
	char bytes[16];

	format_units(bytes, status->grammar_bytes, 1024);
	printf("grammars  %s of memory\n", bytes);
}

static uint64_t age_ns(uint64_t since_ns)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
	return now > since_ns ? now - since_ns : 0;
}

/* what takes so long may never end: of a disk that does not answer */
static void status_print_reading(const struct llmos_status *status)
{
	char name[4 * sizeof(status->reading)], age[16];

	term_clean(name, sizeof(name), status->reading, strlen(status->reading));
	format_age(age, age_ns(status->reading_ns));
	printf("reading   '%s', for %s so far\n", name, age);
}

static void status_print_server(const struct llmos_status *status)
{
	double step_ms = status->steps ? (double)status->step_ns / (double)status->steps / 1e6 : 0;
	char age[16], version[4 * sizeof(status->version)], isa[4 * sizeof(status->isa) + 17];

	format_age(age, age_ns(status->start_ns));
	term_clean(version, sizeof(version), status->version, strlen(status->version));
	term_clean(isa, sizeof(isa), status->isa, strlen(status->isa));
	printf("server    llmosd %s, pid %u, up %s, %u threads, %s\n", version,
	       status->server_pid, age, status->threads, *isa ? isa : "scalar");
	printf("models    %u loaded\n", status->models_loaded);
	if (status->reading_ns)
		status_print_reading(status);
	printf("slots     %u of %u busy, %u of %u cache pages used\n", status->slots_busy,
	       status->slots, status->kv_pages_used, status->kv_pages);
	printf("tokens    %llu in, %llu out\n", (unsigned long long)status->prompt_tokens,
	       (unsigned long long)status->output_tokens);
	if (status->reused_tokens || status->kv_pages_kept)
		printf("prefixes  %u cache pages kept, %llu tokens found\n", status->kv_pages_kept,
		       (unsigned long long)status->reused_tokens);
	if (status->kv_pages_swapped || status->swapped_out || status->swap_failed)
		status_print_swap(status);
	if (status->grammar_bytes)
		status_print_grammars(status);
	printf("steps     %llu, %.3f ms each, %.3f ms at most\n",
	       (unsigned long long)status->steps, step_ms, (double)status->step_max_ns / 1e6);
	printf("answers   %llu: %llu failed, %llu cancelled, %llu taken over\n",
	       (unsigned long long)status->server_ended,
	       (unsigned long long)status->server_failed,
	       (unsigned long long)status->server_cancelled,
	       (unsigned long long)status->server_recovered);
}

static int status_print(const struct llmos *llmos, const struct llmos_status *status)
{
	char address[512];

	term_clean(address, sizeof(address), llmos_address(llmos), strlen(llmos_address(llmos)));
	printf("address   %s (version %u)\n", address, status->abi_version);
	printf("requests  %u of %u; %llu ever, %llu ended, %llu cancelled, %llu recovered\n",
	       status->requests, status->max_requests, (unsigned long long)status->submitted,
	       (unsigned long long)status->ended, (unsigned long long)status->cancelled,
	       (unsigned long long)status->recovered);
	if (*status->version)
		status_print_server(status);
	else if (status->server_pid)
		printf("server    pid %u, does not answer\n", status->server_pid);
	else
		puts("server    none");
	return term_flush();
}

/* a broker without a server that answers can only make requests wait: say so to scripts too */
int cmd_status(struct options *options, int argc, char **argv)
{
	struct llmos_status status = { .size = sizeof(status) };
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	int code, r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	r = llmos_get_status(llmos, &status);
	if (r < 0)
		return fail_llmos(llmos, r);
	r = options->json ? status_print_json(llmos, &status) : status_print(llmos, &status);
	if (r < 0)
		return fail(EX_IOERR, "write: %s", strerror(-r));
	return *status.version ? EX_OK : EX_UNAVAILABLE;
}

int cmd_version(struct options *options, int argc, char **argv)
{
	struct json json = { 0 };
	int r;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	if (options->json) {
		json_object(&json, NULL);
		json_string(&json, "llmctl", LLMOS_VERSION);
		json_string(&json, "libllmos", llmos_version());
		json_end_object(&json);
		r = json_done(&json);
	} else {
		printf("llmctl %s (libllmos %s)\n", LLMOS_VERSION, llmos_version());
		r = term_flush();
	}
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}
