// SPDX-License-Identifier: MIT
/*
 * limits [-t THREADS]: what the machine itself can do, for figures to be measured against. On
 * command, as llmos_bench -c: a line "read" is answered by the bytes a second that all threads
 * together read of a buffer that no cache holds; "fma", "int8", "bf16", "amx-int8" and "amx-bf16" by
 * the operations a second (a multiplication and an addition are two) of a loop that does nothing
 * else, or 0 where the processor has no such instructions. "ready" and the kinds that there are come
 * first.
 *
 * The loops are assembly: a compiler would see that nothing comes of them.
 */
#include <cpuid.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX	256U
#define READ_BYTES	((size_t)512 << 20)
#define READ_STEP	256
#define COMPUTE_RUNS	8000000U	/* some tens of milliseconds */
#define AMX_RUNS	1000000U
#define CHAINS		12	/* sums at once: more than any unit has steps */

#define ARCH_REQ_XCOMP_PERM	0x1023
#define XFEATURE_XTILEDATA	18

enum kind { KIND_READ, KIND_FMA, KIND_INT8, KIND_BF16, KIND_AMX_INT8, KIND_AMX_BF16, KIND_COUNT };

static const char *const kind_names[] = {
	"read", "fma", "int8", "bf16", "amx-int8", "amx-bf16",
};

static bool kind_there[KIND_COUNT];
static bool has_avx512;

/** struct job - of one thread */
struct job {
	pthread_t id;
	pthread_barrier_t *start;
	enum kind kind;
	uint8_t *data;
	size_t bytes;
};

/* ---- what there is ---- */

static uint64_t xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void find_kinds(void)
{
	uint32_t eax, ebx, ecx, edx, unused;
	uint64_t saved;

	kind_there[KIND_READ] = true;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) || !(ecx & bit_FMA))
		return;
	saved = xcr0();
	kind_there[KIND_FMA] = (saved & 0x06) == 0x06;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return;
	has_avx512 = (ebx & bit_AVX512F) && (saved & 0xe6) == 0xe6;
	kind_there[KIND_INT8] = has_avx512 && (ecx & bit_AVX512VNNI);
	if ((saved & 0x60000) == 0x60000 &&
	    !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)) {
		kind_there[KIND_AMX_BF16] = edx & (1U << 22);
		kind_there[KIND_AMX_INT8] = edx & (1U << 25);
	}
	if (__get_cpuid_count(7, 1, &eax, &unused, &ecx, &edx))
		kind_there[KIND_BF16] = has_avx512 && (eax & (1U << 5));
}

/* ---- loops ---- */

