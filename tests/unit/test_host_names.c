/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of what is checked before the kernel is asked: interface names,
 * addresses; and of the log's limit and levels.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/log.h"
#include "vswitchd/ports/port_tap.h"

static void test_interfaces(void)
{
    static const char *const good[] = {"tap0", "a", "abcdefghijklmno", "x.1", "-a", "A_b"};
    static const char *const wrong[] = {"", ".", "..", "abcdefghijklmnop", "a b", "a/b", "a:b", "tap%d", "a\n", "\xff"};
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_TRUE(port_tap_interface_valid(good[i]));
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(port_tap_interface_valid(wrong[i]));
}

static void test_addresses(void)
{
    static const char *const good[] = {"10.9.0.1/24", "10.9.0.1", "0.0.0.0/0", "fd00::1/64", "::1/128", "10.0.0.1/32"};
    static const char *const wrong[] = {"",          "/24",        "10.9.0/24",  "10.9.0.1/33", "10.9.0.1/-1", "10.9.0.1/ 4",
                                        "fd00::/129", "10.9.0.1/", "10.9.0.1/2x", "default",     "localhost/8", "10.9.0.1/24/8"};
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_TRUE(netlink_address_valid(good[i]));
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(netlink_address_valid(wrong[i]));
}

static void test_refusals(void)
{
    struct port_tap_config config;
    struct port *port = NULL;
    char error[PORT_ERROR_SIZE];
    port_tap_config_init(&config, "a b");
    CU_ASSERT_EQUAL(port_tap_create(NULL, NULL, &config, &port, error), EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "\"a b\""));
    port_tap_config_init(&config, "a-name-too-long-for-linux");
    CU_ASSERT_EQUAL(port_tap_create(NULL, NULL, &config, &port, error), EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "1 to 15"));
    port_tap_config_init(&config, "t");
    config.addresses[config.address_count++] = "10.9.0.1/99";
    CU_ASSERT_EQUAL(port_tap_create(NULL, NULL, &config, &port, error), EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "10.9.0.1/99"));
    CU_ASSERT_PTR_NULL(port);
}

static void test_log_limit(void)
{
    struct log_limit limit = {.period = 1000, .burst = 3};
    uint32_t suppressed = 9;
    unsigned passed = 0;
    for (unsigned i = 0; i < 10; i++)
        passed += log_limit_pass(&limit, 5 + i, &suppressed);
    CU_ASSERT_EQUAL(passed, 3);
    CU_ASSERT_TRUE(log_limit_pass(&limit, 1005, &suppressed));
    CU_ASSERT_EQUAL(suppressed, 7);
    CU_ASSERT_TRUE(log_limit_pass(&limit, 1006, &suppressed));
    CU_ASSERT_EQUAL(suppressed, 0);
}

static void test_log_lines(void)
{
    enum log_level level;
    char text[2048] = "";
    int ends[2], saved = dup(STDERR_FILENO);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
    log_open(LOG_LEVEL_INFO);
    log_debug("not seen");
    log_info("port %s", "evil\nname\x1b[31m");
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_open(LOG_LEVEL_WARNING);
    log_info("not seen");
    log_warning("%02000d", 7); /* longer than a line may be */
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    CU_ASSERT_TRUE(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    close(saved);
    CU_ASSERT_EQUAL(strncmp(text, "vswitchd: info: port evil?name?[31m\n<4>000", 42), 0);
    CU_ASSERT_TRUE(strlen(text) < 1200);
    CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
    CU_ASSERT_TRUE(log_level_parse("debug", &level));
    CU_ASSERT_EQUAL(level, LOG_LEVEL_DEBUG);
    CU_ASSERT_FALSE(log_level_parse("loud", &level));
    log_set_level(LOG_LEVEL_ERROR);
    CU_ASSERT_STRING_EQUAL(log_level_name(log_get_level()), "error");
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "interfaces", test_interfaces },
        { "addresses", test_addresses },
        { "refusals", test_refusals },
        { "log limit", test_log_limit },
        { "log lines", test_log_lines },
        CU_TEST_INFO_NULL,
    };

    return unit_run("host_names", tests);
}
