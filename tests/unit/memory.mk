# SPDX-License-Identifier: BSD-2-Clause
$(eval $(call unit_test,test_phys,x86vm/memory/phys.c,))
$(eval $(call unit_test,test_io_bus,x86vm/memory/io_bus.c,))
$(eval $(call unit_test,test_view,x86vm/memory/view.c x86vm/memory/view_window.c x86vm/memory/view_bare.c x86vm/memory/view_kept.c x86vm/memory/view_slices.c x86vm/memory/window.c x86vm/memory/bare.c x86vm/memory/watch.c x86vm/memory/paging.c x86vm/memory/phys.c x86vm/memory/io_bus.c x86vm/cpu/cpu.c,))
$(eval $(call unit_test,test_window,x86vm/memory/view.c x86vm/memory/view_window.c x86vm/memory/view_bare.c x86vm/memory/view_kept.c x86vm/memory/view_slices.c x86vm/memory/window.c x86vm/memory/bare.c x86vm/memory/watch.c x86vm/memory/paging.c x86vm/memory/phys.c x86vm/memory/io_bus.c x86vm/cpu/cpu.c,))
$(eval $(call unit_test,test_bare_host,x86vm/memory/bare.c x86vm/memory/phys.c,))
$(eval $(call unit_test,test_bare,tests/unit/bare_fixture.c x86vm/memory/view.c x86vm/memory/view_window.c x86vm/memory/view_bare.c x86vm/memory/view_kept.c x86vm/memory/view_slices.c x86vm/memory/window.c x86vm/memory/bare.c x86vm/memory/watch.c x86vm/memory/paging.c x86vm/memory/phys.c x86vm/memory/io_bus.c x86vm/cpu/cpu.c,))
$(eval $(call unit_test,test_bare_spaces,tests/unit/bare_fixture.c x86vm/memory/view.c x86vm/memory/view_window.c x86vm/memory/view_bare.c x86vm/memory/view_kept.c x86vm/memory/view_slices.c x86vm/memory/window.c x86vm/memory/bare.c x86vm/memory/watch.c x86vm/memory/paging.c x86vm/memory/phys.c x86vm/memory/io_bus.c x86vm/cpu/cpu.c,))
