# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the PC's devices: each links its own module only.
$(eval $(call unit_test,test_i8259,x86vm/pc/i8259.c))
$(eval $(call unit_test,test_i8254,x86vm/pc/i8254.c))
$(eval $(call unit_test,test_rtc,x86vm/pc/rtc.c))
$(eval $(call unit_test,test_i8042,x86vm/pc/i8042.c))
$(eval $(call unit_test,test_uart,x86vm/pc/uart16550.c))
$(eval $(call unit_test,test_pci,x86vm/pc/pci.c x86vm/pc/chipset.c))
