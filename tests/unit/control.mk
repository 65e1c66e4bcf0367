# SPDX-License-Identifier: BSD-2-Clause
# Tests of JSON, the configuration, the control protocol and vswitchctl.
CONFIG_SRCS := vswitchd/config.c vswitchd/config_guest.c vswitchd/config_json.c vswitchd/config_schema.c $(JSON_SRCS) vswitchd/core/vlan.c vswitchd/core/switch.c \
	vswitchd/core/fdb.c vswitchd/core/counters.c vswitchd/ports/port.c vswitchd/ports/port_queue.c

$(eval $(call unit_test,test_json_read,proto/json/json_read.c proto/json/json_value.c,$(LIBS_JSON)))
$(eval $(call unit_test,test_json_check,$(JSON_SRCS),$(LIBS_JSON)))
$(eval $(call unit_test,test_config,$(CONFIG_SRCS),$(LIBS_JSON)))
$(eval $(call unit_test,test_control_frame,vswitchd/control/control_frame.c))
$(eval $(call unit_test,test_control_dispatch,vswitchd/control/control_dispatch.c $(JSON_SRCS),$(LIBS_JSON)))
$(eval $(call unit_test,test_capture,vswitchd/os/capture.c,$(LIBS_PCAP)))
$(eval $(call unit_test,test_cli,cli/args.c cli/table.c $(JSON_SRCS),$(LIBS_JSON)))
$(eval $(call unit_test,test_sandbox,vswitchd/os/sandbox.c,$(LIBS_SECCOMP)))
$(eval $(call unit_test,test_guests_launcher,vswitchd/guests_launcher.c vswitchd/os/sandbox.c,$(LIBS_SECCOMP)))
