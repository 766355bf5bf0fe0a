/* A load generator for TCP and unix sockets, which wrk does not have: one thread, one epoll loop, kept connections.
 *
 *   load_generator ADDRESS CONNECTIONS SECONDS REQUEST
 *
 * ADDRESS is 127.0.0.1:PORT or unix:PATH. REQUEST is the request as it goes over the wire. Each connection sends it, reads
 * the whole answer and sends it again. After SECONDS, and after at least one answer, it prints the answers per second, and
 * the microseconds within which 50 % and 99 % of them came. When a connection fails, or an answer is no 200 with a
 * Content-Length, it says so on stderr and exits with 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define OK "HTTP/1.1 200 "
#define LENGTH "\r\ncontent-length:"
#define LONGEST_US 1000000

struct connection {
    int fd;
    size_t used;
    uint64_t sent_ns;
    char answer[1 << 15];
};

static const char *request;
static size_t request_bytes;
static uint32_t counts[LONGEST_US]; /* answers by microseconds; the last one counts all that took longer */

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %.200s\n", what, detail);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int connect_to(const char *address)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in host = {.sin_family = AF_INET};
    const char *port = strrchr(address, ':');
    int on = 1, fd, failed;
    if (!strncmp(address, "unix:", 5)) {
        strncpy(path.sun_path, address + 5, sizeof path.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        failed = connect(fd, (struct sockaddr *)&path, sizeof path);
    } else {
        host.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        host.sin_port = htons((uint16_t)atoi(port ? port + 1 : ""));
        fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        failed = connect(fd, (struct sockaddr *)&host, sizeof host);
    }
    if (failed) fail("cannot connect", address);
    return fd;
}

static void send_request(struct connection *to)
{
    to->used = 0;
    to->sent_ns = now_ns();
    if (send(to->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) fail("cannot send", request);
}

/* How long the whole answer is, or 0 while its head is incomplete. */
static size_t answer_bytes(const struct connection *from)
{
    const char *end = strstr(from->answer, "\r\n\r\n"), *length = strcasestr(from->answer, LENGTH);
    if (!end) return 0;
    if (strncmp(from->answer, OK, strlen(OK)) || !length || length > end) fail("a wrong answer", from->answer);
    return (size_t)(end + 4 - from->answer) + strtoul(length + strlen(LENGTH), NULL, 10);
}

/* Whether a whole answer was read; the request has then been sent again. */
static int receive(struct connection *from)
{
    ssize_t size = recv(from->fd, from->answer + from->used, sizeof from->answer - 1 - from->used, MSG_DONTWAIT);
    if (size <= 0) fail("the connection ended within an answer", from->answer);
    from->used += (size_t)size;
    from->answer[from->used] = 0;
    size_t expected = answer_bytes(from);
    if (!expected || from->used < expected) return 0;
    if (from->used > expected) fail("more than one answer", from->answer + expected);
    uint64_t took_us = (now_ns() - from->sent_ns) / 1000;
    counts[took_us < LONGEST_US ? took_us : LONGEST_US - 1]++;
    send_request(from);
    return 1;
}

static unsigned share_us(uint64_t answers, double share)
{
    uint64_t seen = 0;
    unsigned at = 0;
    while ((seen += counts[at]) < share * (double)answers) at++;
    return at;
}

int main(int count, char **arguments)
{
    if (count != 5) return 2;
    int connections = atoi(arguments[2]), epoll = epoll_create1(0);
    double seconds = atof(arguments[3]);
    request = arguments[4];
    request_bytes = strlen(request);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int at = 0; at < connections; at++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[at]};
        all[at].fd = connect_to(arguments[1]);
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[at].fd, &event);
    }
    uint64_t began_ns = now_ns(), end_ns = began_ns + (uint64_t)(seconds * 1e9), answers = 0;
    for (int at = 0; at < connections; at++) send_request(&all[at]);
    while (now_ns() < end_ns || !answers) {
        struct epoll_event ready[256];
        int found = epoll_wait(epoll, ready, 256, -1);
        for (int at = 0; at < found; at++) answers += (uint64_t)receive(ready[at].data.ptr);
    }
    double took_s = (double)(now_ns() - began_ns) / 1e9;
    printf("%.1f %u %u\n", (double)answers / took_s, share_us(answers, 0.5), share_us(answers, 0.99));
}
