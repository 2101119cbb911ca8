/* SPDX-License-Identifier: MIT */
/* Sessions as the library's other files see them. */
#ifndef LLMOS_SESSION_H
#define LLMOS_SESSION_H

#include "internal.h"

/* -EOPNOTSUPP: there are no sessions over this connection */
int llmos_session_check(struct llmos *llmos);

#endif /* LLMOS_SESSION_H */
