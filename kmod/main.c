// SPDX-License-Identifier: GPL-2.0-only
/*
 * llm: the broker between processes that ask a language model and the server that runs it. It
 * knows who asks, in which order they are served, and what has been answered; it runs no
 * model and reads no text. Here is the order in which its parts come up and go down.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/printk.h>

#include "broker.h"
#include "device.h"

static int __init llm_init(void)
{
	int err;

	llm_broker_init();
	err = llm_devices_register();
	if (err) {
		pr_err("cannot register the devices: %pe\n", ERR_PTR(err));
		llm_broker_exit();
	}
	return err;
}

static void __exit llm_exit(void)
{
	llm_devices_unregister();
	llm_broker_exit();
}

module_init(llm_init);
module_exit(llm_exit);
MODULE_DESCRIPTION("Broker of language model requests");
MODULE_AUTHOR("llmos contributors");
MODULE_LICENSE("GPL");
