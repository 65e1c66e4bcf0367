# SPDX-License-Identifier: BSD-2-Clause
# Tests of the port protocol, both ends.
VIRTQ_SRCS := proto/virtqueue.c proto/virtqueue_device.c proto/virtqueue_driver.c proto/virtio_net.c
VHOST_SRCS := $(VIRTQ_SRCS) proto/vhost_user.c proto/unix_socket.c $(wildcard vswitchd/ports/vhost_*.c) vswitchd/os/stall_guard.c vswitchd/os/foreign.c proto/worker.c

$(eval $(call unit_test,test_virtqueue,$(VIRTQ_SRCS)))
$(eval $(call unit_test,test_worker,proto/worker.c,-lpthread))
$(eval $(call unit_test,test_unix_socket,proto/unix_socket.c))
$(eval $(call unit_test,test_vhost_user_message,proto/vhost_user.c proto/unix_socket.c))
$(eval $(call unit_test,test_vhost_backend,$(VHOST_SRCS) guest/port_link.c guest/port_link_handshake.c guest/closer.c,-lpthread))
$(eval $(call unit_test,test_vhost_hostile,tests/unit/vhost_peer.c $(VHOST_SRCS)))
$(eval $(call unit_test,test_vhost_hostile_queues,tests/unit/vhost_peer.c $(VHOST_SRCS)))
$(eval $(call unit_test,test_port_vhost_user,$(VHOST_SRCS) vswitchd/ports/port_vhost_user.c vswitchd/ports/port.c \
	vswitchd/ports/port_queue.c vswitchd/os/event_loop.c vswitchd/os/listener.c vswitchd/os/log.c guest/port_link.c guest/port_link_handshake.c guest/closer.c,$(LIBS_EVENT)))
$(eval $(call unit_test,test_port_link,$(VIRTQ_SRCS) proto/vhost_user.c proto/unix_socket.c guest/port_link.c \
	guest/port_link_handshake.c guest/closer.c proto/worker.c,-lpthread))
