# SPDX-License-Identifier: BSD-2-Clause
$(eval $(call unit_test,test_engine,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