#define LOOP_OF_12(op, reg)                                                                        \
	__asm__ volatile("1:\n\t"                                                                  \
			 op " %%" reg "0, %%" reg "1, %%" reg "4\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "5\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "6\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "7\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "8\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "9\n\t"                              \
			 op " %%" reg "0, %%" reg "1, %%" reg "10\n\t"                             \
			 op " %%" reg "0, %%" reg "1, %%" reg "11\n\t"                             \
			 op " %%" reg "0, %%" reg "1, %%" reg "12\n\t"                             \
			 op " %%" reg "0, %%" reg "1, %%" reg "13\n\t"                             \
			 op " %%" reg "0, %%" reg "1, %%" reg "14\n\t"                             \
			 op " %%" reg "0, %%" reg "1, %%" reg "15\n\t"                             \
			 "dec %0\n\t"                                                              \
			 "jnz 1b"                                                                  \
			 : "+r"(runs)                                                              \
			 :                                                                         \
			 : "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",       \
			   "xmm12", "xmm13", "xmm14", "xmm15", "cc")

/* zeros: neither a subnormal nor an infinity may slow it down */
static void clear_registers(void)
{
	__asm__ volatile("vzeroall"
			 :
			 :
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void loop_read(const uint8_t *p, size_t bytes)
{
	const uint8_t *end = p + bytes;

	__asm__ volatile("1:\n\t"
			 "prefetcht1 4096(%0)\n\t"
			 "prefetcht1 4160(%0)\n\t"
			 "prefetcht1 4224(%0)\n\t"
			 "prefetcht1 4288(%0)\n\t"
			 "movdqa (%0), %%xmm0\n\t"
			 "movdqa 64(%0), %%xmm1\n\t"
			 "movdqa 128(%0), %%xmm2\n\t"
			 "movdqa 192(%0), %%xmm3\n\t"
			 "add %2, %0\n\t"
			 "cmp %1, %0\n\t"
			 "jb 1b"
			 : "+r"(p)
			 : "r"(end), "i"(READ_STEP)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "cc", "memory");
}

static void loop_fma(void)
{
	uint64_t runs = COMPUTE_RUNS;

	if (has_avx512)
		LOOP_OF_12("vfmadd231ps", "zmm");
	else
		LOOP_OF_12("vfmadd231ps", "ymm");
}

static void loop_int8(void)
{
	uint64_t runs = COMPUTE_RUNS;

	LOOP_OF_12("vpdpbusd", "zmm");
}

static void loop_bf16(void)
{
	uint64_t runs = COMPUTE_RUNS;

	LOOP_OF_12("vdpbf16ps", "zmm");
}

/* all eight tiles: 16 rows of 64 bytes */
static void tiles_open(void)
{
	struct {
		uint8_t palette, start_row, zero[14];
		uint16_t row_bytes[16];
		uint8_t rows[16];
	} config = { .palette = 1 };

	_Static_assert(sizeof(config) == 64, "what ldtilecfg reads");
	for (int i = 0; i < 8; i++) {
		config.row_bytes[i] = 64;
		config.rows[i] = 16;
	}
	__asm__ volatile("ldtilecfg %0\n\t"
			 "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"
			 "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7"
			 :
			 : "m"(config));
}

#define LOOP_OF_4(op)                                                                              \
	__asm__ volatile("1:\n\t"                                                                  \
			 op " %%tmm6, %%tmm4, %%tmm0\n\t"                                          \
			 op " %%tmm7, %%tmm4, %%tmm1\n\t"                                          \
			 op " %%tmm6, %%tmm5, %%tmm2\n\t"                                          \
			 op " %%tmm7, %%tmm5, %%tmm3\n\t"                                          \
			 "dec %0\n\t"                                                              \
			 "jnz 1b\n\t"                                                              \
			 "tilerelease"                                                             \
			 : "+r"(runs)                                                              \
			 :                                                                         \
			 : "cc")

static void loop_amx(bool is_int8)
{
	uint64_t runs = AMX_RUNS;

	tiles_open();
	if (is_int8)
		LOOP_OF_4("tdpbssd");
	else
		LOOP_OF_4("tdpbf16ps");
}

/* ---- threads ---- */

/* bytes or operations of one job */
static double job_work(const struct job *job)
{
	const double sums = has_avx512 ? 16 : 8;

	switch (job->kind) {
	case KIND_READ:
		return (double)job->bytes;
	case KIND_FMA:
		return 2.0 * sums * CHAINS * COMPUTE_RUNS;
	case KIND_INT8:
		return 2.0 * 64 * CHAINS * COMPUTE_RUNS;
	case KIND_BF16:
		return 2.0 * 32 * CHAINS * COMPUTE_RUNS;
	case KIND_AMX_INT8:
		return 2.0 * 16 * 16 * 64 * 4 * AMX_RUNS;
	default:
		return 2.0 * 16 * 16 * 32 * 4 * AMX_RUNS;
	}
}

static void *job_main(void *arg)
{
	struct job *job = arg;

	if (job->kind != KIND_READ)
		clear_registers();
	pthread_barrier_wait(job->start);
	switch (job->kind) {
	case KIND_READ:
		loop_read(job->data, job->bytes);
		break;
	case KIND_FMA:
		loop_fma();
		break;
	case KIND_INT8:
		loop_int8();
		break;
	case KIND_BF16:
		loop_bf16();
		break;
	default:
		loop_amx(job->kind == KIND_AMX_INT8);
		break;
	}
	return NULL;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* work a second of all threads, until the last one is ready */
static double measure(enum kind kind, unsigned int threads, uint8_t *data)
{
	const size_t share = READ_BYTES / threads / READ_STEP * READ_STEP;
	struct job jobs[THREADS_MAX];
	pthread_barrier_t start;
	double seconds, work = 0;

	pthread_barrier_init(&start, NULL, threads + 1);
	for (unsigned int i = 0; i < threads; i++) {
		jobs[i] = (struct job){
			.start = &start, .kind = kind, .data = data + i * share, .bytes = share,
		};
		if (pthread_create(&jobs[i].id, NULL, job_main, &jobs[i])) {
			fprintf(stderr, "limits: cannot start %u threads\n", threads);
			exit(EXIT_FAILURE);
		}
		work += job_work(&jobs[i]);
	}
	pthread_barrier_wait(&start);
	seconds = now_s();
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(jobs[i].id, NULL);
	seconds = now_s() - seconds;
	pthread_barrier_destroy(&start);
	return work / seconds;
}

static double answer(const char *line, unsigned int threads, uint8_t *data)
{
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++)
		if (!strncmp(line, kind_names[kind], strcspn(line, "\n")) && kind_there[kind])
			return measure(kind, threads, data);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int threads = 1;
	uint8_t *data;
	char line[64];
	int c;

	while ((c = getopt(argc, argv, "t:")) != -1) {
		if (c != 't')
			return 64;
		threads = (unsigned int)strtoul(optarg, NULL, 10);
	}
	if (optind != argc || !threads || threads > THREADS_MAX) {
		fprintf(stderr, "usage: limits [-t THREADS]\n");
		return 64;
	}
	data = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED) {
		perror("limits: memory to read");
		return EXIT_FAILURE;
	}
	/* small pages would be read slower than packed weights are, and flatter those */
	(void)madvise(data, READ_BYTES, MADV_HUGEPAGE);
	/* zeros that were never written are all one page */
	memset(data, 1, READ_BYTES);
	find_kinds();
	printf("ready");
	for (unsigned int kind = 0; kind < KIND_COUNT; kind++)
		if (kind_there[kind])
			printf(" %s", kind_names[kind]);
	printf("\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("%.6e\n", answer(line, threads, data));
		fflush(stdout);
	}
	munmap(data, READ_BYTES);
	return 0;
}
