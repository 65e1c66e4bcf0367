# SPDX-License-Identifier: BSD-2-Clause
PROTECTION_UNDER_TEST := tests/unit/protection_machine.c $(call srcs,x86vm/protection) $(VIEW_SRCS)
$(eval $(call unit_test,test_protection_segment,$(PROTECTION_UNDER_TEST),))
$(eval $(call unit_test,test_protection_transfer,$(PROTECTION_UNDER_TEST),))
$(eval $(call unit_test,test_protection_interrupt,$(PROTECTION_UNDER_TEST),))
$(eval $(call unit_test,test_protection_iret,$(PROTECTION_UNDER_TEST),))
$(eval $(call unit_test,test_protection_task,$(PROTECTION_UNDER_TEST),))
$(eval $(call unit_test,test_protection_control,$(PROTECTION_UNDER_TEST),))

# The 32-bit helper of test_protection_native; without gcc -m32 the test skips.
$(eval $(call unit_test,test_protection_native,$(PROTECTION_UNDER_TEST),))
$(BUILD)/tests/test_protection_native: | $(BUILD)/tests/segment_oracle.stamp
$(BUILD)/tests/segment_oracle.stamp: tests/unit/segment_oracle.c tests/unit/segment_oracle.h
	@mkdir -p $(@D)
	-$(CC) -m32 -static -no-pie -fno-pie -O1 -fno-stack-protector -fcf-protection=none -D_GNU_SOURCE -I. $(WARN) \
		-o $(@D)/segment_oracle $<
	@touch $@
$(eval $(call unit_test,test_protection_random,$(PROTECTION_UNDER_TEST),))
