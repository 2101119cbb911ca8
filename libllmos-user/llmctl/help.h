/* SPDX-License-Identifier: MIT */
/*
 * The help texts. Each fits a screen of 24 lines of 80 columns.
 */
#ifndef LLMCTL_HELP_H
#define LLMCTL_HELP_H

extern const char help_main[];
extern const char help_ask[];
extern const char help_run[];
extern const char help_chat[];
extern const char help_ls[];
extern const char help_show[];
extern const char help_ps[];
extern const char help_tokenize[];
extern const char help_detokenize[];
extern const char help_score[];
extern const char help_embed[];
extern const char help_rank[];
extern const char help_classify[];
extern const char help_status[];
extern const char help_session[];
extern const char help_quota[];
extern const char help_top[];
extern const char help_events[];
extern const char help_pressure[];
extern const char help_version[];
extern const char help_help[];

#endif /* LLMCTL_HELP_H */
