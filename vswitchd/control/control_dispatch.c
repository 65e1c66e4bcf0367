/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control_dispatch.h: requests, batches, errors as JSON-RPC 2.0 has them.
 */
#include "vswitchd/control/control_dispatch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/json_read.h"

enum { NAMES_MAX = 128, BATCH_ANSWER_MAX = 4 << 20 };

static const struct json_spec no_params[] = {{0}};

const char *control_role_name(enum control_role role)
{
    static const char *const names[] = {"viewer", "operator", "admin"};

    return names[role];
}

bool control_session_wants(const struct control_session *session, const char *type)
{
    for (unsigned i = 0; i < session->topic_count; i++) {
        const char *topic = session->topics[i];
        size_t length = strlen(topic);

        if (strcmp(topic, "*") == 0
            || (strncmp(topic, type, length) == 0 && (type[length] == '\0' || type[length] == '.'))) {
            return true;
        }
    }
    return false;
}

struct jv *control_fail(struct control_error *error, enum control_error_code code, const char *reason,
                        const char *format, ...)
{
    va_list args;

    error->code = code;
    error->reason = reason;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return NULL;
}

static struct jv *error_to_json(const struct control_error *error)
{
    struct jv *o = jv_new_object(), *data = jv_new_object();

    jv_set_int(o, "code", error->code);
    jv_set_string(o, "message", error->message);
    jv_set_string(data, "reason", error->reason);
    if (error->path[0]) {
        jv_set_string(data, "path", error->path);
    }
    if (error->hint[0]) {
        jv_set_string(data, "hint", error->hint);
    }
    if (error->error_number) {
        jv_set_int(data, "errno", error->error_number);
    }
    jv_set(o, "data", data);
    return o;
}

/* Takes over `id` and `result`. */
static struct jv *answer(struct jv *id, struct jv *result, const struct control_error *error)
{
    struct jv *o = jv_new_object();

    jv_set_string(o, "jsonrpc", "2.0");
    if (error->code) {
        jv_set(o, "error", error_to_json(error));
        jv_unref(result);
    } else {
        jv_set(o, "result", result);
    }
    jv_set(o, "id", id);
    return o;
}

static const struct control_method *find_method(const struct control_dispatch *d, const char *name)
{
    for (size_t t = 0; d->tables[t]; t++) {
        for (const struct control_method *m = d->tables[t]; m->name; m++) {
            if (strcmp(m->name, name) == 0) {
                return m;
            }
        }
    }
    return NULL;
}

static void fail_unknown_method(const struct control_dispatch *d, const char *name, struct control_error *error)
{
    const char *names[NAMES_MAX + 1];
    const char *meant;
    size_t count = 0;

    for (size_t t = 0; d->tables[t]; t++) {
        for (const struct control_method *m = d->tables[t]; m->name && count < NAMES_MAX; m++) {
            names[count++] = m->name;
        }
    }
    names[count] = NULL;
    control_fail(error, CONTROL_METHOD_NOT_FOUND, "method.unknown", "there is no method \"%.60s\"", name);
    meant = json_did_you_mean(name, names);
    if (meant) {
        snprintf(error->hint, sizeof error->hint, "did you mean \"%s\"?", meant);
    } else {
        snprintf(error->hint, sizeof error->hint, "rpc.methods lists them");
    }
}

/* The request's own shape; false with *error. */
static bool check_request(const struct jv *request, struct control_error *error)
{
    static const char *const known[] = {"jsonrpc", "method", "params", "id"};
    const char *version = jv_as_string(jv_get(request, "jsonrpc"));
    enum jv_kind id = jv_kind(jv_get(request, "id")), params = jv_kind(jv_get(request, "params"));

    for (struct jv_member m = {0}; jv_next(request, &m);) {
        bool found = false;

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            found |= strcmp(known[i], m.key) == 0;
        }
        if (!found) {
            control_fail(error, CONTROL_INVALID_REQUEST, "request.unknown_member",
                         "unknown member \"%.60s\" in the request; known: jsonrpc, method, params, id", m.key);
            return false;
        }
    }
    if (jv_has(request, "jsonrpc") && (!version || strcmp(version, "2.0") != 0)) {
        control_fail(error, CONTROL_INVALID_REQUEST, "request.version", "\"jsonrpc\" must be \"2.0\"");
    } else if (!jv_as_string(jv_get(request, "method"))) {
        control_fail(error, CONTROL_INVALID_REQUEST, "request.method", "\"method\" must be a string, the method's name");
    } else if (id != JV_NULL && id != JV_INT && id != JV_REAL && id != JV_STRING) {
        control_fail(error, CONTROL_INVALID_REQUEST, "request.id", "\"id\" must be a string, a number or null");
    } else if (params != JV_OBJECT && params != JV_NULL) {
        control_fail(error, CONTROL_INVALID_PARAMS, "params.not_an_object",
                     "\"params\" must be an object: parameters go by name");
    }
    return error->code == 0;
}

