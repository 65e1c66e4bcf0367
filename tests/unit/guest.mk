# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the guest process's parts.
$(eval $(call unit_test,test_guest_options,guest/options.c))
$(eval $(call unit_test,test_guest_console,guest/console.c guest/closer.c proto/worker.c proto/unix_socket.c,-lpthread))
$(eval $(call unit_test,test_guest_control,guest/control.c guest/control_image.c guest/control_stream.c guest/closer.c proto/worker.c proto/unix_socket.c,-lpthread))
$(eval $(call unit_test,test_guest_run_dir,guest/run_dir.c))
$(eval $(call unit_test,test_guest_sandbox,guest/sandbox.c guest/waker.c,$(LIBS_SECCOMP) -lpthread))
$(eval $(call unit_test,test_guest_idle,guest/idle.c))
$(eval $(call unit_test,test_guest_nvram,guest/nvram.c))
$(eval $(call unit_test,test_guest_closer,guest/closer.c proto/worker.c,-lpthread))
