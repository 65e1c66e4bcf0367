/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The daemon's log: lines on standard error, which the journal takes up with
 * their priority. Only the outer layers log; core never does.
 */
#ifndef VSWITCHD_OS_LOG_H
#define VSWITCHD_OS_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 }; /* as syslog */

/* Lines above `level` are not written. With JOURNAL_STREAM in the environment each line gets its "<N>" prefix. */
void log_open(enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
const char *log_level_name(enum log_level level); /* "error", "warning", "info", "debug" */
bool log_level_parse(const char *text, enum log_level *level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* For what outsiders can cause: at most `burst` lines a `period` (ns). True: write it; `suppressed` more were not
 * written before. */
struct log_limit {
    uint64_t period;
    uint32_t burst;
    uint64_t window_start;
    uint32_t used;
    uint32_t suppressed;
};
bool log_limit_pass(struct log_limit *limit, uint64_t now, uint32_t *suppressed);

#endif
