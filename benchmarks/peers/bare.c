/* The floor: a WebSocket server in C that sends every message it gets to everybody, one send() each. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MOST = 20000 };
static int everybody[MOST], count, open_already[MOST + 64];

static void shake(int fd, const char *request)
{
	unsigned char digest[SHA_DIGEST_LENGTH];
	char key[128], proof[64], answer[256];
	const char *at = strcasestr(request, "sec-websocket-key: ");
	if (!at || sscanf(at + 19, "%60s", key) != 1)
		exit(1);
	strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	SHA1((unsigned char *)key, strlen(key), digest);
	EVP_EncodeBlock((unsigned char *)proof, digest, sizeof digest);
	int length = snprintf(answer, sizeof answer,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n", proof);
	send(fd, answer, (size_t)length, 0);
	open_already[fd] = 1;
	everybody[count++] = fd;
}

/* Sends one frame to everybody; returns its length as it came. */
static size_t pass_on(const unsigned char *frame)
{
	unsigned char out[1024];
	size_t length = frame[1] & 0x7f, head = 2;
	if (length == 126) {
		length = (size_t)frame[2] << 8 | frame[3];
		head = 4;
	}
	memcpy(out, frame, head);
	out[1] &= 0x7f;
	for (size_t i = 0; i < length; i++)
		out[head + i] = frame[head + 4 + i] ^ frame[head + i % 4];
	for (int i = 0; i < count; i++)
		send(everybody[i], out, head + length, MSG_DONTWAIT | MSG_NOSIGNAL);
	return head + 4 + length;
}

int main(void)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	socklen_t size = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0), one = 1;
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 2048))
		return 1;
	getsockname(listener, (struct sockaddr *)&here, &size);
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
	printf("%d\n", ntohs(here.sin_port));
	fflush(stdout);
	for (;;) {
		struct epoll_event events[256];
		int ready = epoll_wait(poller, events, 256, -1);
		for (int i = 0; i < ready; i++) {
			char data[4096];
			int fd = events[i].data.fd;
			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
				continue;
			}
			ssize_t length = recv(fd, data, sizeof data - 1, 0);
			if (length <= 0) {
				close(fd);
				continue;
			}
			data[length] = 0;
			if (!open_already[fd])
				shake(fd, data);
			else
				for (ssize_t at = 0; at < length;)
					at += (ssize_t)pass_on((unsigned char *)data + at);
		}
	}
}
