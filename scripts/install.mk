# SPDX-License-Identifier: MIT
#
# make install: programs, library, header, unit, udev rule, manual pages. DESTDIR and PREFIX as
# usual. The module is built for one kernel: make modules_install KDIR=... puts it there.
# Without DESTDIR the loader and systemd are told what is new; then
# `systemctl enable --now llmosd llmos-quota`.

BINDIR		?= $(PREFIX)/bin
INCLUDEDIR	?= $(PREFIX)/include
DATADIR		?= $(PREFIX)/share
MANDIR		?= $(DATADIR)/man
UDEVDIR		?= /usr/lib/udev/rules.d
SYSUSERSDIR	?= /usr/lib/sysusers.d
TMPFILESDIR	?= /usr/lib/tmpfiles.d
INSTALL		?= install
DEPMOD		?= $(firstword $(wildcard /sbin/depmod /usr/sbin/depmod) depmod)
put		= $(INSTALL) -D -m $(1) $(2) $(DESTDIR)$(3)

MAN_PAGES	:= $(wildcard Documentation/man/*.[0-9])
COMPLETION	:= $(wildcard libllmos-user/llmctl/completion/llmctl)

install: programs install-pc $(O)/install/llmctl $(O)/install/llmosd.service \
		$(O)/install/llmos-quota.service
	$(call put,755,$(O)/llmosd,$(BINDIR)/llmosd)
	$(call put,755,$(O)/install/llmctl,$(BINDIR)/llmctl)
	$(call put,755,$(O)/libllmos.so.0,$(LIBDIR)/libllmos.so.0)
	ln -sf libllmos.so.0 $(DESTDIR)$(LIBDIR)/libllmos.so
	$(call put,644,$(O)/libllmos.a,$(LIBDIR)/libllmos.a)
	$(call put,644,libllmos-user/include/llmos.h,$(INCLUDEDIR)/llmos.h)
	$(call put,644,kmod/uapi/linux/llm.h,$(INCLUDEDIR)/linux/llm.h)
	$(call put,644,kmod/uapi/linux/llm_netlink.h,$(INCLUDEDIR)/linux/llm_netlink.h)
	$(call put,644,udev/60-llm.rules,$(UDEVDIR)/60-llm.rules)
	$(call put,644,$(O)/install/llmosd.service,$(UNITDIR)/system/llmosd.service)
	$(call put,644,$(O)/install/llmos-quota.service,$(UNITDIR)/system/llmos-quota.service)
	$(INSTALL) -d -m 755 $(DESTDIR)$(SYSCONFDIR)/llmos/quota.d
	$(call put,644,daemon/systemd/llmos.slice,$(UNITDIR)/system/llmos.slice)
	$(call put,644,daemon/systemd/llmos.sysusers.conf,$(SYSUSERSDIR)/llmos.conf)
	$(call put,644,daemon/systemd/llmos.tmpfiles.conf,$(TMPFILESDIR)/llmos.conf)
	[ -e $(DESTDIR)$(SYSCONFDIR)/llmos/llmosd.conf ] || \
		$(call put,644,daemon/systemd/llmosd.conf,$(SYSCONFDIR)/llmos/llmosd.conf)
	$(foreach page,$(MAN_PAGES),$(call put,644,$(page),$(MANDIR)/man$(subst .,,$(suffix \
		$(page)))/$(notdir $(page))) &&) :
	$(if $(COMPLETION),$(call put,644,$(COMPLETION),$(DATADIR)/bash-completion/completions/llmctl))
	$(if $(DESTDIR),,$(tell))

# users, groups and folders that the unit needs; a package's own scripts do the same
define tell
	-ldconfig
	-[ ! -d /run/systemd/system ] || { systemd-sysusers llmos.conf && \
		systemd-tmpfiles --create llmos.conf && udevadm control --reload && \
		udevadm trigger --sysname-match=llm --sysname-match=llmd && \
		systemctl daemon-reload; }
endef

# the one in $(O) looks for its library beside itself
$(O)/install/llmctl: $(CTL_OBJS) $(O)/libllmos.so.0
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(CTL_OBJS) -L$(O) -lllmos $(CTL_LIBS)

$(O)/install/%.service: daemon/systemd/%.service FORCE
	@mkdir -p $(@D)
	$(Q)sed 's,=/usr/bin/llm,=$(BINDIR)/llm,' $< >$@
.PHONY: FORCE

install-pc:
	@mkdir -p $(O)
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@LIBDIR@,$(LIBDIR),' \
		-e 's,@VERSION@,$(VERSION),' libllmos-user/libllmos.pc.in >$(O)/libllmos.pc
	$(call put,644,$(O)/libllmos.pc,$(LIBDIR)/pkgconfig/libllmos.pc)
.PHONY: install-pc

# A distribution's header tree has no System.map, and then kbuild leaves depmod to others
modules_install: modules
	$(Q)$(MAKE) -C $(KDIR) O= M=$(KBUILD_DIR) INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(Q)$(DEPMOD) $(if $(DESTDIR),-b $(DESTDIR)) $(KREL)
.PHONY: modules_install
