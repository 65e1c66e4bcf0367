/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a NIC model implements: the other side of nic.h, private to nicemu/.
 * Every model's struct begins with a struct nic, and names its functions in a
 * const struct nic_ops that nic.c lists. nic.c checks the arguments that come
 * from the machine, so a model sees only offsets inside its BARs.
 */
#ifndef NICEMU_NIC_MODEL_H
#define NICEMU_NIC_MODEL_H

#include "nicemu/eeprom93c46.h"
#include "nicemu/nic.h"
#include "nicemu/nic_state.h"

struct nic_trace;
struct nic_decoder;

/* The calls of an ISA board with Plug and Play. */
struct nic_pnp_ops {
    void (*write)(struct nic *nic, uint16_t port, uint8_t value);
    bool (*read)(struct nic *nic, uint16_t port, uint8_t *value);
    void (*outvoted)(struct nic *nic);
    void (*place)(const struct nic *nic, struct nic_isa_place *place);
    bool (*set_place)(struct nic *nic, uint16_t port, uint8_t irq); /* into the EEPROM */
};

/* PCI power management. */
struct nic_power_ops {
    uint8_t (*read)(const struct nic *nic, unsigned offset);
    void (*write)(struct nic *nic, unsigned offset, uint8_t value, uint64_t now);
    bool (*is_asleep)(const struct nic *nic);
};

struct nic_ops {
    struct nic_identity identity;
    size_t size;                    /* of the model's struct */
    bool has_line_rate;             /* see nic_set_line_rate() */
    unsigned (*accepts)(const struct nic *nic); /* see nic_accepts(); NULL: nothing */
    void (*init)(struct nic *nic);  /* once, before the first reset; memory is zeroed */
    void (*reset)(struct nic *nic, uint64_t now);
    uint32_t (*read)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
    void (*write)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);
    /* As so many calls of the above; NULL: nic.c makes them. */
    void (*read_block)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, uint8_t *to,
                       uint64_t now);
    void (*write_block)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                        const uint8_t *from, uint64_t now);
    /* Accesses that change nothing outside of the model: no interrupt, no frame, no time, no word to the driver; by general
     * registers alone, as io_bus.h asks. Negative: not this one, and nothing was done. NULL: none are. */
    int64_t (*quick_read)(struct nic *nic, uint32_t offset, unsigned size);
    int (*quick_write)(struct nic *nic, uint32_t offset, unsigned size, uint32_t value);
    enum nic_rx_result (*receive)(struct nic *nic, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload, uint64_t now);
    void (*lost)(struct nic *nic, size_t size, uint64_t now);
    void (*backlog)(struct nic *nic, uint32_t waiting, uint32_t capacity, uint64_t now); /* NULL: nothing to do */
    void (*timer)(struct nic *nic, uint64_t now);
    void (*set_link)(struct nic *nic, bool up, uint64_t now);
    void (*state)(struct nic *nic, struct nic_state *s);  /* walks what struct nic does not hold: nic_state.h */
    void (*restored)(struct nic *nic, uint64_t now);      /* tells the host's timer; may be NULL */
    struct eeprom93c46 *(*eeprom)(struct nic *nic);       /* NULL: the board has none */
    uint8_t eeprom_address;                               /* the word that the station address begins with */
    void (*pci_ids)(const struct nic *nic, struct nic_pci_ids *ids); /* NULL: those of the identity */
    const struct nic_pnp_ops *pnp;                        /* NULL: none */
    const struct nic_power_ops *power;                    /* NULL: none */
    const struct nic_decoder *decoder;  /* of the teacher: trace.h */
};

struct nic {
    const struct nic_ops *ops;
    /* Register accesses: the model's own calls, or the trace's and none while one is on. */
    uint32_t (*read)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
    void (*write)(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);
    int64_t (*quick_read)(struct nic *nic, uint32_t offset, unsigned size);
    int (*quick_write)(struct nic *nic, uint32_t offset, unsigned size, uint32_t value);
    struct nic_host host;
    struct nic_counters counters;
    uint8_t mac[6];              /* what the EEPROM or PROM was made with */
    uint16_t isa_port;           /* ISA without Plug and Play: its jumpers */
    uint8_t isa_irq;
    uint32_t line_rate;          /* Mbit/s; 0: frames take no time */
    bool irq_level;              /* as last told to the host */
    struct nic_trace *trace;     /* NULL: off */
};

extern const struct nic_ops e1000_ops;
extern const struct nic_ops e1000_82545em_ops;
extern const struct nic_ops ne1000_ops;
extern const struct nic_ops ne2000_ops;
extern const struct nic_ops ne2000_8bit_ops;
extern const struct nic_ops rtl8019_ops;
extern const struct nic_ops rtl8029_ops;
extern const struct nic_ops virtio_net_ops;

/* Register accesses go to the model; where frames take time, its timer may be due in any of them. */
static inline void nic_access_directly(struct nic *nic)
{
    nic->read = nic->ops->read;
    nic->write = nic->ops->write;
    nic->quick_read = nic->line_rate ? NULL : nic->ops->quick_read;
    nic->quick_write = nic->line_rate ? NULL : nic->ops->quick_write;
}

void nic_trace_off(struct nic *nic); /* trace.c; also where there is none */

#define NIC_ETH_HEADER 14u /* two addresses and the type */
#define NIC_MIN_FRAME 60u  /* what a shorter frame is padded to on the wire, without FCS */

/* Tells the host the line's level, only where it has changed. */
static inline void nic_irq(struct nic *nic, bool level)
{
    if (nic->irq_level == level)
        return;
    nic->irq_level = level;
    if (level)
        nic->counters.interrupts++;
    nic->host.set_irq(nic->host.opaque, level);
}

/* Whether the network takes what a driver sends; otherwise the model asks again a little later. */
static inline bool nic_has_room(const struct nic *nic)
{
    return !nic->host.has_room || nic->host.has_room(nic->host.opaque);
}

/* The driver has had its hands on the EEPROM: tells the host if it has written. */
static inline void nic_eeprom_accessed(struct nic *nic, struct eeprom93c46 *eeprom)
{
    if (!eeprom->changed)
        return;
    eeprom->changed = false;
    if (nic->host.eeprom_changed)
        nic->host.eeprom_changed(nic->host.opaque);
}

/* Counts and reports a mistake of the guest's driver. */
#define nic_guest_error(model, ...)                                   \
    do {                                                              \
        struct nic *nic_guest_error_ = (model);                       \
        nic_guest_error_->counters.guest_errors++;                    \
        if (nic_guest_error_->host.guest_error)                       \
            nic_guest_error_->host.guest_error(nic_guest_error_->host.opaque, __VA_ARGS__); \
    } while (0)

#endif
