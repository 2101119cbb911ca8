# SPDX-License-Identifier: MIT
#
# Builds everything that runs in user space, and the module through its kernel's Kbuild.
# Rooms are directories; a room's new .c file is picked up by itself.
#
#   make                   all programs and tests, into build/
#   make modules KDIR=...  llm.ko for one kernel, into build/kmod-<release>/
#   make check             unit, numeric and fuzz-corpus tests
#   make fuzz              libFuzzer targets (clang)
#   make bench             speed, side by side with its peers
#   make bench-serve       the daemon under load, beside its peer
#   make bench-perplexity  of a text, by type of weights, beside its peer
#   make install           DESTDIR and PREFIX as usual
#
#   O=DIR  where to build    SAN=1  ASan and UBSan    V=1  show commands

VERSION		:= 0.1.0
SONAME		:= libllmos.so.0

O		?= build
PREFIX		?= /usr
SYSCONFDIR	?= /etc
LIBDIR		?= $(PREFIX)/lib/$(shell $(CC) -print-multiarch 2>/dev/null)
UNITDIR		?= /usr/lib/systemd
V		?= 0
Q		:= $(if $(filter 1,$(V)),,@)
say		= @$(if $(filter 1,$(V)),:,printf '  %-7s %s\n' $(1) $(2))

CC		?= cc
OPT		?= -O2
WARN		:= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
		   -Wpointer-arith -Wvla -Wundef
# libnl's headers lie in a folder of their own; they are not warning-free under our flags
NL_CPPFLAGS	:= $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libnl-genl-3.0))
CPPFLAGS_ALL	:= -D_GNU_SOURCE -DLLMOS_VERSION='"$(VERSION)"' -I. -Ikmod/uapi -Idaemon \
		   -Ilibllmos-user/include -I$(O)/include $(NL_CPPFLAGS) $(CPPFLAGS)
CFLAGS_ALL	:= -std=gnu11 $(OPT) -g -fPIC -pthread -fvisibility=hidden -fno-strict-aliasing \
		   -fno-math-errno -ffp-contract=off -fstack-protector-strong $(WARN) $(CFLAGS)
LDFLAGS_ALL	:= -pthread -Wl,-z,relro,-z,now $(LDFLAGS)
ifeq ($(SAN),1)
# a report needs lines, no variables, and to follow those through the checks takes half the time
SANFLAGS	:= -fsanitize=address,undefined -fno-sanitize-recover=undefined \
		   -fno-omit-frame-pointer -fno-var-tracking
CFLAGS_ALL	+= $(SANFLAGS)
LDFLAGS_ALL	+= $(SANFLAGS)
endif

ENGINE_LIBS	:= -ljansson -lpcre2-8 -lutf8proc -lm
DAEMON_LIBS	:= $(ENGINE_LIBS) -luring -lsystemd -linih
LIB_LIBS	:= -luring -lnl-genl-3 -lnl-3 -lm
# liburing's inline functions are not warning-free under every compiler
TEST_LIBS	:= -lcmocka $(LIB_LIBS)

