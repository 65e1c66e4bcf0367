/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line: words and options. Options mean the same with every
 * command and may stand anywhere; which of them a command takes is in its row
 * of the command table (command.h). Pure.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARGS_WORDS_MAX = 64, ARGS_OPTIONS_MAX = 64 };

struct args_option {
    const char *name;           /* Without its dashes. */
    char letter;                /* 0: none. */
    const char *value;          /* What its value is called; NULL: it takes none. */
    const char *help;
};

/* All of them; ended by a NULL name. */
extern const struct args_option args_options[];

struct args {
    int word_count;
    const char *words[ARGS_WORDS_MAX];
    int option_count;
    struct {
        const struct args_option *option;
        const char *value;      /* NULL: it takes none. */
    } options[ARGS_OPTIONS_MAX];
    char error[200];            /* What was wrong, when args_read() said so. */
};

/* False with args->error. argv[0] is skipped. */
bool args_read(struct args *args, int argc, char **argv);

bool args_has(const struct args *args, const char *name);
/* The last value given; NULL: none. */
const char *args_value(const struct args *args, const char *name);
/* The index-th value given for an option that may be repeated. */
const char *args_value_at(const struct args *args, const char *name, int index);
/* A whole decimal number within bounds; false for anything else. */
bool args_number(const char *text, int64_t min, int64_t max, int64_t *number);

#endif
