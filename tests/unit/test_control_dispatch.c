/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/control/control_dispatch with a table of its own: what is
 * answered to good and bad requests, batches, roles, the audit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/json_read.h"
#include "tests/unit/unit.h"
#include "vswitchd/control/control_dispatch.h"

static unsigned calls, audits;

static struct jv *echo(void *context, struct control_session *session, const struct jv *params,
                       struct control_error *error)
{
    (void)session;
    (void)error;
    CU_ASSERT_PTR_EQUAL(context, &calls);
    calls++;
    return jv_ref(jv_get(params, "value"));
}

static struct jv *refuse(void *context, struct control_session *session, const struct jv *params,
                         struct control_error *error)
{
    (void)context;
    (void)session;
    (void)params;
    calls++;
    error->error_number = 17;
    snprintf(error->hint, sizeof error->hint, "take another");
    return control_fail(error, CONTROL_EXISTS, "thing.exists", "there is one");
}

static struct jv *large(void *context, struct control_session *session, const struct jv *params,
                        struct control_error *error)
{
    size_t size = 1 << 20;
    char *text = malloc(size + 1);
    struct jv *v;

    (void)context;
    (void)session;
    (void)params;
    (void)error;
    calls++;
    memset(text, 'x', size);
    text[size] = '\0';
    v = jv_new_string(text);
    free(text);
    return v;
}

static const struct json_spec echo_params[] = {
    {.name = "value", .kind = JSON_SPEC_INT, .required = true, .min = 0, .max = 9},
    {0},
};
static const struct control_method methods[] = {
    {"thing.echo", CONTROL_VIEWER, echo_params, echo, "answers its value"},
    {"thing.add", CONTROL_OPERATOR, NULL, refuse, "refuses"},
    {"thing.large", CONTROL_VIEWER, NULL, large, "a large answer"},
    {0},
};
static const struct control_method *const tables[] = {methods, NULL};

static void audit(void *context, const struct control_session *session, const char *method)
{
    (void)context;
    CU_ASSERT_EQUAL(session->uid, 7);
    CU_ASSERT_STRING_EQUAL(method, "thing.add");
    audits++;
}

static const struct control_dispatch dispatch = {tables, &calls, audit};
static struct control_session session = {.role = CONTROL_OPERATOR, .uid = 7};

/* The answer to a line, with its formal members checked; NULL: none. */
static struct jv *ask(const char *line)
{
    struct json_error error;
    struct jv *answer;
    char *text = control_dispatch(&dispatch, &session, line, strlen(line));

    if (!text) {
        return NULL;
    }
    CU_ASSERT_PTR_NULL(strchr(text, '\n'));
    CU_ASSERT_EQUAL_FATAL(json_read(text, strlen(text), &answer, &error), 0);
    if (jv_kind(answer) == JV_OBJECT) {
        CU_ASSERT_STRING_EQUAL(jv_member_string(answer, "jsonrpc", ""), "2.0");
        CU_ASSERT_TRUE(jv_has(answer, "id"));
        CU_ASSERT_NOT_EQUAL(jv_has(answer, "result"), jv_has(answer, "error"));
    }
    free(text);
    return answer;
}

static bool fails(const char *line, int code, const char *reason, const char *words)
{
    struct jv *answer = ask(line);
    const struct jv *error = jv_get(answer, "error");
    bool right = jv_member_int(error, "code", 0) == code
                 && strcmp(jv_member_string(jv_get(error, "data"), "reason", ""), reason) == 0
                 && strstr(jv_member_string(error, "message", ""), words);

    if (!right) {
        char *text = jv_print(answer, false);

        printf("\n    %s", text);
        free(text);
    }
    jv_unref(answer);
    return right;
}

static void test_calls(void)
{
    struct jv *answer = ask("{\"jsonrpc\":\"2.0\",\"method\":\"thing.echo\",\"params\":{\"value\":5},\"id\":\"x\"}");

    CU_ASSERT_EQUAL(jv_member_int(answer, "result", -1), 5);
    CU_ASSERT_STRING_EQUAL(jv_member_string(answer, "id", ""), "x");
    jv_unref(answer);
    answer = ask("  {\"method\":\"thing.echo\",\"params\":{\"value\":0},\"id\":null} ");
    CU_ASSERT_EQUAL(jv_member_int(answer, "result", -1), 0);
    jv_unref(answer);
}

