# SPDX-License-Identifier: BSD-2-Clause
# make install, make uninstall: DESTDIR and PREFIX as usual; SYSCONFDIR for the configuration.

SYSCONFDIR  ?= /etc
SBINDIR     ?= $(PREFIX)/sbin
BINDIR      ?= $(PREFIX)/bin
LIBEXECDIR  ?= $(PREFIX)/libexec/vswitch
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/vswitch
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
GUIDES      := conf/example-lab.json docs/e1000.md docs/ne2000.md docs/virtio-net.md

MAN_PAGES := $(sort $(wildcard man/*.[0-9]))
UNITS     := vswitchd.service vswitch-guest@.service
man_dir    = $(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(1)))

.PHONY: install uninstall man-lint
install: all ## installs; DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc
	install -D -m 0755 $(BUILD)/vswitchd $(DESTDIR)$(SBINDIR)/vswitchd
	install -D -m 0755 $(BUILD)/vswitchctl $(DESTDIR)$(BINDIR)/vswitchctl
	install -D -m 0755 $(BUILD)/vswitch-guest $(DESTDIR)$(LIBEXECDIR)/vswitch-guest
	$(foreach page,$(MAN_PAGES),install -D -m 0644 $(page) $(call man_dir,$(page))/$(notdir $(page)) &&) :
	install -d -m 0755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/vswitch/guests
	for unit in $(UNITS); do \
	    sed -e 's,@SBINDIR@,$(SBINDIR),g' -e 's,@BINDIR@,$(BINDIR),g' -e 's,@LIBEXECDIR@,$(LIBEXECDIR),g' \
	        "systemd/$$unit" >"$(DESTDIR)$(UNITDIR)/$$unit" && chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
	done
	install -D -m 0644 systemd/vswitch.sysusers $(DESTDIR)$(SYSUSERSDIR)/vswitch.conf
	install -D -m 0644 systemd/vswitch.tmpfiles $(DESTDIR)$(TMPFILESDIR)/vswitch.conf
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR) $(GUIDES)
	install -D -m 0644 cli/vswitchctl.bash $(DESTDIR)$(BASHDIR)/vswitchctl
	test -e $(DESTDIR)$(SYSCONFDIR)/vswitch/vswitchd.json || \
	    install -D -m 0644 conf/vswitchd.json $(DESTDIR)$(SYSCONFDIR)/vswitch/vswitchd.json

uninstall: ## takes away what install put there; a changed configuration stays
	rm -f $(DESTDIR)$(SBINDIR)/vswitchd $(DESTDIR)$(BINDIR)/vswitchctl $(DESTDIR)$(LIBEXECDIR)/vswitch-guest
	rm -f $(foreach page,$(MAN_PAGES),$(call man_dir,$(page))/$(notdir $(page)))
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS))
	rm -f $(DESTDIR)$(SYSUSERSDIR)/vswitch.conf $(DESTDIR)$(TMPFILESDIR)/vswitch.conf
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(notdir $(GUIDES))) $(DESTDIR)$(BASHDIR)/vswitchctl
	if cmp -s conf/vswitchd.json $(DESTDIR)$(SYSCONFDIR)/vswitch/vswitchd.json; then \
	    rm -f $(DESTDIR)$(SYSCONFDIR)/vswitch/vswitchd.json; fi
	-rmdir $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DOCDIR) $(DESTDIR)$(SYSCONFDIR)/vswitch/guests \
	    $(DESTDIR)$(SYSCONFDIR)/vswitch 2>/dev/null

man-lint: ## manual pages: mandoc has nothing to say
	mandoc -Tlint -Wwarning $(MAN_PAGES)
