# SPDX-License-Identifier: BSD-2-Clause
$(eval $(call unit_test,test_phys,x86vm/memory/phys.c,))
$(eval $(call unit_test,test_io_bus,x86vm/memory/io_bus.c,))
$(eval $(call unit_test,test_bare_host,x86vm/memory/bare.c x86vm/memory/phys.c,))

# What a view is made of, for the tests of protection, too.
VIEW_SRCS := $(addprefix x86vm/memory/,view.c view_access.c view_window.c view_bare.c view_kept.c view_slices.c window.c bare.c watch.c paging.c \
    phys.c io_bus.c) x86vm/cpu/cpu.c
$(eval $(call unit_test,test_paging,tests/unit/view_fixture.c $(VIEW_SRCS),))
$(eval $(call unit_test,test_view,tests/unit/view_fixture.c $(VIEW_SRCS),))
$(eval $(call unit_test,test_window,tests/unit/view_fixture.c $(VIEW_SRCS),))
$(eval $(call unit_test,test_bare,tests/unit/bare_fixture.c $(VIEW_SRCS),))
$(eval $(call unit_test,test_bare_spaces,tests/unit/bare_fixture.c $(VIEW_SRCS),))