# ---- what there is --------------------------------------------------------
objs		= $(patsubst %.c,$(O)/%.o,$(sort $(wildcard $(1))))
KERNEL_OBJS	:= $(call objs,kernels/*.c kernels/ref/*.c kernels/cpu/*.c)
ENGINE_OBJS	:= $(KERNEL_OBJS) \
		   $(call objs,$(foreach r,base model tokenizer grammar engine,daemon/$(r)/*.c))
DAEMON_OBJS	:= $(call objs,daemon/main.c daemon/ipc/*.c daemon/sched/*.c kmod/policy/*.c)
LIB_OBJS	:= $(call objs,libllmos-user/src/*.c)
CTL_OBJS	:= $(call objs,libllmos-user/llmctl/*.c)
EXAMPLES	:= $(patsubst libllmos-user/examples/%.c,$(O)/examples/%,\
		     $(wildcard libllmos-user/examples/*.c))
tests		= $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/$(1)/$(2)*.c)))
UNIT_TESTS	:= $(call tests,unit,test_)
NUMERIC_TESTS	:= $(call tests,numeric,test_)
NUMERIC_TOOLS	:= $(call tests,numeric,llmos_)
UAPI_SRCS	:= $(sort $(wildcard tests/uapi/test_*.c))
UAPI_TESTS	:= $(UAPI_SRCS:tests/%.c=$(O)/tests/%) $(O)/tests/stress/stress $(O)/tests/faults/faults
E2E_TESTS	:= $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/e2e/*.c)))
BENCHES		:= $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/bench/*.c)))
PEERS		:= $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/peers/*.c)))
CLI_FAKES	:= $(patsubst tests/%.c,$(O)/tests/%.so,$(wildcard tests/cli/*.c))
FUZZERS		:= $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAYS		:= $(patsubst $(O)/tests/fuzz/fuzz_%,$(O)/tests/fuzz/replay_%,$(FUZZERS))

PROGRAMS	:= $(if $(wildcard daemon/main.c),$(O)/llmosd) \
		   $(if $(wildcard libllmos-user/llmctl/*.c),$(O)/llmctl)
LIBS		:= $(O)/libllmengine.a $(if $(LIB_OBJS),$(O)/libllmos.so.0 $(O)/libllmos.a)

.PHONY: all programs tests-build check modules fuzz bench install clean
.SECONDARY:
.DELETE_ON_ERROR:

all: programs tests-build
programs: $(LIBS) $(PROGRAMS) $(EXAMPLES)
tests-build: programs $(CLI_FAKES) $(UNIT_TESTS) $(NUMERIC_TESTS) $(NUMERIC_TOOLS) $(UAPI_TESTS) $(E2E_TESTS) $(BENCHES) $(PEERS) $(REPLAYS)

# ---- how ------------------------------------------------------------------
$(O)/%.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(ISA_FLAGS) $(ROOM_FLAGS) -MMD -MP -c -o $@ $<

AVX2_FLAGS	:= -mavx2 -mfma -mf16c
AVX512_FLAGS	:= $(AVX2_FLAGS) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512
$(O)/kernels/cpu/%_avx2.o: ISA_FLAGS := $(AVX2_FLAGS)
$(O)/kernels/cpu/%_avx512.o: ISA_FLAGS := $(AVX512_FLAGS)
$(O)/kernels/cpu/%_avx512vnni.o: ISA_FLAGS := $(AVX512_FLAGS) -mavx512vnni
$(O)/kernels/cpu/%_avx512bf16.o: ISA_FLAGS := $(AVX512_FLAGS) -mavx512bf16
# tile instructions are assembly: no flag lets a compiler use them by itself
$(O)/kernels/cpu/%_amx.o: ISA_FLAGS := $(AVX512_FLAGS) -mavx512vnni
$(O)/kernels/%.o: ROOM_FLAGS := $(if $(SAN),-O1,-O3)
# Emulated tiles, and the kernels on them
$(O)/tests/numeric/amx/%.o: ISA_FLAGS := $(AVX512_FLAGS) -mavx512vnni
$(O)/tests/numeric/amx/%.o: ROOM_FLAGS := $(if $(SAN),-O1,-O3)
# The module's request logic, compiled for its unit tests and fuzzer, in the kernel's dialect
KSHIM_FLAGS	:= -Itests/unit/kshim -include tests/unit/kshim/kshim.h -Wno-unused-parameter \
		   -Wno-sign-compare -Wno-shadow -Wno-pointer-arith
$(O)/kmod/%.o: ROOM_FLAGS := $(KSHIM_FLAGS)
# but not the policy, which needs no kernel
$(O)/kmod/policy/%.o: ROOM_FLAGS :=
$(O)/tests/unit/kshim/%.o: ROOM_FLAGS := $(KSHIM_FLAGS)
$(O)/tests/unit/test_kmod_%.o: ROOM_FLAGS := $(KSHIM_FLAGS)

$(O)/libllmengine.a: $(ENGINE_OBJS)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/libllmos.a: $(LIB_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/libllmos.so.0: $(LIB_OBJS) libllmos-user/libllmos.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(SONAME) $(if $(SANFLAGS),,-Wl,--no-undefined) \
		-Wl,--no-undefined-version -Wl,--version-script=libllmos-user/libllmos.map \
		-o $@ $(LIB_OBJS) $(LIB_LIBS) && ln -sf $(@F) $(O)/libllmos.so

LIB_LINK	= -L$(O) -lllmos -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..:$$ORIGIN/../..'

$(O)/llmosd: $(DAEMON_OBJS) $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DAEMON_LIBS)

$(O)/llmctl: $(CTL_OBJS) $(if $(LIB_OBJS),$(O)/libllmos.so.0)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(CTL_OBJS) $(LIB_LINK) $(CTL_LIBS)
CTL_LIBS	:= -lreadline -linih -lm

$(O)/examples/%: $(O)/libllmos-user/examples/%.o $(O)/libllmos.so.0
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(LIB_LINK) -luring

# A test may name more objects to link, one a line, relative to $(O), in NAME.deps beside it;
# @FILE stands for those that FILE names.
deps		= $(call deps_read,$(wildcard tests/$(1)/$(notdir $(2)).deps))
deps_read	= $(foreach line,$(shell cat $(1) /dev/null),$(if $(filter @%,$(line)),\
			$(call deps_read,$(line:@%=%)),$(O)/$(line)))
# One that links tests/numeric/amx/get.o has its kern_ops_get().
wrap		= $(if $(filter %/amx/get.o,$^),-Wl$(comma)--wrap=kern_ops_get)
comma		:= ,
.SECONDEXPANSION:
$(O)/tests/unit/%: $(O)/tests/unit/%.o $$(call deps,unit,$$@) $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(wrap) -o $@ $^ $(TEST_LIBS) $(DAEMON_LIBS)
$(O)/tests/numeric/%: $(O)/tests/numeric/%.o $$(call deps,numeric,$$@) $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(wrap) -o $@ $^ $(TEST_LIBS) $(ENGINE_LIBS)
# what stands for a kernel in tests of the command line
$(O)/tests/cli/%.so: $(O)/tests/cli/%.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -o $@ $< -ldl
UAPI_COMMON	:= $(call objs,tests/uapi/uapi*.c)
$(O)/tests/uapi/%: $(O)/tests/uapi/%.o $(UAPI_COMMON)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -luring
STRESS_OBJS	:= $(call objs,tests/stress/*.c)
$(O)/tests/stress/stress: $(STRESS_OBJS) $(UAPI_COMMON)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -luring -lpthread
$(O)/tests/faults/faults: $(O)/tests/faults/faults.o $(UAPI_COMMON)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -luring
E2E_COMMON	:= $(call objs,tests/e2e/lib/*.c)
$(O)/tests/e2e/%: $(O)/tests/e2e/%.o $(E2E_COMMON) $(O)/libllmos.so.0
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(E2E_COMMON) $(LIB_LINK) -luring -lm
$(O)/tests/bench/%: $(O)/tests/bench/%.o $(O)/libllmengine.a $(O)/libllmos.so.0
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(O)/libllmengine.a $(LIB_LINK) $(ENGINE_LIBS) -luring
$(O)/tests/peers/%: $(O)/tests/peers/%.o $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(ENGINE_LIBS)
$(O)/tests/fuzz/replay_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/replay.o \
		$$(call deps,fuzz,fuzz_$$*) $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DAEMON_LIBS) $(LIB_LIBS)

fuzz:
	$(Q)$(MAKE) O=$(O)-fuzz CC=clang SAN=1 CFLAGS="-fsanitize=fuzzer-no-link" fuzz-build
.PHONY: fuzz-build
fuzz-build: $(FUZZERS)
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $$(call deps,fuzz,fuzz_$$*) $(O)/libllmengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(DAEMON_LIBS) $(LIB_LIBS)

# ---- the module -----------------------------------------------------------
KDIR		?= /lib/modules/$(shell uname -r)/build
KREL		= $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
KBUILD_DIR	= $(abspath $(O))/kmod-$(KREL)
KFLAGS		?= W=1
modules:
	@[ -n "$(KREL)" ] || { echo "make: no kernel headers at '$(KDIR)' (set KDIR)" >&2; exit 1; }
	$(Q)mkdir -p $(KBUILD_DIR) && cp -ru kmod/. $(KBUILD_DIR)/
	$(Q)$(MAKE) -C $(KDIR) O= M=$(KBUILD_DIR) $(KFLAGS) modules

# ---- tests ----------------------------------------------------------------
check: tests-build
	$(Q)mkdir -p $(O)/tap
	$(Q)TAP_DIR=$(O)/tap prove --exec scripts/lib/tap-tee $(UNIT_TESTS) $(NUMERIC_TESTS) $(REPLAYS)

-include $(wildcard tests/bench/bench.mk)

# ---- install --------------------------------------------------------------
-include $(wildcard scripts/install.mk)

clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
