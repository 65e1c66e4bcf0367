/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h: getopt_long().
 */
#include "vswitchd/options.h"

#include <getopt.h>
#include <stdio.h>

#include "proto/control_proto.h"

enum { EXIT_USAGE_ERROR = 64 };

static void usage(FILE *out)
{
    fputs("usage: vswitchd [--config FILE] [--run-dir DIR] [--state-dir DIR]\n"
          "                [--guest-program FILE] [--log-level LEVEL] [--check] [--no-sandbox]\n"
          "                [--no-io-uring]\n"
          "\n"
          "  -c, --config FILE         configuration (" CONTROL_CONFIG_FILE ")\n"
          "  -r, --run-dir DIR         sockets and guests live here (" CONTROL_RUN_DIR ")\n"
          "  -d, --state-dir DIR       what outlives guests is kept here (" CONTROL_STATE_DIR ",\n"
          "                            or with another run directory, the folder state in it)\n"
          "  -g, --guest-program FILE  vswitch-guest (beside this program)\n"
          "  -l, --log-level LEVEL     error, warning, info or debug (info)\n"
          "  -f, --foreground          do not detach; it never does\n"
          "  -n, --check               check the configuration, then end\n"
          "      --no-sandbox          keep capabilities and system calls, for debugging\n"
          "      --no-io-uring         one system call a frame to a tap\n"
          "  -V, --version\n"
          "  -h, --help\n", out);
}

int options_read(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"run-dir", required_argument, NULL, 'r'},
        {"state-dir", required_argument, NULL, 'd'}, {"guest-program", required_argument, NULL, 'g'}, {"log-level", required_argument, NULL, 'l'},
        {"foreground", no_argument, NULL, 'f'}, {"check", no_argument, NULL, 'n'},
        {"no-sandbox", no_argument, NULL, 'S'}, {"no-io-uring", no_argument, NULL, 'U'},
        {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    *options = (struct options) {.run_dir = CONTROL_RUN_DIR, .log_level = LOG_LEVEL_INFO, .sandbox = true,
                                 .io_uring = true};
    while ((option = getopt_long(argc, argv, "c:r:d:g:l:fnVh", longs, NULL)) != -1) {
        switch (option) {
        case 'c': options->config = optarg; break;
        case 'r': options->run_dir = optarg; break;
        case 'd': options->state_dir = optarg; break;
        case 'g': options->guest_program = optarg; break;
        case 'l':
            if (!log_level_parse(optarg, &options->log_level)) {
                fprintf(stderr, "vswitchd: --log-level is error, warning, info or debug, not \"%s\"\n", optarg);
                return EXIT_USAGE_ERROR;
            }
            break;
        case 'f': break;
        case 'n': options->check = true; break;
        case 'S': options->sandbox = false; break;
        case 'U': options->io_uring = false; break;
        case 'V': puts("vswitchd " CONTROL_VERSION); return 0;
        case 'h': usage(stdout); return 0;
        default:  usage(stderr); return EXIT_USAGE_ERROR;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "vswitchd: no arguments are expected, but there is \"%s\"\n", argv[optind]);
        return EXIT_USAGE_ERROR;
    }
    return -1;
}
