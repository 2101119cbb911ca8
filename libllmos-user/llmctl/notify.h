/* SPDX-License-Identifier: MIT */
/*
 * Telling the service manager how it goes: the one datagram of sd_notify(3), without its library,
 * which no other command needs.
 */
#ifndef LLMCTL_NOTIFY_H
#define LLMCTL_NOTIFY_H

/* lines of assignments; nothing happens where no manager listens */
__attribute__((format(printf, 1, 2)))
void notify_manager(const char *format, ...);

#endif /* LLMCTL_NOTIFY_H */
