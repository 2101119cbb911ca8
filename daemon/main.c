/* SPDX-License-Identifier: MIT */
/*
 * llmosd: the server that runs the models. Reads its configuration, opens its doors (the device
 * and sockets), gives up its privileges, and turns the loop: events, one step, commits. What it holds
 * it could lose at any moment: the broker keeps the requests.
 */
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "ipc/device.h"
#include "ipc/loop.h"
#include "ipc/socket.h"
#include "sched/guard.h"
#include "sched/sched.h"

#define DEVICE_PATH		"/dev/llmd"
#define DEVICE_PATIENCE_NS	(10 * NS_PER_S)
#define LOAD_TIMEOUT_US		"1800000000"	/* a large model from a slow disk */
#define STATUS_INTERVAL_NS	(5 * NS_PER_S)

#define END_PATIENCE_S		5	/* of TimeoutStopSec=10s in llmosd.service */

#define EXIT_USAGE		64
#define EXIT_CONFIG		78

struct daemon {
	struct config config;
	const char *config_path;	/* NULL: the usual one, which may be missing */
	bool device_asked;		/* on the command line */
	bool listen_asked;
	struct loop *loop;
	struct sched *sched;
	struct device *device;
	struct socket_server *server;
	struct loop_source signals;
	struct loop_source sched_news;
	struct loop_timer watchdog;
	struct loop_timer status;
	struct loop_timer retry;
	uint64_t watchdog_ns;		/* how often to show life, 0: nobody looks */
	int ending;			/* the signal that said so */
	char pack_cache[PATH_MAX];	/* that "auto" found */
	char swap_folder[PATH_MAX];
};

/* ---- the command line ---- */

static const char usage[] =
	"Usage: llmosd [OPTION]...\n"
	"Serve the language models of a folder to the processes of this machine.\n"
	"\n"
	"  --models=DIR         folder of the models (/var/lib/llmos/models)\n"
	"  --adapters=DIR       folder of the adapters (adapters in that of the models)\n"
	"  --listen=unix:PATH   serve on this Unix socket (may be given again)\n"
	"  --device=PATH        serve /dev/llm through this device; auto, none\n"
	"  --default-model=NAME model of requests that name none\n"
	"  --preload=yes        load the default model at start\n"
	"  --threads=N          that compute (one for each processor)\n"
	"  --slots=N            requests stepped at once (16)\n"
	"  --sequences=N        requests that keep their place in the cache (four a slot)\n"
	"  --order=ORDER        fair, or arrival: whoever began goes on to the end\n"
	"  --batch-tokens=N     tokens of one step at most (128)\n"
	"  --step-ms=N          milliseconds that prompts may make a step last (100)\n"
	"  --draft-tokens=N     guessed ahead from the text itself, at most (8); 0: none\n"
	"  --draft-model=NAME   smaller model that guesses where the text does not\n"
	"  --context=N          tokens of one request at most (as the model says)\n"
	"  --kv-type=TYPE       auto, f32, f16, q8_0, q4_0\n"
	"  --model-memory=BYTES all loaded models together; who is idle longest goes (K, M, G)\n"
	"  --kv-memory=BYTES    key-value cache of each model (K, M, G)\n"
	"  --prefix-cache=no    compute each prompt anew, though it begins as an earlier one\n"
	"  --prefix-memory=SIZE of each cache, kept at most for that: bytes, or 50%\n"
	"  --grammar-memory=BYTES  of all grammars that answers are held to (256M)\n"
	"  --pack-cache=DIR     folder that keeps packed weights for the next start; auto, no\n"
	"  --pack-cache-size=BYTES  they may take there (a quarter of the file system)\n"
	"  --swap-size=BYTES    of each cache, written to the disk rather than lost (0)\n"
	"  --swap-folder=DIR    where\n"
	"  --isa=NAME           instruction set to use at most\n"
	"  --user=NAME          become this user once everything is open\n"
	"  --log-level=LEVEL    error, warning, notice, info, debug\n"
	"  --config=FILE        configuration file (" CONFIG_PATH ")\n"
	"  --help, --version\n"
	"\n"
	"See llmosd(8) and llmosd.conf(5).\n";

enum { OPTION_KEY = 1, OPTION_CONFIG, OPTION_HELP, OPTION_VERSION };

