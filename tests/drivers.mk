# SPDX-License-Identifier: BSD-2-Clause
# The guest with three drivers by the book, whose traces docs/ne2000.md, docs/e1000.md and
# docs/virtio-net.md show; tests/integration/nic_docs.sh compares.

DRIVERS_IMAGE := $(BUILD)/tests/drivers.elf
DRIVERS_OBJS  := $(patsubst tests/drivers/%.c,$(BUILD)/drivers/%.o,$(sort $(wildcard tests/drivers/*.c)))

$(BUILD)/drivers/%.o: tests/drivers/%.c tests/drivers/driver.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(DRIVERS_IMAGE): $(DRIVERS_OBJS) tests/drivers/start.S tests/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,tests/guests/guest.ld -o $@ tests/drivers/start.S \
	    $(DRIVERS_OBJS) -lgcc

.PHONY: drivers-image
drivers-image: $(DRIVERS_IMAGE)
