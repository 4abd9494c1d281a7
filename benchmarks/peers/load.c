/* A load client: thousands of WebSockets that listen, one that publishes; counts and times what arrives.
 *
 *   load PORT DIALECT VIEWERS
 *
 * DIALECT is madoi, raw, nchan or socketio. Prints "ready" when everybody is in; each line on its input is an
 * order, answered by one line of JSON:
 *
 *   run RATE SECONDS        publish for a time
 *   cut                     every listener's connection ends without a goodbye
 *   back EPOCH SEQ EVENTS   all connect again at once with that position (madoi); so many events were missed
 *
 * An event is a text of 200 bytes that begins with "@t=<nanoseconds>@"; an answer may carry several events, each
 * of which is one delivery.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTING, SHAKING, OPEN };
enum { EVENT_BYTES = 200, WAVE = 256, SAMPLES = 1 << 21, SAMPLED = 16 };

struct line {
	int fd, state, ready, heard;
	size_t held, room;
	char *data;
};

static const char *dialect;
static int port, viewers, poller, ready, opened;
static struct line *lines;
static uint64_t deliveries;
static uint32_t *samples;
static size_t taken;
static unsigned long long epoch, position;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int is(const char *name) { return strcmp(dialect, name) == 0; }
static int publishes(const struct line *line) { return line == lines + viewers; }

/* One masked text frame (RFC 6455 5.2); a mask of zeros is a mask. */
static void say(struct line *line, const char *text, size_t length)
{
	char frame[1024 + 8];
	size_t head = length < 126 ? 6 : 8;
	frame[0] = (char)0x81;
	if (length < 126) {
		frame[1] = (char)(0x80 | length);
	} else {
		frame[1] = (char)(0x80 | 126);
		frame[2] = (char)(length >> 8);
		frame[3] = (char)length;
	}
	memset(frame + head - 4, 0, 4);
	memcpy(frame + head, text, length);
	if (write(line->fd, frame, head + length) != (ssize_t)(head + length))
		fail("a frame could not be written");
}

static void begin(struct line *line)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct epoll_event wish = {.events = EPOLLIN | EPOLLOUT, .data.ptr = line};
	int one = 1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	line->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (line->fd < 0)
		fail("socket");
	setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(line->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
		fail("connect");
	if (epoll_ctl(poller, EPOLL_CTL_ADD, line->fd, &wish))
		fail("epoll_ctl");
}

static void shake(struct line *line)
{
	char request[512];
	const char *path = is("madoi")      ? "/rooms/bench/socket"
			   : is("socketio") ? "/socket.io/?EIO=4&transport=websocket"
			   : is("nchan")    ? (publishes(line) ? "/pub" : "/sub")
					    : "/";
	int length = snprintf(request, sizeof request,
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWFkb2kgbWFkb2kgbWFkbw==\r\n%s\r\n",
		path, port, is("madoi") ? "Sec-WebSocket-Protocol: madoi.v1\r\n" : "");
	struct epoll_event wish = {.events = EPOLLIN, .data.ptr = line};
	if (write(line->fd, request, (size_t)length) != length)
		fail("the request could not be written");
	epoll_ctl(poller, EPOLL_CTL_MOD, line->fd, &wish);
	line->state = SHAKING;
}

static void is_ready(struct line *line)
{
	if (!line->ready) {
		line->ready = 1;
		ready++;
	}
}

static void greet(struct line *line)
{
	char hello[128];
	line->state = OPEN;
	if (is("madoi")) {
		int number = (int)(line - lines);
		int length = snprintf(hello, sizeof hello, "{\"t\":\"hello\",\"v\":1,\"ticket\":\"%s:p%d\"",
			publishes(line) ? "moderator" : "attendee", number);
		if (position)
			length += snprintf(hello + length, sizeof hello - (size_t)length, ",\"epoch\":%llu,\"seq\":%llu",
				epoch, position);
		hello[length++] = '}';
		say(line, hello, (size_t)length);
	} else if (is("socketio")) {
		say(line, "40", 2);
	} else {
		is_ready(line);
	}
}

