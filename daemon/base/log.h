/* SPDX-License-Identifier: MIT */
/*
 * What the daemon says to its administrator: one line a message on standard error, with the
 * priority in front where the journal reads it. Only main.c, ipc/ and sched/ log; text that people
 * send or receive never appears, at no level.
 */
#ifndef LLMOS_BASE_LOG_H
#define LLMOS_BASE_LOG_H

#include "base/util.h"

enum log_level {		/* as syslog(3) counts */
	LOG_ERROR	= 3,
	LOG_WARNING	= 4,
	LOG_NOTICE	= 5,
	LOG_INFO	= 6,
	LOG_DEBUG	= 7,
};

/** log_open() - find out who reads standard error; @max: the least important level to show */
void log_open(enum log_level max);
/** log_is_journal() - is it the journal, which takes a level in front and knows who writes? */
bool log_is_journal(void);
void log_write(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...)		log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...)	log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)		log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)		log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)		log_write(LOG_DEBUG, __VA_ARGS__)

#endif /* LLMOS_BASE_LOG_H */
