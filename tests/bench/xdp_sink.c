/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A sink for frames that costs next to nothing: an XDP program that drops all an
 * interface receives, before the kernel has made a packet of it. Beside the same
 * measurement with the host's IP stack as the sink it shows how much of that is the
 * stack's. A tap counts what was dropped so under rx_dropped. It says "attached", and
 * is taken away when its standard input ends. Needs root; bpf(2), BPF_LINK_CREATE.
 *
 *   xdp_sink INTERFACE
 */
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int load_program(void)
{
    static const struct bpf_insn drop[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_XDP, .insns = (uintptr_t)drop,
                            .insn_cnt = sizeof drop / sizeof *drop, .license = (uintptr_t)"BSD" };
    return bpf(BPF_PROG_LOAD, &attr);
}

int main(int argc, char **argv)
{
    char byte;
    unsigned interface = argc == 2 ? if_nametoindex(argv[1]) : 0;
    if (!interface) {
        fprintf(stderr, "usage: xdp_sink INTERFACE\n");
        return 2;
    }
    int program = load_program();
    union bpf_attr link = { .link_create = { .prog_fd = (uint32_t)program, .target_ifindex = interface,
                                             .attach_type = BPF_XDP } };
    if (program < 0 || bpf(BPF_LINK_CREATE, &link) < 0) {
        fprintf(stderr, "xdp_sink: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    puts("attached");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        continue;
    return 0;
}