/* A whole text message. */
static void hear(struct line *line, const char *text, size_t length)
{
	const char *at = text, *end = text + length;
	if (!line->ready && is("madoi") && memmem(text, length, "\"snapshot\"", 10))
		is_ready(line);
	if (!line->ready && is("socketio") && length >= 2 && !memcmp(text, "40", 2))
		is_ready(line);
	if (is("socketio") && length == 1 && *text == '2')
		say(line, "3", 1);
	if (publishes(line))
		return;
	/* By the byte that begins it: at a gigabyte a second, memmem() would want a third of this core. */
	while ((at = memchr(at, '@', (size_t)(end - at)))) {
		at++;
		if (end - at < 2 || memcmp(at, "t=", 2))
			continue;
		at += 2;
		deliveries++;
		line->heard++;
		if ((line - lines) % SAMPLED == 0 && taken < SAMPLES)
			samples[taken++] = (uint32_t)((now() - strtoull(at, NULL, 10)) / 1000);
	}
}

/* Consumes whole frames; returns how many bytes. */
static size_t frames(struct line *line)
{
	size_t used = 0;
	for (;;) {
		const unsigned char *p = (unsigned char *)line->data + used;
		size_t left = line->held - used, head = 2, length;
		if (left < 2)
			return used;
		length = p[1] & 0x7f;
		if (length == 126) {
			head = 4;
			if (left < head)
				return used;
			length = (size_t)p[2] << 8 | p[3];
		} else if (length == 127) {
			head = 10;
			if (left < head)
				return used;
			length = 0;
			for (int i = 2; i < 10; i++)
				length = length << 8 | p[i];
		}
		if (left < head + length)
			return used;
		if ((p[0] & 0x0f) == 8) {
			fprintf(stderr, "closed with %d\n", length >= 2 ? p[head] << 8 | p[head + 1] : 0);
			exit(1);
		}
		if ((p[0] & 0x0f) == 9) {
			unsigned char pong[6 + 125] = {0x8a, (unsigned char)(0x80 | length)};
			memcpy(pong + 6, p + head, length);
			if (write(line->fd, pong, 6 + length) < 0)
				fail("a pong could not be written");
		} else if ((p[0] & 0x0f) == 1) {
			hear(line, (const char *)p + head, length);
		}
		used += head + length;
	}
}

static void receive(struct line *line)
{
	for (;;) {
		ssize_t count;
		size_t used;
		if (line->room - line->held < 4096) {
			line->room = line->room ? 2 * line->room : 8192;
			line->data = realloc(line->data, line->room);
		}
		count = read(line->fd, line->data + line->held, line->room - line->held);
		if (count < 0 && errno == EAGAIN)
			return;
		if (count <= 0)
			fail("a connection ended");
		line->held += (size_t)count;
		if (line->state == SHAKING) {
			char *end = memmem(line->data, line->held, "\r\n\r\n", 4);
			if (!end)
				continue;
			if (memcmp(line->data, "HTTP/1.1 101", 12)) {
				fprintf(stderr, "refused: %.*s\n", (int)(end - line->data), line->data);
				exit(1);
			}
			used = (size_t)(end + 4 - line->data);
			memmove(line->data, line->data + used, line->held -= used);
			greet(line);
		}
		used = frames(line);
		memmove(line->data, line->data + used, line->held -= used);
		if (line->held == 0 && line->room > 65536) {
			free(line->data);
			line->data = NULL;
			line->room = 0;
		}
	}
}

static void turn(int milliseconds)
{
	struct epoll_event events[512];
	int count = epoll_wait(poller, events, 512, milliseconds);
	for (int i = 0; i < count; i++) {
		struct line *line = events[i].data.ptr;
		if (line->state == CONNECTING && events[i].events & EPOLLOUT)
			shake(line);
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			receive(line);
	}
}