static const struct option options[] = {
	{ "models", required_argument, NULL, OPTION_KEY },
	{ "adapters", required_argument, NULL, OPTION_KEY },
	{ "listen", required_argument, NULL, OPTION_KEY },
	{ "device", required_argument, NULL, OPTION_KEY },
	{ "default-model", required_argument, NULL, OPTION_KEY },
	{ "preload", required_argument, NULL, OPTION_KEY },
	{ "threads", required_argument, NULL, OPTION_KEY },
	{ "slots", required_argument, NULL, OPTION_KEY },
	{ "sequences", required_argument, NULL, OPTION_KEY },
	{ "order", required_argument, NULL, OPTION_KEY },
	{ "batch-tokens", required_argument, NULL, OPTION_KEY },
	{ "step-ms", required_argument, NULL, OPTION_KEY },
	{ "draft-tokens", required_argument, NULL, OPTION_KEY },
	{ "draft-model", required_argument, NULL, OPTION_KEY },
	{ "context", required_argument, NULL, OPTION_KEY },
	{ "kv-type", required_argument, NULL, OPTION_KEY },
	{ "model-memory", required_argument, NULL, OPTION_KEY },
	{ "kv-memory", required_argument, NULL, OPTION_KEY },
	{ "prefix-cache", required_argument, NULL, OPTION_KEY },
	{ "prefix-memory", required_argument, NULL, OPTION_KEY },
	{ "grammar-memory", required_argument, NULL, OPTION_KEY },
	{ "pack-cache", required_argument, NULL, OPTION_KEY },
	{ "pack-cache-size", required_argument, NULL, OPTION_KEY },
	{ "swap-size", required_argument, NULL, OPTION_KEY },
	{ "swap-folder", required_argument, NULL, OPTION_KEY },
	{ "isa", required_argument, NULL, OPTION_KEY },
	{ "user", required_argument, NULL, OPTION_KEY },
	{ "log-level", required_argument, NULL, OPTION_KEY },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* --batch-tokens is the key batch_tokens */
static int option_set(struct daemon *daemon, const char *option, const char *value)
{
	struct config *config = &daemon->config;
	struct error error = { "" };
	char key[32];
	size_t i;

	snprintf(key, sizeof(key), "%s", option);
	for (i = 0; key[i]; i++)
		if (key[i] == '-')
			key[i] = '_';
	/* the command line's sockets replace the file's */
	if (!strcmp(key, "listen") && !daemon->listen_asked) {
		daemon->listen_asked = true;
		config->listen_count = 0;
	}
	daemon->device_asked |= !strcmp(key, "device");
	if (config_set(config, key, value, &error) < 0) {
		log_error("--%s: %s", option, error.text);
		return EXIT_USAGE;
	}
	return 0;
}

/*
 * One pass over the command line: for the file and what needs none, or for the keys. Return: 0 go
 * on, -1 nothing more to do, else the exit status.
 */
static int parse_options(struct daemon *daemon, int argc, char **argv, bool keys)
{
	int option, index, status = 0;

	optind = 1;
	opterr = keys ? 0 : 1;
	while (!status && (option = getopt_long(argc, argv, "", options, &index)) != -1) {
		switch (option) {
		case OPTION_KEY:
			if (keys)
				status = option_set(daemon, options[index].name, optarg);
			break;
		case OPTION_CONFIG:
			daemon->config_path = optarg;
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			return -1;
		case OPTION_VERSION:
			puts("llmosd " LLMOS_VERSION);
			return -1;
		default:
			return EXIT_USAGE;
		}
	}
	if (!status && optind < argc) {
		log_error("unexpected argument '%s'", argv[optind]);
		return EXIT_USAGE;
	}
	return status;
}

static int configure(struct daemon *daemon, int argc, char **argv)
{
	struct config *config = &daemon->config;
	struct error error = { "" };
	int r;

	config_init(config);
	r = parse_options(daemon, argc, argv, false);
	if (r)
		return r;
	r = config_read(config, daemon->config_path ? daemon->config_path : CONFIG_PATH, &error);
	if (r < 0 && (r != -ENOENT || daemon->config_path)) {
		log_error("%s", error.text);
		return EXIT_CONFIG;
	}
	r = parse_options(daemon, argc, argv, true);
	if (r)
		return r;
	/* who asks for a socket alone gets no device */
	if (daemon->listen_asked && !daemon->device_asked)
		strcpy(config->device, "none");
	log_open(config->log_level);
	return 0;
}

/* ---- doors ---- */

static bool by_arrival(const struct config *config)
{
	return !strcmp(config->order, "arrival");
}

static int open_device(struct daemon *daemon, const struct sched_config *sched,
		       struct error *error)
{
	const struct config *config = &daemon->config;
	bool automatic = !strcmp(config->device, "auto");
	const struct device_config device_config = {
		.path = automatic ? DEVICE_PATH : config->device,
		.slots = sched->slots,
		.sequences = sched->engine.max_seqs,
		.by_arrival = by_arrival(config),
		.patience_ns = DEVICE_PATIENCE_NS,
	};
	int r;

	if (!strcmp(config->device, "none"))
		return 0;
	r = device_open(&daemon->device, daemon->loop, NULL, &device_config, error);
	/* not there, or not for us: sockets may do */
	if (automatic && (r == -ENOENT || r == -EACCES || r == -ENXIO || r == -ENODEV))
		return 0;
	return r;
}

static int open_sockets(struct daemon *daemon, const struct sched_config *sched,
			struct error *error)
{
	const struct config *config = &daemon->config;
	unsigned int i;
	int r, fd, passed;

	r = socket_server_new(&daemon->server, daemon->loop, NULL);
	if (r < 0)
		return error_set(error, r, "sockets: %s", strerror(-r));
	if (!by_arrival(config))
		socket_server_set_slots(daemon->server, sched->slots, sched->engine.max_seqs);
	passed = sd_listen_fds(1);
	if (passed < 0)
		return error_set(error, passed, "sockets from the service manager: %s",
				 strerror(-passed));
	for (fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + passed; fd++) {
		r = socket_server_adopt(daemon->server, fd, error);
		if (r < 0)
			return r;
	}
	for (i = 0; i < config->listen_count; i++) {
		r = socket_server_listen(daemon->server, config->listen[i], error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_doors(struct daemon *daemon, const struct sched_config *sched, struct error *error)
{
	struct error why = { "" };
	int r;

	r = open_device(daemon, sched, &why);
	if (r < 0) {
		*error = why;
		return r;
	}
	r = open_sockets(daemon, sched, error);
	if (r < 0)
		return r;
	if (!daemon->device && !socket_server_listeners(daemon->server))
		return error_set(error, -ENOENT, "nothing to serve on: %s%sno --listen",
				 why.text, *why.text ? ", and " : "");
	return 0;
}

/* from here on nothing needs more rights than reading models takes */
static int drop_privileges(const char *user, struct error *error)
{
	const struct passwd *entry;
	int r;

	if (!*user || geteuid())
		return 0;
	errno = 0;
	entry = getpwnam(user);
	if (!entry)
		return error_set(error, errno ? -errno : -ENOENT, "user '%s': %s", user,
				 errno ? strerror(errno) : "there is no such user");
	if (initgroups(user, entry->pw_gid) < 0 ||
	    setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
	    setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0) {
		r = -errno;
		return error_set(error, r, "user '%s': it can not be become: %s", user,
				 strerror(-r));
	}
	if (entry->pw_uid && !setuid(0))
		return error_set(error, -EPERM, "user '%s': root's rights are still there", user);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

/* ---- the service manager ---- */

/* a newline in what others have named would begin another assignment */
static void notify_clean(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < ' ')
			*line = '?';
}

/* told before a model is loaded, and with NULL after: nothing else happens meanwhile */
static void notify_busy(const char *name)
{
	char line[LLM_MODEL_NAME_MAX];
	uint64_t usec = 0;

	if (name) {
		snprintf(line, sizeof(line), "%s", name);
		notify_clean(line);
		sd_notifyf(0, "STATUS=Loading model '%s'\nWATCHDOG_USEC=" LOAD_TIMEOUT_US
			   "\nEXTEND_TIMEOUT_USEC=" LOAD_TIMEOUT_US "\nWATCHDOG=1", line);
	} else if (sd_watchdog_enabled(0, &usec) > 0) {
		sd_notifyf(0, "STATUS=Serving\nWATCHDOG_USEC=%llu\nWATCHDOG=1",
			   (unsigned long long)usec);
	}
}

static void watchdog_fire(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, watchdog);

	sd_notify(0, "WATCHDOG=1");
	loop_timer_set(daemon->loop, timer, clock_ns() + daemon->watchdog_ns);
}

/* before a step and during it, for it may be long */
static void watchdog_progress(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->watchdog_ns &&
	    daemon->watchdog.at_ns < clock_ns() + daemon->watchdog_ns - daemon->watchdog_ns / 4)
		watchdog_fire(&daemon->watchdog);
}

static void status_fire(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, status);
	struct llm_status status;

	sched_fill_status(daemon->sched, &status);
	sd_notifyf(0, "STATUS=Serving: %u of %u slots busy, %u models loaded, %llu tokens made",
		   status.slots_busy, status.slots, status.models_loaded,
		   (unsigned long long)status.output_tokens);
	loop_timer_set(daemon->loop, timer, clock_ns() + STATUS_INTERVAL_NS);
}

static void start_timers(struct daemon *daemon)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) > 0) {
		daemon->watchdog_ns = usec * 1000 / 2;
		watchdog_fire(&daemon->watchdog);
	}
	if (getenv("NOTIFY_SOCKET"))
		status_fire(&daemon->status);
}

