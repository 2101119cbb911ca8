/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/llm and /dev/llmd.
 */
#ifndef LLM_DEVICE_H
#define LLM_DEVICE_H

int llm_devices_register(void);
void llm_devices_unregister(void);

#endif /* LLM_DEVICE_H */
