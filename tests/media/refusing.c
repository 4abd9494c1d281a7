/* Loaded before libc by tests/media/test_segments.py: a kernel or network card that refuses UDP segmentation.
 *
 * Every message with control data is refused with the errno of REFUSE; all others pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int refuses(const struct msghdr *message)
{
    return message->msg_controllen && getenv("REFUSE");
}

static int refused(void)
{
    errno = atoi(getenv("REFUSE"));
    return -1;
}

ssize_t sendmsg(int sock, const struct msghdr *message, int flags)
{
    ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    return refuses(message) ? refused() : real(sock, message, flags);
}

int sendmmsg(int sock, struct mmsghdr *messages, unsigned int count, int flags)
{
    int (*real)(int, struct mmsghdr *, unsigned int, int) = dlsym(RTLD_NEXT, "sendmmsg");
    unsigned int fine = 0;
    while (fine < count && !refuses(&messages[fine].msg_hdr))
        fine++;
    return count && !fine ? refused() : real(sock, messages, fine, flags);
}