static void test_notifications(void)
{
    calls = 0;
    CU_ASSERT_PTR_NULL(ask("{\"method\":\"thing.echo\",\"params\":{\"value\":5}}"));
    CU_ASSERT_EQUAL(calls, 1);
    CU_ASSERT_PTR_NULL(ask("{\"method\":\"thing.echo\",\"params\":{\"value\":50}}")); /* Wrong, but unasked. */
    CU_ASSERT_EQUAL(calls, 1);
}

static void test_bad_requests(void)
{
    calls = 0;
    CU_ASSERT_TRUE(fails("hello", CONTROL_PARSE_ERROR, "request.syntax", "column 1"));
    CU_ASSERT_TRUE(fails("{\"method\":", CONTROL_PARSE_ERROR, "request.syntax", "ends"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"id\":2}", CONTROL_PARSE_ERROR, "request.syntax", "twice"));
    CU_ASSERT_TRUE(fails("5", CONTROL_INVALID_REQUEST, "request.not_an_object", "an object"));
    CU_ASSERT_TRUE(fails("null", CONTROL_INVALID_REQUEST, "request.not_an_object", "null"));
    CU_ASSERT_TRUE(fails("{\"id\":1}", CONTROL_INVALID_REQUEST, "request.method", "string"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":7}", CONTROL_INVALID_REQUEST, "request.method", "string"));
    CU_ASSERT_TRUE(fails("{\"id\":{},\"method\":\"thing.echo\"}", CONTROL_INVALID_REQUEST, "request.id", "\"id\""));
    CU_ASSERT_TRUE(fails("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"thing.echo\"}", CONTROL_INVALID_REQUEST,
                         "request.version", "2.0"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"methd\":\"thing.echo\"}", CONTROL_INVALID_REQUEST, "request.unknown_member", "methd"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.ecko\"}", CONTROL_METHOD_NOT_FOUND, "method.unknown", "thing.ecko"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.echo\",\"params\":[5]}", CONTROL_INVALID_PARAMS,
                         "params.not_an_object", "by name"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.echo\"}", CONTROL_INVALID_PARAMS, "params.invalid", "missing"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.echo\",\"params\":{\"value\":1,\"x\":1}}", CONTROL_INVALID_PARAMS,
                         "params.invalid", "/x: unknown"));
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.large\",\"params\":{\"x\":1}}", CONTROL_INVALID_PARAMS,
                         "params.invalid", "none is expected"));
    CU_ASSERT_EQUAL(calls, 0);
}

static void test_error_data(void)
{
    struct jv *answer = ask("{\"id\":1,\"method\":\"thing.echo\",\"params\":{\"value\":77}}");
    const struct jv *data = jv_get(jv_get(answer, "error"), "data");

    CU_ASSERT_STRING_EQUAL(jv_member_string(data, "path", ""), "/value");
    jv_unref(answer);
    answer = ask("{\"id\":1,\"method\":\"thing.add\"}");
    data = jv_get(jv_get(answer, "error"), "data");
    CU_ASSERT_EQUAL(jv_member_int(jv_get(answer, "error"), "code", 0), CONTROL_EXISTS);
    CU_ASSERT_STRING_EQUAL(jv_member_string(data, "hint", ""), "take another");
    CU_ASSERT_EQUAL(jv_member_int(data, "errno", 0), 17);
    jv_unref(answer);
    answer = ask("{\"id\":1,\"method\":\"thing.ecko\"}");
    CU_ASSERT_STRING_EQUAL(jv_member_string(jv_get(jv_get(answer, "error"), "data"), "hint", ""),
                           "did you mean \"thing.echo\"?");
    jv_unref(answer);
}

static void test_roles(void)
{
    calls = audits = 0;
    session.role = CONTROL_VIEWER;
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.add\"}", CONTROL_PERMISSION, "permission.role", "operator"));
    CU_ASSERT_EQUAL(calls + audits, 0);
    session.role = CONTROL_OPERATOR;
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.add\"}", CONTROL_EXISTS, "thing.exists", "one"));
    CU_ASSERT_EQUAL(audits, 1);
    CU_ASSERT_TRUE(fails("{\"id\":1,\"method\":\"thing.add\",\"params\":{\"x\":1}}", CONTROL_INVALID_PARAMS,
                         "params.invalid", "unknown"));
    CU_ASSERT_EQUAL(audits, 1);
}

