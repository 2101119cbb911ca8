/* SPDX-License-Identifier: MIT */
/* What the module includes by the names of linux/; all of it is in kshim.h. */