static void publish(unsigned number)
{
	char event[EVENT_BYTES + 1], text[EVENT_BYTES + 200];
	int head = snprintf(event, sizeof event, "@t=%llu@", (unsigned long long)now());
	memset(event + head, 'x', (size_t)(EVENT_BYTES - head));
	event[EVENT_BYTES] = 0;
	if (is("madoi"))
		snprintf(text, sizeof text,
			"{\"t\":\"do\",\"ref\":%u,\"nonce\":\"load-%u-%d\",\"cmd\":{\"t\":\"post\",\"text\":\"%s\"}}",
			number, number, (int)getpid(), event);
	else if (is("socketio"))
		snprintf(text, sizeof text, "42[\"say\",\"%s\"]", event);
	else
		memcpy(text, event, sizeof event);
	say(lines + viewers, text, strlen(text));
}

static int smaller(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void run(double rate, double seconds)
{
	static unsigned number = 0;
	unsigned first = number;
	uint64_t start = now(), expected, end = start + (uint64_t)(seconds * 1e9), last;
	deliveries = taken = 0;
	while (now() < end) {
		double due = (double)(now() - start) / 1e9 * rate;
		while ((double)(number - first) < due)
			publish(++number);
		turn(1);
	}
	expected = (uint64_t)(number - first) * (uint64_t)viewers;
	last = now() + 10000000000u;
	while (deliveries < expected && now() < last)
		turn(5);
	qsort(samples, taken, sizeof *samples, smaller);
	printf("{\"published\":%u,\"expected\":%llu,\"deliveries\":%llu,\"seconds\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
		number - first, (unsigned long long)expected, (unsigned long long)deliveries,
		(double)(now() - start) / 1e9, taken ? samples[taken / 2] / 1e3 : -1,
		taken ? samples[(size_t)((double)taken * 0.99)] / 1e3 : -1);
	fflush(stdout);
}

static void cut(void)
{
	for (struct line *line = lines; !publishes(line); line++) {
		struct linger none = {.l_onoff = 1};
		setsockopt(line->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
		close(line->fd);
		line->state = CONNECTING;
		line->held = 0;
		line->ready = line->heard = 0;
	}
	puts("{}");
	fflush(stdout);
}

static void back(int missed)
{
	uint64_t start = now(), end = start + 60000000000u;
	int there, wrong = 0;
	deliveries = taken = 0;
	for (struct line *line = lines; !publishes(line); line++) {
		begin(line);
		if ((line - lines) % 64 == 63)
			turn(0);
	}
	do {
		turn(5);
		there = 0;
		for (struct line *line = lines; !publishes(line); line++)
			there += line->heard >= missed;
	} while (there < viewers && now() < end);
	start = now() - start;
	for (uint64_t settled = now() + 200000000u; now() < settled;)
		turn(10);
	for (struct line *line = lines; !publishes(line); line++)
		wrong += line->heard != missed;
	printf("{\"seconds\":%.3f,\"wrong\":%d}\n", (double)start / 1e9, wrong);
	fflush(stdout);
}

int main(int count, char **words)
{
	double rate, seconds;
	int missed;
	if (count != 4) {
		fprintf(stderr, "load PORT DIALECT VIEWERS\n");
		return 2;
	}
	port = atoi(words[1]);
	dialect = words[2];
	viewers = atoi(words[3]);
	lines = calloc((size_t)viewers + 1, sizeof *lines);
	samples = malloc(SAMPLES * sizeof *samples);
	poller = epoll_create1(0);
	while (ready < viewers + 1) {
		while (opened < viewers + 1 && opened < ready + WAVE)
			begin(lines + opened++);
		turn(10);
	}
	fcntl(0, F_SETFL, O_NONBLOCK);
	puts("ready");
	fflush(stdout);
	for (;;) {
		char order[64];
		ssize_t length = read(0, order, sizeof order - 1);
		if (length == 0)
			return 0;
		if (length > 0) {
			order[length] = 0;
			if (sscanf(order, "run %lf %lf", &rate, &seconds) == 2)
				run(rate, seconds);
			else if (sscanf(order, "back %llu %llu %d", &epoch, &position, &missed) == 3)
				back(missed);
			else if (!strcmp(order, "cut\n"))
				cut();
		}
		turn(20);
	}
}
