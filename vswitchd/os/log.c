/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Log lines on standard error (log.h). The level is the one global of the
 * daemon: a log belongs to the process.
 */
#include "vswitchd/os/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 1024

static enum log_level current_level = LOG_LEVEL_INFO;
static bool with_prefix;

static const struct {
    enum log_level level;
    const char *name;
} levels[] = {
    {LOG_LEVEL_ERROR, "error"},
    {LOG_LEVEL_WARNING, "warning"},
    {LOG_LEVEL_INFO, "info"},
    {LOG_LEVEL_DEBUG, "debug"},
};
#define LEVEL_COUNT (sizeof(levels) / sizeof(levels[0]))

void log_open(enum log_level level)
{
    current_level = level;
    with_prefix = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
    current_level = level;
}

enum log_level log_get_level(void)
{
    return current_level;
}

const char *log_level_name(enum log_level level)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "unknown";
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(text, levels[i].name) == 0) {
            *level = levels[i].level;
            return true;
        }
    }
    return false;
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    if (level > current_level)
        return;
    int start = with_prefix ? snprintf(line, sizeof(line), "<%d>", (int)level)
                            : snprintf(line, sizeof(line), "vswitchd: %s: ", log_level_name(level));
    va_start(args, format);
    int length = vsnprintf(line + start, sizeof(line) - (size_t)start - 1, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t size = (size_t)start + (size_t)length;
    if (size > sizeof(line) - 2)
        size = sizeof(line) - 2;
    /* What outsiders named must not start lines or drive a terminal. */
    for (size_t i = (size_t)start; i < size; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[size] = '\n';
    /* One write a line; a log that cannot be written is no reason to stop. */
    if (write(STDERR_FILENO, line, size + 1) < 0)
        return;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now, uint32_t *suppressed)
{
    if (limit->used == 0 || now - limit->window_start >= limit->period) {
        *suppressed = limit->suppressed;
        limit->window_start = now;
        limit->used = 0;
        limit->suppressed = 0;
    } else {
        *suppressed = 0;
    }
    if (limit->used >= limit->burst) {
        limit->suppressed++;
        return false;
    }
    limit->used++;
    return true;
}
