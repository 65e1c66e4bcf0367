/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/vhost_user: forms of the messages, and their transport with
 * descriptors, in pieces, and malformed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/vhost_user.h"
#include "tests/unit/unit.h"

static int pair[2];
static struct vhost_user_receiver receiver;

static int open_pair(void)
{
    vhost_user_receiver_init(&receiver);
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int close_pair(void)
{
    vhost_user_receiver_clear(&receiver);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static unsigned count_fds(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static struct vhost_user_message make(uint32_t request, uint32_t size)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, size);
    return message;
}

static void test_transport(void)
{
    struct vhost_user_message message = make(VHOST_USER_SET_MEM_TABLE, 8 + 2 * 32);
    unsigned before = count_fds();

    CU_ASSERT_EQUAL(open_pair(), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EAGAIN);
    message.payload.memory.count = 2;
    message.payload.memory.regions[1].size = 0x1234567890;
    message.fds[0] = message.fds[1] = pair[0];
    message.fd_count = 2;
    CU_ASSERT_EQUAL(vhost_user_send(pair[0], &message), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
    CU_ASSERT_EQUAL(receiver.message.header.request, VHOST_USER_SET_MEM_TABLE);
    CU_ASSERT_EQUAL(receiver.message.payload.memory.regions[1].size, 0x1234567890);
    CU_ASSERT_EQUAL(receiver.message.fd_count, 2);
    CU_ASSERT_PTR_NULL(vhost_user_check_request(&receiver.message));
    CU_ASSERT_EQUAL(count_fds(), before + 4);
    /* One is taken out, the other is closed with the message. */
    close(vhost_user_take_fd(&receiver.message, 0));
    CU_ASSERT_EQUAL(vhost_user_take_fd(&receiver.message, 2), -1);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EAGAIN);
    CU_ASSERT_EQUAL(count_fds(), before + 2);
    close_pair();
}

static void test_in_pieces(void)
{
    struct vhost_user_message message = make(VHOST_USER_SET_FEATURES, 8);
    uint8_t wire[20];

    CU_ASSERT_EQUAL(open_pair(), 0);
    message.payload.number = 0x1122334455667788;
    memcpy(wire, &message.header, 12);
    memcpy(wire + 12, &message.payload, 8);
    for (unsigned repeat = 0; repeat < 2; repeat++)
        for (unsigned i = 0; i < sizeof(wire); i++) {
            CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EAGAIN);
            CU_ASSERT_EQUAL(write(pair[0], wire + i, 1), 1);
            if (i + 1 == sizeof(wire))
            CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
        }
    CU_ASSERT_EQUAL(receiver.message.payload.number, 0x1122334455667788);
    /* Two at once are still two. */
    CU_ASSERT_EQUAL(write(pair[0], wire, sizeof(wire)), sizeof(wire));
    CU_ASSERT_EQUAL(write(pair[0], wire, sizeof(wire)), sizeof(wire));
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EAGAIN);
    shutdown(pair[0], SHUT_WR);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), ECONNRESET);
    close_pair();
}

static void send_header(uint32_t request, uint32_t flags, uint32_t size)
{
    struct vhost_user_header header = { request, flags, size };

    CU_ASSERT_EQUAL(write(pair[0], &header, sizeof(header)), sizeof(header));
}

static void test_malformed_transport(void)
{
    unsigned before = count_fds();
    char control[CMSG_SPACE(sizeof(int) * 20)] = { 0 };
    struct cmsghdr *c = (struct cmsghdr *)control;
    struct vhost_user_header header = { VHOST_USER_SET_OWNER, 1, 0 };
    struct iovec iov = { &header, sizeof(header) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

    CU_ASSERT_EQUAL(open_pair(), 0);
    send_header(VHOST_USER_SET_OWNER, 1, 0xffffffffu);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EMSGSIZE);
    close_pair();
    CU_ASSERT_EQUAL(open_pair(), 0);
    send_header(VHOST_USER_SET_OWNER, 2, 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EPROTO);
    close_pair();
    /* Twenty descriptors: refused, and not one is left behind. */
    CU_ASSERT_EQUAL(open_pair(), 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * 20);
    for (unsigned i = 0; i < 20; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
    CU_ASSERT_EQUAL(sendmsg(pair[0], &msg, 0), sizeof(header));
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EPROTO);
    close_pair();
    CU_ASSERT_EQUAL(count_fds(), before);
    /* One is too many for who wants none, and is not even taken in. */
    CU_ASSERT_EQUAL(open_pair(), 0);
    receiver.takes_none = true;
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EAGAIN);
    send_header(VHOST_USER_SET_OWNER, 1, 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
    c->cmsg_len = CMSG_LEN(sizeof(int));
    msg.msg_controllen = CMSG_SPACE(sizeof(int));
    CU_ASSERT_EQUAL(sendmsg(pair[0], &msg, 0), sizeof(header));
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EPROTO);
    CU_ASSERT_EQUAL(recv(pair[1], &header, sizeof(header), 0), sizeof(header));
    close_pair();
    /* Eight with the header, and two more with the payload. */
    CU_ASSERT_EQUAL(open_pair(), 0);
    header = (struct vhost_user_header){ VHOST_USER_SET_FEATURES, 1, 8 };
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned n = 0; n < 8; n++)
            memcpy(CMSG_DATA(c) + n * sizeof(int), &pair[0], sizeof(int));
        c->cmsg_len = CMSG_LEN(sizeof(int) * (i ? 2 : 8));
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * (i ? 2 : 8));
        CU_ASSERT(sendmsg(pair[0], &msg, 0) > 0);
        iov.iov_len = 8;
    }
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EPROTO);
    close_pair();
    CU_ASSERT_EQUAL(count_fds(), before);
}

