/* The machine's limit: an epoll loop that reads whatever comes and writes one prepared answer, without parsing.
 *
 *   limit PORT FILE     FILE holds the answer as it goes over the wire
 *
 * An answer is written for each read that ends with an empty line; a request with "Connection: close" in it ends its
 * connection. It is also the origin behind the caches.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAST "Connection: close\r\n"

static char answer[1 << 16], last_answer[sizeof answer + sizeof LAST];
static size_t answer_bytes, last_answer_bytes;

static int listener(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 1024)) exit(1);
    return fd;
}

static void welcome(int epoll, int from)
{
    int fd, on = 1;
    while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void serve(int fd)
{
    char request[1 << 14];
    ssize_t size = read(fd, request, sizeof request - 1);
    if (size <= 0) { close(fd); return; }
    request[size] = 0;
    if (size < 4 || memcmp(request + size - 4, "\r\n\r\n", 4)) return;
    if (!strcasestr(request, "\r\nconnection: close")) {
        if (write(fd, answer, answer_bytes) < 0) close(fd);
        return;
    }
    if (write(fd, last_answer, last_answer_bytes) < 0) perror("write");
    close(fd);
}

static void prepare(FILE *file)
{
    answer_bytes = fread(answer, 1, sizeof answer - 1, file);
    char *second = strstr(answer, "\r\n") + 2;
    last_answer_bytes = (size_t)sprintf(last_answer, "%.*s" LAST, (int)(second - answer), answer);
    memcpy(last_answer + last_answer_bytes, second, answer_bytes - (size_t)(second - answer));
    last_answer_bytes += answer_bytes - (size_t)(second - answer);
}

int main(int count, char **arguments)
{
    if (count != 3) return 2;
    FILE *file = fopen(arguments[2], "rb");
    if (!file) return 1;
    prepare(file);
    int from = listener(atoi(arguments[1])), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = from}, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, from, &event);
    for (;;) {
        int found = epoll_wait(epoll, ready, 256, -1);
        for (int at = 0; at < found; at++) {
            if (ready[at].data.fd == from) welcome(epoll, from);
            else serve(ready[at].data.fd);
        }
    }
}