/* ---- the loop ---- */

static void signals_ready(struct loop_source *source, uint32_t events)
{
	struct daemon *daemon = container_of(source, struct daemon, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		log_notice("the configuration is read at start only");
	else
		daemon->ending = info.ssi_signo;
}

/* blocked before there are threads, so that each signal comes here */
static int open_signals(struct daemon *daemon, struct error *error)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	daemon->signals.ready = signals_ready;
	daemon->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = daemon->signals.fd < 0 ? -errno :
	    loop_add(daemon->loop, &daemon->signals, EPOLLIN);
	return r < 0 ? error_set(error, r, "signals: %s", strerror(-r)) : 0;
}

/* the next turn of the scheduler does the rest */
static void sched_news_ready(struct loop_source *source, uint32_t events)
{
	struct daemon *daemon = container_of(source, struct daemon, sched_news);

	(void)events;
	sched_heard(daemon->sched);
}

static void retry_fire(struct loop_timer *timer)
{
	(void)timer;		/* the next turn does it */
}

static int serve(struct daemon *daemon)
{
	bool more = true;	/* the first turn parks the FETCHes */
	uint64_t retry_ns;
	int r;

	while (!daemon->ending) {
		r = loop_run(daemon->loop, !more);
		if (r < 0) {
			log_error("event loop: %s", strerror(-r));
			return 1;
		}
		if (daemon->device)
			device_settle(daemon->device);
		watchdog_progress(daemon);
		/* who asked for what there is does not wait for the step */
		socket_server_flush(daemon->server);
		more = sched_step(daemon->sched);
		if (daemon->device)
			device_park(daemon->device);
		socket_server_flush(daemon->server);
		retry_ns = sched_retry_ns(daemon->sched);
		if (retry_ns)
			loop_timer_set(daemon->loop, &daemon->retry, retry_ns);
	}
	log_info("ending on SIG%s", daemon->ending == SIGINT ? "INT" : "TERM");
	return 0;
}