/* Where the kernel might find no room for what comes it is not taken in. */
static void test_no_room(void)
{
    struct vhost_user_message message = make(VHOST_USER_SET_VRING_CALL, 8);
    struct rlimit before, limit;

    CU_ASSERT_EQUAL(open_pair(), 0);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = count_fds() + 20;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CU_ASSERT_EQUAL(vhost_user_send(pair[0], &message), 0); /* one without any is taken */
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0);
    message.fds[0] = pair[0];
    message.fd_count = 1;
    CU_ASSERT_EQUAL(vhost_user_send(pair[0], &message), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), EMFILE);
    CU_ASSERT_EQUAL(receiver.message.fd_count, 0);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    CU_ASSERT_EQUAL(vhost_user_receive(&receiver, pair[1]), 0); /* it was left there */
    CU_ASSERT_EQUAL(receiver.message.fd_count, 1);
    close_pair();
}

static void test_request_forms(void)
{
    struct vhost_user_message m = make(VHOST_USER_SET_FEATURES, 8);

    CU_ASSERT_PTR_NULL(vhost_user_check_request(&m));
    m.header.size = 7;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m.header.size = 9;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m = make(VHOST_USER_SET_FEATURES, 8);
    m.header.flags |= VHOST_USER_REPLY;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m = make(VHOST_USER_SET_FEATURES, 8);
    m.fd_count = 1;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m = make(VHOST_USER_SET_MEM_TABLE, 8 + 32);
    m.payload.memory.count = 1;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m)); /* its descriptor is missing */
    m.fd_count = 1;
    CU_ASSERT_PTR_NULL(vhost_user_check_request(&m));
    m.payload.memory.count = m.fd_count = 2;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m)); /* its second region is missing */
    m.payload.memory.count = 0xffffffffu;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m = make(VHOST_USER_SET_VRING_KICK, 8);
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    m.payload.number = VHOST_USER_RING_NO_FD;
    CU_ASSERT_PTR_NULL(vhost_user_check_request(&m));
    m.fd_count = 1;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
    for (uint32_t request = 0; request < 100; request++) {
        m = make(request, 513);
        CU_ASSERT_PTR_NOT_NULL(vhost_user_check_request(&m));
        CU_ASSERT_PTR_NOT_NULL(vhost_user_request_name(request));
    }
    CU_ASSERT_STRING_EQUAL(vhost_user_request_name(VHOST_USER_SET_MEM_TABLE), "SET_MEM_TABLE");
    CU_ASSERT_STRING_EQUAL(vhost_user_request_name(0xffffffffu), "unknown");
}

static void test_reply_forms(void)
{
    struct vhost_user_message m = make(VHOST_USER_GET_FEATURES, 8);

    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_reply(&m, VHOST_USER_GET_FEATURES));
    m.header.flags |= VHOST_USER_REPLY;
    CU_ASSERT_PTR_NULL(vhost_user_check_reply(&m, VHOST_USER_GET_FEATURES));
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_reply(&m, VHOST_USER_GET_PROTOCOL_FEATURES));
    m.header.size = 4;
    CU_ASSERT_PTR_NOT_NULL(vhost_user_check_reply(&m, VHOST_USER_GET_FEATURES));
    CU_ASSERT_TRUE(vhost_user_has_reply(VHOST_USER_GET_VRING_BASE));
    CU_ASSERT_FALSE(vhost_user_has_reply(VHOST_USER_SET_FEATURES));
    CU_ASSERT_FALSE(vhost_user_has_reply(1000));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "transport with descriptors", test_transport },
        { "in pieces", test_in_pieces },
        { "malformed transport", test_malformed_transport },
        { "without room for descriptors", test_no_room },
        { "forms of requests", test_request_forms },
        { "forms of replies", test_reply_forms },
        CU_TEST_INFO_NULL,
    };

    return unit_run("vhost_user_message", tests);
}