static struct jv *call_method(const struct control_dispatch *d, struct control_session *session,
                              const struct jv *request, struct control_error *error)
{
    const char *name = jv_as_string(jv_get(request, "method"));
    const struct control_method *method = find_method(d, name);
    const struct json_spec *specs = method && method->params ? method->params : no_params;
    struct jv *params = jv_get(request, "params");
    struct json_mismatch mismatch;
    struct jv *result = NULL;

    if (!method) {
        fail_unknown_method(d, name, error);
        return NULL;
    }
    if (session->role < method->role) {
        control_fail(error, CONTROL_PERMISSION, "permission.role", "%s needs the role %s; the role of this connection is %s",
                     name, control_role_name(method->role), control_role_name(session->role));
        snprintf(error->hint, sizeof error->hint, "use %s as root%s", CONTROL_SOCKET_NAME,
                 method->role == CONTROL_ADMIN ? " or as the daemon's user"
                                               : ", as the daemon's user or as a member of its group");
        return NULL;
    }
    params = params ? jv_ref(params) : jv_new_object();
    if (!json_check(specs, params, &mismatch)) {
        control_fail(error, CONTROL_INVALID_PARAMS, "params.invalid", "%s%s%s", mismatch.path,
                     mismatch.path[0] ? ": " : "", mismatch.text);
        memcpy(error->path, mismatch.path, sizeof error->path);
    } else {
        if (d->audit && method->role > CONTROL_VIEWER) {
            d->audit(d->context, session, name);
        }
        result = method->handler(d->context, session, params, error);
    }
    jv_unref(params);
    return result;
}

/* One request; NULL where no answer is due. */
static struct jv *handle_request(const struct control_dispatch *d, struct control_session *session,
                                 const struct jv *request)
{
    struct control_error error = {0};
    struct jv *id = NULL, *result = NULL;

    if (jv_kind(request) != JV_OBJECT) {
        control_fail(&error, CONTROL_INVALID_REQUEST, "request.not_an_object",
                     "a request must be an object with \"method\", \"params\" and \"id\", not %s",
                     jv_kind_name(jv_kind(request)));
        return answer(NULL, NULL, &error);
    }
    if (check_request(request, &error)) {
        result = call_method(d, session, request, &error);
        if (!jv_has(request, "id")) {
            jv_unref(result);
            return NULL;
        }
    }
    id = jv_get(request, "id");
    if (jv_kind(id) == JV_OBJECT || jv_kind(id) == JV_ARRAY || jv_kind(id) == JV_BOOL) {
        id = NULL;
    }
    return answer(jv_ref(id), result, &error);
}

static char *print_and_free(struct jv *value)
{
    char *text = value ? jv_print(value, false) : NULL;

    jv_unref(value);
    return text;
}

static char *answer_error(const struct control_error *error)
{
    return print_and_free(answer(NULL, NULL, error));
}

/* Collects the answers as text, so that their total can be bounded. */
static char *handle_batch(const struct control_dispatch *d, struct control_session *session, const struct jv *batch)
{
    struct control_error limit = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    size_t answers = 0, written = 0;

    if (!out) {
        return NULL;
    }
    for (size_t i = 0; i < jv_length(batch); i++) {
        const struct jv *request = jv_at(batch, i);
        char *one;

        if (written > BATCH_ANSWER_MAX) {
            if (!jv_has(request, "id")) {
                continue;
            }
            control_fail(&limit, CONTROL_LIMIT, "batch.too_large", "not done: the batch's answer is too large");
            one = print_and_free(answer(jv_ref(jv_get(request, "id")), NULL, &limit));
        } else {
            one = print_and_free(handle_request(d, session, request));
        }
        if (one) {
            written += strlen(one);
            fprintf(out, "%c%s", answers++ ? ',' : '[', one);
            free(one);
        }
    }
    if (answers) {
        fputc(']', out);
    }
    fclose(out);
    if (!answers) {
        free(text);
        return NULL;
    }
    return text;
}

char *control_dispatch(const struct control_dispatch *d, struct control_session *session, const char *line, size_t size)
{
    struct control_error error = {0};
    struct json_error syntax;
    struct jv *value;
    char *text;

    if (json_read(line, size, &value, &syntax) != 0) {
        control_fail(&error, CONTROL_PARSE_ERROR, "request.syntax", "column %u: %s", syntax.at.column, syntax.text);
        snprintf(error.hint, sizeof error.hint, "one JSON object a line, ended by a newline");
        return answer_error(&error);
    }
    if (jv_kind(value) != JV_ARRAY) {
        text = print_and_free(handle_request(d, session, value));
    } else if (jv_length(value) == 0 || jv_length(value) > CONTROL_BATCH_MAX) {
        control_fail(&error, CONTROL_INVALID_REQUEST, "batch.size", "a batch has 1 to %d requests, not %zu",
                     CONTROL_BATCH_MAX, jv_length(value));
        text = answer_error(&error);
    } else {
        text = handle_batch(d, session, value);
    }
    jv_unref(value);
    return text;
}

char *control_dispatch_too_long(void)
{
    struct control_error error = {0};

    control_fail(&error, CONTROL_PARSE_ERROR, "request.too_long",
                 "the line is longer than %d bytes and was skipped up to its newline", CONTROL_LINE_MAX);
    return answer_error(&error);
}

struct jv *control_dispatch_describe(const struct control_dispatch *d)
{
    struct jv *list = jv_new_array();

    for (size_t t = 0; d->tables[t]; t++) {
        for (const struct control_method *m = d->tables[t]; m->name; m++) {
            struct jv *o = jv_new_object();

            jv_set_string(o, "name", m->name);
            jv_set_string(o, "role", control_role_name(m->role));
            jv_set_string(o, "help", m->help);
            jv_set(o, "params", json_spec_describe(m->params));
            jv_append(list, o);
        }
    }
    return list;
}