/* ---- start and end ---- */

static int start_sched(struct daemon *daemon, const struct sched_config *sched_config,
		       struct error *error)
{
	const struct config *config = &daemon->config;
	struct ipc *ipc;
	int r;

	r = sched_new(&daemon->sched, sched_config, error);
	if (r < 0)
		return r;
	daemon->sched_news.ready = sched_news_ready;
	daemon->sched_news.fd = sched_fd(daemon->sched);
	r = loop_add(daemon->loop, &daemon->sched_news, EPOLLIN);
	if (r < 0)
		return error_set(error, r, "scheduler: %s", strerror(-r));
	ipc = socket_server_ipc(daemon->server);
	ipc->sink = sched_sink(daemon->sched);
	r = sched_attach(daemon->sched, ipc);
	if (!r && daemon->device) {
		ipc = device_ipc(daemon->device);
		ipc->sink = sched_sink(daemon->sched);
		r = sched_attach(daemon->sched, ipc);
	}
	if (!r && config->preload)
		r = sched_preload(daemon->sched, "", error);
	return r;
}

/*
 * cache_folder() - the folder for packed weights, or for the swap; NULL: none
 *
 * What the service manager gives, or the user's own; a system daemon that was given none has none.
 */
static const char *cache_folder(const char *name, char *buf, size_t size)
{
	const char *given = secure_getenv("CACHE_DIRECTORY"), *home = secure_getenv("HOME");
	const char *user = secure_getenv("XDG_CACHE_HOME");
	int len = -1;

	if (!strcmp(name, "no") || !*name)
		return NULL;
	if (strcmp(name, "auto"))
		return name;
	if (given && *given == '/')
		len = snprintf(buf, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() && user && *user == '/')
		len = snprintf(buf, size, "%s/llmosd", user);
	else if (geteuid() && home && *home == '/')
		len = snprintf(buf, size, "%s/.cache/llmosd", home);
	return len >= 0 && (size_t)len < size ? buf : NULL;
}

