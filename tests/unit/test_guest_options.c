/* SPDX-License-Identifier: BSD-2-Clause
 * The command line of vswitch-guest: what is taken, what is refused and why.
 */
#include "guest/options.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct options options;
static char error[256];

static bool parse(int argc, const char *const *argv)
{
    char *copy[32];

    copy[0] = (char *)"vswitch-guest";
    for (int i = 0; i < argc; i++)
        copy[i + 1] = (char *)argv[i];
    copy[argc + 1] = NULL;
    error[0] = 0;
    return options_parse(&options, argc + 1, copy, error, sizeof error);
}

#define PARSE(...) parse(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })
#define REFUSED(what, ...) \
    do { \
        CU_ASSERT_FALSE(PARSE("--name", "a", "--kernel", "k", __VA_ARGS__)); \
        CU_ASSERT_PTR_NOT_NULL(strstr(error, what)); \
    } while (0)

static void test_good(void)
{
    CU_ASSERT_TRUE(PARSE("--name", "alice", "--kernel", "vmlinuz", "--initrd", "i", "--append", "console=ttyS0",
                         "--memory", "256", "--unpack", "--debug-exit", "--console", "stdio", "--run-dir", "/r",
                         "--nic", "model=e1000,mac=02:00:00:00:00:0a,socket=up.sock", "--nic", "model=ne2000"));
    CU_ASSERT_STRING_EQUAL(options.name, "alice");
    CU_ASSERT_EQUAL(options.memory_mib, 256);
    CU_ASSERT_TRUE(options.unpack && options.debug_exit && options.console_stdio && !options.no_sandbox);
    CU_ASSERT_EQUAL(options.nic_count, 2);
    CU_ASSERT_STRING_EQUAL(options.nic[0].model, "e1000");
    CU_ASSERT_EQUAL(options.nic[0].mac[5], 10);
    CU_ASSERT_STRING_EQUAL(options.nic[0].socket, "up.sock");
    CU_ASSERT_STRING_EQUAL(options.nic[1].socket, "nic1.sock");
    CU_ASSERT_NOT_EQUAL(options.nic[1].mac[5], options.nic[0].mac[5]);
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k", "--state-dir", "/s", "--nic",
                         "model=ne2000,slot=8,io=0x320,irq=5,link=down,speed=10", "--nic", "model=ne2000,slot=16,nvram=/x/y.bin"));
    CU_ASSERT_STRING_EQUAL(options.nic[0].model, "ne2000-8bit");
    CU_ASSERT_EQUAL(options.nic[0].speed, 10);
    CU_ASSERT_TRUE(options.nic[0].isa_port == 0x320 && options.nic[0].isa_irq == 5 && options.nic[0].unplugged);
    CU_ASSERT_STRING_EQUAL(options.nic[1].model, "ne2000");
    CU_ASSERT_STRING_EQUAL(options.nic[1].nvram, "/x/y.bin");
    CU_ASSERT_STRING_EQUAL(options.state_dir, "/s");
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k", "--initrd", ""));
    CU_ASSERT_PTR_NULL(options.initrd);
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k"));
    CU_ASSERT_EQUAL(options.memory_mib, 128);
    CU_ASSERT_EQUAL(options.nic_count, 0);
    CU_ASSERT_EQUAL(options.stop_timeout_s, 8);
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k", "--stop-timeout", "0"));
    CU_ASSERT_EQUAL(options.stop_timeout_s, 0);
    CU_ASSERT_EQUAL(options.idle_slack_ms, 40);
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k", "--idle-slack", "0"));
    CU_ASSERT_EQUAL(options.idle_slack_ms, 0);
    CU_ASSERT_TRUE(PARSE("--help"));
    CU_ASSERT_TRUE(options.help);
    CU_ASSERT_TRUE(PARSE("--name", "a", "--kernel", "k", "--record", "/r/a"));
    CU_ASSERT_STRING_EQUAL(options.record, "/r/a");
    CU_ASSERT_TRUE(PARSE("--replay", "/r/a")); /* needs no name and no kernel */
    CU_ASSERT_STRING_EQUAL(options.replay, "/r/a");
    REFUSED("--replay", "--replay", "/r/a");
}

static void test_bad(void)
{
    CU_ASSERT_FALSE(PARSE("--kernel", "k"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "--name"));
    CU_ASSERT_FALSE(PARSE("--name", "a"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "--kernel"));
    CU_ASSERT_FALSE(PARSE("--name", "../x", "--kernel", "k"));
    CU_ASSERT_FALSE(PARSE("--name", "", "--kernel", "k"));
    REFUSED("--stop-timeout", "--stop-timeout", "-1");
    REFUSED("--stop-timeout", "--stop-timeout", "3601");
    REFUSED("--stop-timeout", "--stop-timeout", "soon");
    REFUSED("--idle-slack", "--idle-slack", "201");
    REFUSED("--idle-slack", "--idle-slack", "some");
    REFUSED("--frobnicate", "--frobnicate");
    REFUSED("extra", "extra");
    REFUSED("--memory", "--memory", "3");
    REFUSED("--memory", "--memory", "99999");
    REFUSED("--memory", "--memory", "-5");
    REFUSED("--memory", "--memory", "12x");
    REFUSED("--console", "--console", "vga");
}

static void test_bad_nics(void)
{
    REFUSED("no model", "--nic", "mac=02:00:00:00:00:01");
    REFUSED("station", "--nic", "model=e1000,mac=03:00:00:00:00:01");
    REFUSED("station", "--nic", "model=e1000,mac=02:00:00:00:00");
    REFUSED("station", "--nic", "model=e1000,mac=02:00:00:00:00:01x");
    REFUSED("colour", "--nic", "model=e1000,colour=red");
    REFUSED("KEY=VALUE", "--nic", "e1000");
    REFUSED("plain file name", "--nic", "model=e1000,socket=../../x");
    REFUSED("plain file name", "--nic", "model=e1000,socket=");
    REFUSED("such as 0x300", "--nic", "model=ne2000,io=here");
    REFUSED("such as 0x300", "--nic", "model=ne2000,io=0x10300");
    REFUSED("such as 9", "--nic", "model=ne2000,irq=16");
    REFUSED("8 or 16", "--nic", "model=ne2000,slot=32");
    REFUSED("1 to 1000", "--nic", "model=ne2000,speed=0");
    REFUSED("1 to 1000", "--nic", "model=ne2000,speed=1001");
    REFUSED("goes with model=ne2000", "--nic", "model=ne1000,slot=8");
    REFUSED("up or down", "--nic", "model=e1000,link=off");
    REFUSED("a file", "--nic", "model=e1000,nvram=");
    REFUSED("bad model", "--nic", "model=0123456789abcdef0123");
    REFUSED("two NICs", "--nic", "model=e1000,socket=a", "--nic", "model=e1000,socket=a");
    REFUSED("more than", "--nic", "model=a", "--nic", "model=a", "--nic", "model=a", "--nic", "model=a", "--nic",
            "model=a", "--nic", "model=a", "--nic", "model=a", "--nic", "model=a", "--nic", "model=a");
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "good", test_good },
        { "bad", test_bad },
        { "bad nics", test_bad_nics },
        CU_TEST_INFO_NULL,
    };

    return unit_run("guest options", tests);
}
