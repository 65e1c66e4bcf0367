# SPDX-License-Identifier: BSD-2-Clause
$(eval $(call unit_test,test_engine,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_shadow,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_insn,$(call srcs,x86vm/decode),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_insn_flags,$(call srcs,x86vm/decode),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_code_map,x86vm/translate/code_map.c,))
$(eval $(call unit_test,test_port_string,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_replay,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
$(eval $(call unit_test,test_count,$(filter-out x86vm/pc/%,$(X86VM_SRCS)),$(LIBS_ZYDIS)))