static void test_batches(void)
{
    struct jv *answer;
    char line[4096];
    size_t used;

    calls = 0;
    answer = ask("[{\"method\":\"thing.echo\",\"params\":{\"value\":1},\"id\":1},"
                 "{\"method\":\"thing.echo\",\"params\":{\"value\":2}}, 5,"
                 "{\"method\":\"thing.echo\",\"params\":{\"value\":3},\"id\":3}]");
    CU_ASSERT_EQUAL(calls, 3);
    CU_ASSERT_EQUAL_FATAL(jv_length(answer), 3); /* None for the notification. */
    CU_ASSERT_EQUAL(jv_member_int(jv_at(answer, 0), "result", 0), 1);
    CU_ASSERT_TRUE(jv_has(jv_at(answer, 1), "error"));
    CU_ASSERT_EQUAL(jv_member_int(jv_at(answer, 2), "id", 0), 3);
    jv_unref(answer);
    CU_ASSERT_PTR_NULL(ask("[{\"method\":\"thing.echo\",\"params\":{\"value\":2}}]"));
    CU_ASSERT_TRUE(fails("[]", CONTROL_INVALID_REQUEST, "batch.size", "1 to 64"));
    used = (size_t)sprintf(line, "[");
    for (int i = 0; i <= CONTROL_BATCH_MAX; i++) {
        used += (size_t)sprintf(line + used, "%s{\"method\":\"x\"}", i ? "," : "");
    }
    strcpy(line + used, "]");
    CU_ASSERT_TRUE(fails(line, CONTROL_INVALID_REQUEST, "batch.size", "not 65"));
}

/* The total of a batch's answers is bounded; what is beyond is refused, not done. */
static void test_batch_answer_is_bounded(void)
{
    struct jv *answer;
    char line[4096] = "[";

    calls = 0;
    for (int i = 0; i < 40; i++) {
        sprintf(line + strlen(line), "%s{\"method\":\"thing.large\",\"id\":%d}", i ? "," : "", i);
    }
    strcat(line, "]");
    answer = ask(line);
    CU_ASSERT_EQUAL(jv_length(answer), 40);
    CU_ASSERT_TRUE(calls >= 4 && calls <= 6);
    CU_ASSERT_EQUAL(jv_member_int(jv_get(jv_at(answer, 39), "error"), "code", 0), CONTROL_LIMIT);
    CU_ASSERT_EQUAL(jv_member_int(jv_at(answer, 39), "id", 0), 39);
    jv_unref(answer);
}

static void test_topics(void)
{
    struct control_session s = {.topic_count = 2, .topics = {"port", "fdb.moved"}};

    CU_ASSERT_TRUE(control_session_wants(&s, "port.added"));
    CU_ASSERT_TRUE(control_session_wants(&s, "fdb.moved"));
    CU_ASSERT_FALSE(control_session_wants(&s, "fdb.learned"));
    CU_ASSERT_FALSE(control_session_wants(&s, "ports.added"));
    strcpy(s.topics[1], "*");
    CU_ASSERT_TRUE(control_session_wants(&s, "guest.exited"));
    s.topic_count = 0;
    CU_ASSERT_FALSE(control_session_wants(&s, "port.added"));
}

static void test_describe(void)
{
    struct jv *list = control_dispatch_describe(&dispatch);

    CU_ASSERT_EQUAL(jv_length(list), 3);
    CU_ASSERT_STRING_EQUAL(jv_member_string(jv_at(list, 1), "role", ""), "operator");
    CU_ASSERT_EQUAL(jv_length(jv_get(jv_at(list, 0), "params")), 1);
    jv_unref(list);
}

static void test_too_long(void)
{
    char *text = control_dispatch_too_long();

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "request.too_long"));
    free(text);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "calls", test_calls },
        { "notifications", test_notifications },
        { "bad requests", test_bad_requests },
        { "what an error says", test_error_data },
        { "roles", test_roles },
        { "batches", test_batches },
        { "a batch with large answers", test_batch_answer_is_bounded },
        { "topics", test_topics },
        { "rpc.methods", test_describe },
        { "a line that is too long", test_too_long },
        CU_TEST_INFO_NULL,
    };

    return unit_run("control_dispatch", tests);
}
