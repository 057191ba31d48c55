/* A stand-in upstream that costs next to nothing: every A question is answered 198.51.100.7, TTL 300.
 *
 * stub ADDRESS PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, LARGEST = 1500 };

static const uint8_t answer[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 51, 100, 7};
static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};

/* Turn a query into its answer, in place; return the answer's length, 0 where there is none. */
static int reply(uint8_t *message, int length) {
    int at = 12, edns = message[11] || message[10];
    if (length < 17 || message[2] & 0x80) return 0;
    while (at < length && message[at]) at += message[at] + 1;
    at += 5;
    if (at > length) return 0;
    message[2] = 0x81, message[3] = 0x80;
    message[6] = message[8] = message[9] = message[10] = 0, message[7] = 1, message[11] = edns;
    memcpy(message + at, answer, sizeof answer), at += sizeof answer;
    if (edns) memcpy(message + at, opt, sizeof opt), at += sizeof opt;
    return at;
}

int main(int argc, char **argv) {
    static uint8_t buffers[BATCH][LARGEST];
    static struct mmsghdr in[BATCH], out[BATCH];
    static struct iovec parts[BATCH], sent[BATCH];
    static struct sockaddr_in peers[BATCH];
    if (argc != 3) return 2;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &own.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (void *)&own, sizeof own)) return perror("bind"), 1;
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){buffers[i], LARGEST - 64};
            in[i].msg_hdr = (struct msghdr){&peers[i], sizeof peers[i], &parts[i], 1, NULL, 0, 0};
        }
        int n = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, NULL), ready = 0;
        for (int i = 0; i < n; i++) {
            int length = reply(buffers[i], in[i].msg_len);
            if (!length) continue;
            sent[ready] = (struct iovec){buffers[i], length};
            out[ready].msg_hdr = (struct msghdr){&peers[i], sizeof peers[i], &sent[ready], 1, NULL, 0, 0};
            ready++;
        }
        for (int done = 0; done < ready;) {
            int m = sendmmsg(fd, out + done, ready - done, 0);
            done += m > 0 ? m : 1;
        }
    }
}