static struct sched_config sched_config_of(struct daemon *daemon)
{
	const struct config *config = &daemon->config;
	struct sched_config sched = {
		.engine = {
			.threads = config->threads,
			.isa = strcmp(config->isa, "auto") ? config->isa : NULL,
			.kv_type = config->kv_type,
			.kv_bytes = config->kv_memory,
			.context = config->context,
			.max_seqs = config->sequences,
			.batch_tokens = config->batch_tokens,
			.prefix_bytes = config->prefix_cache ? config->prefix_memory : 0,
			.prefix_percent = config->prefix_cache ? config->prefix_percent : 0,
			.pack_cache = cache_folder(config->pack_cache, daemon->pack_cache,
						   sizeof(daemon->pack_cache)),
			.pack_cache_bytes = config->pack_cache_size,
			.swap_folder = cache_folder(config->swap_folder, daemon->swap_folder,
						    sizeof(daemon->swap_folder)),
			.swap_bytes = config->swap_size,
			.progress = watchdog_progress,
			.progress_arg = daemon,
		},
		.slots = config->slots,
		.step_ns = config->step_ms * NS_PER_MS,
		.draft_tokens = config->draft_tokens,
		.draft_model = config->draft_model,
		.model_memory = config->model_memory,
		.models = config->models,
		.adapters = *config->adapters ? config->adapters : NULL,
		.default_model = config->default_model,
		.grammar_memory = config->grammar_memory,
		.busy = notify_busy,
		.load_beside = true,
	};

	sched_fill_config(&sched);
	return sched;
}

/* connections, sessions, and what clients send: nothing here minds a descriptor beyond 1023 */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("limit of descriptors: %s", strerror(errno));
}

static int start(struct daemon *daemon, struct error *error)
{
	const struct config *config = &daemon->config;
	struct sched_config sched = sched_config_of(daemon);
	int r;

	raise_limit();
	r = loop_new(&daemon->loop, error);
	if (!r)
		r = open_signals(daemon, error);
	if (!r)
		r = open_doors(daemon, &sched, error);
	if (!r)
		r = drop_privileges(config->user, error);
	if (!r)
		r = guard_install();
	if (!r)
		r = start_sched(daemon, &sched, error);
	return r;
}

static void announce(const struct daemon *daemon)
{
	const struct config *config = &daemon->config;
	struct llm_status status;
	unsigned int i;

	sched_fill_status(daemon->sched, &status);
	log_info("version=%s isa=%s threads=%u slots=%u models='%s'", status.version, status.isa,
		 status.threads, status.slots, config->models);
	if (daemon->device)
		log_info("serving the device");
	for (i = 0; i < config->listen_count; i++)
		log_info("serving '%s'", config->listen[i]);
	sd_notify(0, "READY=1\nSTATUS=Serving");
}

/* all that there is to lose is with the broker by then, and caches are whole at any moment */
static void *end_anyway(void *arg)
{
	struct timespec left = { .tv_sec = END_PATIENCE_S };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	log_warning("what is being read has not ended in %d s: ending without it", END_PATIENCE_S);
	_exit(*(const int *)arg);
}

/*
 * A thread that waits for a disk that hangs can not be told to end, and who has to wait for it
 * (also the kernel, that unmaps its file) would not either; but all of it ends with the process.
 */
static void end_in_time(int *status)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attr))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) ||
	    pthread_create(&thread, &attr, end_anyway, status))
		log_warning("no thread to end in time by");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

static void stop(struct daemon *daemon, int *status)
{
	sd_notify(0, "STOPPING=1");
	end_in_time(status);
	/* doors first: what is unfinished goes back, and nobody new comes in */
	device_free(daemon->device);
	socket_server_free(daemon->server);
	sched_free(daemon->sched);
	if (daemon->signals.fd >= 0)
		close(daemon->signals.fd);
	loop_free(daemon->loop);
}

int main(int argc, char **argv)
{
	static struct daemon daemon = {
		.signals.fd = -1,
		.watchdog = { LIST_INIT(daemon.watchdog.link), 0, watchdog_fire },
		.status = { LIST_INIT(daemon.status.link), 0, status_fire },
		.retry = { LIST_INIT(daemon.retry.link), 0, retry_fire },
	};
	struct error error = { "" };
	static int status;	/* read by a thread that may outlive main() by a moment */
	int r;

	log_open(LOG_INFO);
	r = configure(&daemon, argc, argv);
	if (r)
		return MAX(r, 0);
	r = start(&daemon, &error);
	if (r < 0) {
		log_error("%s", *error.text ? error.text : strerror(-r));
		notify_clean(error.text);
		sd_notifyf(0, "STATUS=%s\nERRNO=%d", error.text, -r);
		status = 1;
		stop(&daemon, &status);
		return status;
	}
	announce(&daemon);
	start_timers(&daemon);
	status = serve(&daemon);
	stop(&daemon, &status);
	return status;
}
