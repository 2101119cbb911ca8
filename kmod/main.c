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
#include "netlink.h"
#include "request.h"
#include "uring.h"

static int __init llm_init(void)
{
	int err;

	err = llm_request_init();
	if (err)
		return err;
	err = llm_uring_init();
	if (err)
		goto no_uring;
	llm_broker_init();
	err = llm_netlink_init();
	if (err) {
		pr_err("cannot register the netlink family: %pe\n", ERR_PTR(err));
		goto no_netlink;
	}
	err = llm_devices_register();
	if (err) {
		pr_err("cannot register the devices: %pe\n", ERR_PTR(err));
		goto no_devices;
	}
	return 0;
no_devices:
	llm_netlink_exit();
no_netlink:
	llm_broker_exit();
	llm_uring_exit();
no_uring:
	llm_request_exit();
	return err;
}

static void __exit llm_exit(void)
{
	llm_devices_unregister();
	llm_netlink_exit();
	llm_broker_exit();
	llm_uring_exit();
	llm_request_exit();
}

module_init(llm_init);
module_exit(llm_exit);
MODULE_DESCRIPTION("Broker of language model requests");
MODULE_AUTHOR("llmos contributors");
MODULE_LICENSE("GPL");
