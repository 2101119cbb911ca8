#!/bin/sh
# SPDX-License-Identifier: MIT
#
# 32 clients at once: each stream equals its undisturbed self.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start
run_prog batch
daemon_stop
done_testing
