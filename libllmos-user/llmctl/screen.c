/* SPDX-License-Identifier: MIT */
/*
 * The few sequences that every terminal since the VT100 knows, and the alternate screen of xterm,
 * which others ignore.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "screen.h"

#define SCREEN_BYTES	(64 * 1024)

/**
 * struct screen - the terminal
 * @draws: there is one to draw on
 * @keys: and one to read keys from
 * @before: its modes
 * @mask: signals that were blocked before
 * @signals: descriptor of those that end or resize it
 */
struct screen {
	bool draws;
	bool keys;
	struct termios before;
	sigset_t mask;
	int signals;
};

static void terminal_take(struct screen *screen)
{
	struct termios modes;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &screen->before) < 0)
		return;
	modes = screen->before;
	modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	modes.c_cc[VMIN] = 1;
	modes.c_cc[VTIME] = 0;
	/* stopped, it would leave a terminal that nobody can use */
	modes.c_cc[VSUSP] = _POSIX_VDISABLE;
	screen->keys = !tcsetattr(STDIN_FILENO, TCSANOW, &modes);
}

int screen_open(struct screen **ret, bool draws)
{
	struct screen *screen = calloc(1, sizeof(*screen));
	sigset_t set;

	if (!screen)
		return -ENOMEM;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	screen->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signals < 0 || sigprocmask(SIG_BLOCK, &set, &screen->mask) < 0) {
		int r = -errno;

		if (screen->signals >= 0)
			close(screen->signals);
		free(screen);
		return r;
	}
	screen->draws = draws;
	if (draws) {
		terminal_take(screen);
		/* a screen at a time, not a line, or it flickers */
		setvbuf(stdout, NULL, _IOFBF, SCREEN_BYTES);
		/* alternate screen, no cursor */
		fputs("\033[?1049h\033[?25l", stdout);
	}
	*ret = screen;
	return 0;
}

void screen_close(struct screen *screen)
{
	if (!screen)
		return;
	if (screen->draws) {
		fputs("\033[?25h\033[?1049l", stdout);
		fflush(stdout);
	}
	if (screen->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
	close(screen->signals);
	sigprocmask(SIG_SETMASK, &screen->mask, NULL);
	free(screen);
}

size_t screen_rows(const struct screen *screen)
{
	struct winsize size;

	if (!screen->draws)
		return SIZE_MAX;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row)
		return 24;
	return size.ws_row;
}

void screen_begin(const struct screen *screen)
{
	/* to the upper left, and nothing behind it */
	if (screen->draws)
		fputs("\033[H\033[J", stdout);
}

static int take_signal(struct screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof(info)) != sizeof(info))
		return SCREEN_TIMEOUT;
	return info.ssi_signo == SIGWINCH ? SCREEN_RESIZED : SCREEN_END;
}

static int take_key(void)
{
	unsigned char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	/* a NUL is no key of ours, and must not end the time early */
	return n != 1 ? SCREEN_END : key ? key : ' ';
}

int screen_wait(struct screen *screen, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = screen->signals, .events = POLLIN },
		{ .fd = screen->keys ? STDIN_FILENO : -1, .events = POLLIN },
	};

	if (poll(fds, 2, timeout_ms) < 0)
		return errno == EINTR ? SCREEN_TIMEOUT : SCREEN_END;
	if (fds[0].revents)
		return take_signal(screen);
	return fds[1].revents ? take_key() : SCREEN_TIMEOUT;
}
