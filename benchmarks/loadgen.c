/* A DNS load generator that batches, so that it is not what is measured.
 *
 * loadgen SERVER PORT FILE SECONDS WINDOW RATE FIRST SOURCE...
 *
 * FILE holds queries as they go over the wire, each behind its length (two octets, big-endian). With RATE 0 the
 * load is closed: WINDOW queries are always outstanding, over one socket for each SOURCE. With a RATE the load is
 * open: so many queries a second whatever comes back. SECONDS 0 asks every query once; FIRST
 * is the query to begin with. One JSON object on stdout: replies, lost, latencies in
 * microseconds (exact, from every reply), replies by rcode. A query unanswered for a second counts as lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SOCKETS = 16, SLOTS = 4096, LARGEST = 2048 };
#define PATIENCE 1000000000LL

struct line {
    int fd, window, outstanding;
    uint16_t free[SLOTS];
    int spare;
    int64_t sent[SLOTS];
};

static struct line lines[SOCKETS];
static uint8_t *queries;
static uint32_t *starts, count, next_query;
static uint32_t *latencies;
static size_t replies, room;
static int once;
static uint64_t by_rcode[16], total_sent, lost, strange;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) { perror(what); exit(2); }

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    queries = malloc(size);
    starts = malloc(sizeof *starts * (size / 14 + 1));
    if (fread(queries, 1, size, file) != (size_t)size) die(path);
    for (long at = 0; at < size; at += 2 + (queries[at] << 8 | queries[at + 1])) starts[count++] = at;
    fclose(file);
}

static void send_some(struct line *line, int wanted) {
    static uint8_t ids[BATCH][2];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH][2];
    memset(messages, 0, sizeof messages);
    while (wanted > 0 && line->spare > 0) {
        if (once && total_sent >= count) return;
        int n = wanted < BATCH ? wanted : BATCH;
        if (n > line->spare) n = line->spare;
        int64_t at = now();
        for (int i = 0; i < n; i++) {
            uint16_t id = line->free[--line->spare];
            uint8_t *query = queries + starts[next_query];
            if (++next_query == count) next_query = 0;
            ids[i][0] = id >> 8, ids[i][1] = id & 255;
            line->sent[id] = at;
            parts[i][0] = (struct iovec){ids[i], 2};
            parts[i][1] = (struct iovec){query + 4, (query[0] << 8 | query[1]) - 2};
            messages[i].msg_hdr.msg_iov = parts[i];
            messages[i].msg_hdr.msg_iovlen = 2;
        }
        for (int done = 0; done < n;) {
            int sent = sendmmsg(line->fd, messages + done, n - done, 0);
            if (sent < 0 && errno != EAGAIN && errno != ECONNREFUSED) die("sendmmsg");
            if (sent > 0) done += sent;
        }
        line->outstanding += n, total_sent += n, wanted -= n;
    }
}

static int receive(struct line *line) {
    static uint8_t buffers[BATCH][LARGEST];
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], LARGEST};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int n = recvmmsg(line->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0) return 0;
    int64_t at = now();
    for (int i = 0; i < n; i++) {
        uint16_t id = buffers[i][0] << 8 | buffers[i][1];
        if (messages[i].msg_len < 12 || id >= SLOTS || !line->sent[id]) { strange++; continue; }
        if (replies == room) latencies = realloc(latencies, sizeof *latencies * (room = room ? room * 2 : 1 << 20));
        latencies[replies++] = (at - line->sent[id]) / 100;
        by_rcode[buffers[i][3] & 15]++;
        line->sent[id] = 0;
        line->free[line->spare++] = id;
        line->outstanding--;
    }
    return n;
}

static void give_up(struct line *line, int64_t at) {
    for (int id = 0; id < SLOTS; id++)
        if (line->sent[id] && at - line->sent[id] > PATIENCE) {
            line->sent[id] = 0, line->free[line->spare++] = id, line->outstanding--, lost++;
        }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double q) { return replies ? latencies[(size_t)(q * (replies - 1))] / 10.0 : 0; }

int main(int argc, char **argv) {
    if (argc < 9) return fprintf(stderr, "loadgen SERVER PORT FILE SECONDS WINDOW RATE FIRST SOURCE...\n"), 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    load(argv[3]);
    next_query = strtoul(argv[7], NULL, 10) % count;
    double seconds = atof(argv[4]), rate = atof(argv[6]);
    int sources = argc - 8 < SOCKETS ? argc - 8 : SOCKETS, window = atoi(argv[5]) / sources;
    struct pollfd polls[SOCKETS];
    once = seconds == 0;
    if (once) seconds = 120;
    for (int s = 0; s < sources; s++) {
        struct sockaddr_in own = {.sin_family = AF_INET};
        int size = 4 << 20;
        inet_pton(AF_INET, argv[8 + s], &own.sin_addr);
        lines[s].fd = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(lines[s].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (bind(lines[s].fd, (void *)&own, sizeof own) || connect(lines[s].fd, (void *)&server, sizeof server))
            die("bind");
        for (int id = 0; id < SLOTS; id++) lines[s].free[lines[s].spare++] = SLOTS - 1 - id;
        polls[s] = (struct pollfd){lines[s].fd, POLLIN, 0};
    }
    int64_t begin = now(), end = begin + (int64_t)(seconds * 1e9), checked = begin, at;
    for (uint64_t turn = 0; (at = now()) < end && !(once && replies + lost >= count);) {
        int64_t wait = 10000000;
        if (rate) {
            uint64_t due = (at - begin) / 1e9 * rate;
            for (; turn < due; turn++) send_some(&lines[turn % sources], 1);
            wait = begin + (int64_t)((turn + 1) / rate * 1e9) - now();
            if (wait < 0) wait = 0;
        } else
            for (int s = 0; s < sources; s++) send_some(&lines[s], window - lines[s].outstanding);
        struct timespec pause = {wait / 1000000000, wait % 1000000000};
        if (ppoll(polls, sources, &pause, NULL) > 0)
            for (int s = 0; s < sources; s++)
                if (polls[s].revents) while (receive(&lines[s]) == BATCH);
        if (at - checked > 100000000)
            for (int s = 0; s < sources; s++) give_up(&lines[s], at), checked = at;
    }
    size_t in_time = replies;
    double took = (now() - begin) / 1e9;
    for (int64_t grace = now() + PATIENCE; now() < grace;) {
        int waiting = 0;
        for (int s = 0; s < sources; s++) while (receive(&lines[s])); 
        for (int s = 0; s < sources; s++) waiting += lines[s].outstanding;
        if (!waiting) break;
        poll(polls, sources, 10);
    }
    for (int s = 0; s < sources; s++) lost += lines[s].outstanding;
    qsort(latencies, replies, sizeof *latencies, ascending);
    printf("{\"sent\": %lu, \"replies\": %zu, \"lost\": %lu, \"strange\": %lu, \"seconds\": %.3f, \"qps\": %.0f, "
           "\"p50\": %.1f, \"p99\": %.1f, \"worst\": %.1f, \"rcodes\": {", total_sent, replies, lost, strange, took,
           in_time / took, quantile(.5), quantile(.99), quantile(1));
    for (int r = 0, first = 1; r < 16; r++)
        if (by_rcode[r]) printf("%s\"%d\": %lu", first ? "" : ", ", r, by_rcode[r]), first = 0;
    printf("}}\n");
    return 0;
}
