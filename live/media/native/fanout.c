/* Sends packets to many viewers: AES-128-GCM (RFC 7714) by libcrypto, runs of equal size by UDP segmentation
 * offload, everything by sendmmsg, all of it without Python's lock.
 *
 * Python gives fan-outs: a body, and a cast of viewers with a head and rows of which their RTP headers are made
 * here, or else for each viewer a peer and its 12-byte header. What a call does:
 *   collect   with the lock: one Job per packet and viewer, in a list per viewer; references keep all alive
 *   run       without it: viewer by viewer, seal into an arena, flush the arena by sendmmsg when it is full
 *   report    with it again: counts, and what the kernel did not take, which Python's queue keeps
 * A viewer's key, its cipher context and its streams' packet indices live in a Sealer, and are freed with it.
 * What is looked up of a cast's viewers is kept with the cast, in a Table; that a viewer is still connected, and
 * where it is, is looked at in every call.
 *
 * Attributes read of Python's objects: fanout.body, fanout.headers, fanout.cast, fanout.head, cast.peers, cast.rows,
 * cast.prepared, peer.srtp, srtp.sealer, peer.paths, paths.chosen. `live/media/fanout.py` is the only caller;
 * tests/media/test_fanout.py holds both to their word.
 */
#define _GNU_SOURCE
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

enum {
    INTERFACE = 3,          /* live.media.fanout.INTERFACE: raise both when what Python passes changes */
    HEADER = 12,            /* bytes of a fixed RTP header */
    SALT = 12,              /* bytes of the salt, and of a nonce (RFC 7714 §8.1) */
    KEY = 16,
    TAG = 16,
    LONGEST = 2048 - 20,    /* live.media.srtp.DATAGRAM_LIMIT without what protection adds */
    SEGMENTS = 64,          /* datagrams the kernel takes in one message (UDP_MAX_SEGMENTS) */
    RUN_LIMIT = 60000,      /* bytes that one message may have */
    MESSAGES = 64,          /* messages of one sendmmsg */
    ARENA = 256 * 1024,     /* sealed bytes of one sendmmsg: they fit the cache; more than RUN_LIMIT */
};

/* — sealing — */

typedef struct {
    uint32_t ssrc;
    uint64_t highest; /* roll-over counter and sequence number of the newest packet (RFC 3711 §3.3.1) */
} Stream;

typedef struct {
    PyObject_HEAD
    EVP_CIPHER_CTX *context;
    uint8_t salt[SALT];
    Stream *streams;
    size_t streams_used, streams_room;
    PyObject *address; /* the tuple that `name` was made of, compared by identity */
    struct sockaddr_storage name;
    socklen_t name_size; /* 0: not a UDP address */
    int sock;            /* the one to send by; -1: that of the address's family */
    uint64_t call;       /* the call that `first` and `last` belong to */
    size_t first, last;  /* this viewer's jobs */
} Sealer;

/* The packet index of a sequence number, by the rule that libsrtp has on both sides: within 2^15 of the newest. */
static uint64_t place(Stream *stream, uint16_t sequence)
{
    uint64_t cycle = stream->highest >> 16;
    uint32_t newest = stream->highest & 0xFFFF;
    if (newest < 0x8000) {
        if (cycle > 0 && sequence > newest + 0x8000)
            cycle--; /* late, from before the wrap */
    } else if (sequence < newest - 0x8000) {
        cycle++;
    }
    uint64_t index = cycle << 16 | sequence;
    if (index > stream->highest)
        stream->highest = index;
    return index;
}

static Stream *stream_of(Sealer *sealer, uint32_t ssrc)
{
    for (size_t n = 0; n < sealer->streams_used; n++)
        if (sealer->streams[n].ssrc == ssrc)
            return &sealer->streams[n];
    if (sealer->streams_used == sealer->streams_room) {
        size_t room = sealer->streams_room ? 2 * sealer->streams_room : 4;
        Stream *more = realloc(sealer->streams, room * sizeof *more);
        if (!more)
            return NULL;
        sealer->streams = more;
        sealer->streams_room = room;
    }
    Stream *stream = &sealer->streams[sealer->streams_used++];
    *stream = (Stream){.ssrc = ssrc};
    return stream;
}

/* How many bytes stay in the clear: header, contributing sources, extensions. 0: they reach beyond the packet. */
static size_t clear_bytes(const uint8_t *header, const uint8_t *body, size_t body_size)
{
    size_t at = 4 * (size_t)(header[0] & 0x0F); /* from the body's start */
    if (header[0] & 0x10) {
        if (at + 4 > body_size)
            return 0;
        at += 4 + 4 * ((size_t)body[at + 2] << 8 | body[at + 3]);
    }
    return at > body_size ? 0 : HEADER + at;
}

/* Writes the sealed packet of a header and a body, the first `clear` bytes of which stay readable, and the tag
 * behind it. Gives 0 when libcrypto or memory fails. */
static int seal(Sealer *sealer, uint8_t *packet, const uint8_t *header, const uint8_t *body, size_t body_size,
                size_t clear)
{
    size_t size = HEADER + body_size;
    memcpy(packet, header, HEADER);
    memcpy(packet + HEADER, body, clear - HEADER);
    uint32_t ssrc;
    memcpy(&ssrc, packet + 8, 4);
    Stream *stream = stream_of(sealer, ssrc);
    if (!stream)
        return 0;
    uint64_t index = place(stream, (uint16_t)(packet[2] << 8 | packet[3]));
    uint8_t nonce[SALT] = {0};
    memcpy(nonce + 2, &ssrc, 4);
    for (int n = 0; n < 6; n++)
        nonce[6 + n] = (uint8_t)(index >> (40 - 8 * n));
    for (int n = 0; n < SALT; n++)
        nonce[n] ^= sealer->salt[n];
    int made;
    EVP_CIPHER_CTX *context = sealer->context;
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1
        && EVP_EncryptUpdate(context, NULL, &made, packet, (int)clear) == 1
        && EVP_EncryptUpdate(context, packet + clear, &made, body + clear - HEADER, (int)(size - clear)) == 1
        && EVP_EncryptFinal_ex(context, packet + size, &made) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, packet + size) == 1;
}

/* — a call — */

typedef struct {
    Sealer *sealer;      /* referenced */
    const uint8_t *body; /* of a bytes object that Call.bodies references */
    uint32_t body_size;
    uint32_t fanout; /* its place among those given */
    uint16_t clear;
    uint8_t header[HEADER];
    size_t next; /* the viewer's next job; 0: none (job 0 is never anybody's next) */
} Job;

typedef struct {
    PyObject *address; /* borrowed from a job's sealer */
    size_t start, size;
    uint32_t fanout;
} Left;

typedef union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(uint16_t))];
} Control;

typedef struct {
    int four, six;     /* sockets */
    int segments;      /* runs go by one message */
    int blocked;       /* the kernel takes no more: what follows is left */
    PyObject *bodies;  /* keeps bodies alive */
    PyObject *foreign; /* (peer, header, body, fan-out's place) of those who must be served by Python */
    uint32_t fanout;   /* the place of the one that is being collected */
    Job *jobs;
    size_t jobs_used, jobs_room;
    size_t *viewers; /* each viewer's first job */
    size_t viewers_used, viewers_room;
    size_t filled; /* of the arena */
    int ready;     /* messages in it */
    uint8_t *left; /* sealed datagrams that were not taken, one behind the other */
    size_t left_size, left_room, left_limit;
    Left *lefts;
    size_t lefts_used, lefts_room;
    long long changes; /* of anybody's way, so far */
    long long went, sent, unsendable, dropped;
} Call;

/* One call at a time in a process; `busy` is read and written with Python's lock. */
static int busy;
static uint64_t calls;
static uint8_t arena[ARENA + TAG];
static struct mmsghdr messages[MESSAGES];
static struct iovec pieces[MESSAGES];
static Control controls[MESSAGES];
static Sealer *receivers[MESSAGES];
static size_t segment_sizes[MESSAGES];
static size_t first_jobs[MESSAGES];

/* Makes room for one more item of a growing array; 0 when there is no memory. */
static int grow(void **items, size_t *room, size_t used, size_t size, size_t needed)
{
    if (used + needed <= *room)
        return 1;
    size_t more = *room ? 2 * *room : 256;
    while (more < used + needed)
        more *= 2;
    void *moved = realloc(*items, more * size);
    if (!moved)
        return 0;
    *items = moved;
    *room = more;
    return 1;
}

/* — without Python's lock — */

static void leave(Call *call, Sealer *to, const uint8_t *datagram, size_t size, uint32_t fanout)
{
    if (call->left_size + size > call->left_limit
        || !grow((void **)&call->left, &call->left_room, call->left_size, 1, size)
        || !grow((void **)&call->lefts, &call->lefts_room, call->lefts_used, sizeof *call->lefts, 1)) {
        call->dropped++;
        return;
    }
    memcpy(call->left + call->left_size, datagram, size);
    call->lefts[call->lefts_used++] = (Left){to->address, call->left_size, size, fanout};
    call->left_size += size;
}

static int socket_of(const Call *call, const Sealer *to)
{
    if (to->sock >= 0)
        return to->sock;
    return to->name.ss_family == AF_INET ? call->four : call->six;
}

static long long datagrams_in(int message)
{
    size_t size = segment_sizes[message];
    return (long long)((pieces[message].iov_len + size - 1) / size);
}

/* Sends a message's datagrams one by one, or leaves them when the kernel takes no more. */
static void send_singly(Call *call, int message)
{
    Sealer *to = receivers[message];
    const uint8_t *at = pieces[message].iov_base, *end = at + pieces[message].iov_len;
    for (size_t job = first_jobs[message]; at < end;) {
        size_t size = segment_sizes[message] < (size_t)(end - at) ? segment_sizes[message] : (size_t)(end - at);
        if (!call->blocked) {
            if (sendto(socket_of(call, to), at, size, MSG_DONTWAIT, (struct sockaddr *)&to->name, to->name_size) >= 0) {
                call->sent++;
                at += size;
                job = call->jobs[job].next;
                continue;
            }
            if (errno == EINTR)
                continue;
            call->blocked = errno == EAGAIN || errno == EWOULDBLOCK;
        }
        if (call->blocked)
            leave(call, to, at, size, call->jobs[job].fanout);
        else
            call->unsendable++;
        at += size;
        job = call->jobs[job].next;
    }
}

/* A message was refused for another reason than a full buffer. */
static void refused(Call *call, int message, int error)
{
    if (messages[message].msg_hdr.msg_controllen == 0) {
        call->unsendable++;
        return;
    }
    if (error == EIO)
        call->segments = 0; /* no checksum offload on the way out: it will never work here */
    send_singly(call, message);
}

static void flush(Call *call)
{
    int at = 0;
    while (at < call->ready && !call->blocked) {
        int sock = socket_of(call, receivers[at]), end = at + 1;
        while (end < call->ready && socket_of(call, receivers[end]) == sock)
            end++;
        int taken = sendmmsg(sock, messages + at, (unsigned)(end - at), MSG_DONTWAIT);
        if (taken > 0) {
            for (end = at + taken; at < end; at++)
                call->sent += datagrams_in(at);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            call->blocked = 1;
        } else if (errno != EINTR) {
            refused(call, at++, errno);
        }
    }
    for (; at < call->ready; at++)
        send_singly(call, at);
    call->ready = 0;
    call->filled = 0;
}

/* Puts sealed bytes of the arena into the next message: datagrams of `segment` bytes, the last perhaps shorter,
 * which the jobs from `first` on made. */
static void add_message(Call *call, Sealer *to, size_t size, size_t segment, size_t first)
{
    int n = call->ready++;
    receivers[n] = to;
    segment_sizes[n] = segment;
    first_jobs[n] = first;
    pieces[n] = (struct iovec){arena + call->filled, size};
    call->filled += size;
    messages[n] = (struct mmsghdr){.msg_hdr = {.msg_name = &to->name, .msg_namelen = to->name_size,
                                               .msg_iov = &pieces[n], .msg_iovlen = 1}};
    if (size <= segment)
        return;
    messages[n].msg_hdr.msg_control = &controls[n];
    messages[n].msg_hdr.msg_controllen = sizeof controls[n];
    uint16_t each = (uint16_t)segment;
    controls[n].head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof each), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT};
    memcpy(CMSG_DATA(&controls[n].head), &each, sizeof each);
}

static size_t sealed_size(const Job *job)
{
    return HEADER + (size_t)job->body_size + TAG;
}

/* How many jobs from `first` on make one message: equal sizes, only the last may be shorter. */
static size_t run_length(const Call *call, size_t first)
{
    size_t each = sealed_size(&call->jobs[first]), all = each, count = 1;
    for (size_t n = call->jobs[first].next; call->segments && n && count < SEGMENTS; n = call->jobs[n].next) {
        size_t size = sealed_size(&call->jobs[n]);
        if (size > each || all + size > RUN_LIMIT)
            break;
        all += size;
        count++;
        if (size < each)
            break;
    }
    return count;
}

/* Seals `count` jobs from `first` on into the arena, as one message; gives the job after them. */
static size_t send_run(Call *call, size_t first, size_t count)
{
    Sealer *sealer = call->jobs[first].sealer;
    size_t each = sealed_size(&call->jobs[first]), n = first;
    if (call->ready == MESSAGES || call->filled + count * each > ARENA)
        flush(call);
    size_t end = call->filled;
    for (size_t at = 0; at < count; at++) {
        Job *job = &call->jobs[n];
        uint8_t *packet = arena + end;
        if (!seal(sealer, packet, job->header, job->body, job->body_size, job->clear)) {
            call->unsendable += (long long)count; /* never seen: libcrypto or memory failed */
            for (; at < count; at++)
                n = call->jobs[n].next;
            return n;
        }
        end += sealed_size(job);
        n = job->next;
    }
    add_message(call, sealer, end - call->filled, each, first);
    call->went += (long long)count;
    return n;
}

static void run(Call *call)
{
    for (size_t viewer = 0; viewer < call->viewers_used; viewer++) {
        size_t job = call->viewers[viewer], next;
        do {
            next = send_run(call, job, run_length(call, job));
        } while ((job = next));
    }
    flush(call);
}

/* — with Python's lock — */

static PyObject *names[11];
enum { BODY, HEADERS, SRTP, SEALER, PATHS, CHOSEN, CAST, HEAD, PEERS, ROWS, PREPARED };

static PyTypeObject *sealer_type, *table_type;

/* Reads the address of a tuple (host, port[, flow, scope][, socket]); another one is no UDP address. */
static void read_name(Sealer *sealer, PyObject *address)
{
    Py_INCREF(address);
    Py_XDECREF(sealer->address);
    sealer->address = address;
    sealer->name_size = 0;
    memset(&sealer->name, 0, sizeof sealer->name);
    const char *host;
    unsigned int port, flow = 0, scope = 0;
    Py_ssize_t size = PyTuple_Size(address);
    sealer->sock = -1;
    if ((size == 2 && PyArg_ParseTuple(address, "sI", &host, &port))
        || (size == 3 && PyArg_ParseTuple(address, "sIi", &host, &port, &sealer->sock))) {
        struct sockaddr_in *name = (struct sockaddr_in *)&sealer->name;
        name->sin_family = AF_INET;
        name->sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &name->sin_addr) == 1)
            sealer->name_size = sizeof *name;
    } else if ((size == 4 && PyArg_ParseTuple(address, "sIII", &host, &port, &flow, &scope))
               || (size == 5 && PyArg_ParseTuple(address, "sIIIi", &host, &port, &flow, &scope, &sealer->sock))) {
        struct sockaddr_in6 *name = (struct sockaddr_in6 *)&sealer->name;
        char plain[INET6_ADDRSTRLEN] = {0};
        size_t length = strcspn(host, "%");
        memcpy(plain, host, length < sizeof plain ? length : 0);
        name->sin6_family = AF_INET6;
        name->sin6_port = htons((uint16_t)port);
        name->sin6_flowinfo = htonl(flow);
        name->sin6_scope_id = scope;
        if (inet_pton(AF_INET6, plain, &name->sin6_addr) == 1)
            sealer->name_size = sizeof *name;
    }
    PyErr_Clear();
}

/* Gives 1 when the address is known (`sealer->name_size` tells of which kind), 0 when not, -1 on error. */
static int look_at_path(Sealer *sealer, PyObject *paths)
{
    PyObject *chosen = paths ? PyObject_GetAttr(paths, names[CHOSEN]) : NULL;
    if (!chosen)
        return -1;
    int known = chosen != Py_None;
    if (known && chosen != sealer->address)
        read_name(sealer, chosen);
    Py_DECREF(chosen);
    return known;
}

static int add_foreign(Call *call, PyObject *peer, PyObject *header, PyObject *body)
{
    PyObject *item = Py_BuildValue("(OOOI)", peer, header, body, call->fanout);
    int failed = !item || PyList_Append(call->foreign, item);
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

/* Adds a job to its viewer's list; takes the reference to the sealer. */
static int add_job(Call *call, Sealer *sealer, const uint8_t *header, const uint8_t *body, size_t size, size_t clear)
{
    if (!grow((void **)&call->jobs, &call->jobs_room, call->jobs_used, sizeof(Job), 1)
        || !grow((void **)&call->viewers, &call->viewers_room, call->viewers_used, sizeof(size_t), 1)) {
        Py_DECREF(sealer);
        PyErr_NoMemory();
        return -1;
    }
    size_t n = call->jobs_used++;
    call->jobs[n] = (Job){.sealer = sealer, .body = body, .body_size = (uint32_t)size,
                           .clear = (uint16_t)clear, .fanout = call->fanout};
    memcpy(call->jobs[n].header, header, HEADER);
    if (sealer->call == calls) {
        call->jobs[sealer->last].next = n;
    } else {
        sealer->call = calls;
        call->viewers[call->viewers_used++] = n;
    }
    sealer->last = n;
    return 0;
}

/* One packet for one viewer: a job, a foreign one, or nothing when the viewer is not connected. */
static int collect_one(Call *call, PyObject *peer, PyObject *header, PyObject *body)
{
    char *head, *bytes;
    Py_ssize_t head_size, size;
    if (PyBytes_AsStringAndSize(header, &head, &head_size) || PyBytes_AsStringAndSize(body, &bytes, &size))
        return -1;
    PyObject *srtp = PyObject_GetAttr(peer, names[SRTP]);
    if (!srtp || srtp == Py_None) {
        Py_XDECREF(srtp);
        return srtp ? 0 : -1;
    }
    PyObject *found = PyObject_GetAttr(srtp, names[SEALER]);
    Py_DECREF(srtp);
    if (!found)
        return -1;
    Sealer *sealer = (Sealer *)found;
    int path = 1;
    if (Py_TYPE(found) == sealer_type && sealer->call != calls) {
        PyObject *paths = PyObject_GetAttr(peer, names[PATHS]);
        path = look_at_path(sealer, paths);
        Py_XDECREF(paths);
    }
    if (Py_TYPE(found) != sealer_type || (path > 0 && !sealer->name_size)) {
        Py_DECREF(found);
        return add_foreign(call, peer, header, body);
    }
    size_t clear = 0;
    if (path > 0 && head_size == HEADER && size + HEADER <= LONGEST)
        clear = clear_bytes((uint8_t *)head, (uint8_t *)bytes, (size_t)size);
    if (!clear) {
        Py_DECREF(found);
        return path < 0 ? -1 : 0;
    }
    return add_job(call, sealer, (uint8_t *)head, (uint8_t *)bytes, (size_t)size, clear);
}

/* — casts — */

typedef struct {
    long long looked; /* when `connected` was looked up, by the count of changes */
    int connected;
    PyObject *srtp;  /* what `sealer` was read of; NULL: nothing is known of this viewer yet */
    PyObject *paths;
    Sealer *sealer;
    uint32_t ssrc, timestamp;
    uint16_t shift;
    uint8_t pt;
} Seat;

typedef struct {
    PyObject_HEAD
    size_t size;
    Seat *seats;
} Table;

static void leave_seat(Seat *seat)
{
    Py_CLEAR(seat->srtp);
    Py_CLEAR(seat->paths);
    Py_CLEAR(seat->sealer);
}

static void table_free(PyObject *self)
{
    Table *table = (Table *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (size_t n = 0; n < table->size; n++)
        leave_seat(&table->seats[n]);
    free(table->seats);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* A cast's rows, read once: live.sfu.contract.ROW, in the machine's byte order without gaps. */
static Table *table_of_rows(PyObject *rows, size_t peers)
{
    enum { ROW = 12 };
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(rows, &bytes, &size))
        return NULL;
    if ((size_t)size != peers * ROW) {
        PyErr_SetString(PyExc_ValueError, "a cast has a row for each peer");
        return NULL;
    }
    Table *table = (Table *)PyType_GenericAlloc(table_type, 0); /* all zero */
    if (!table)
        return NULL;
    if (!(table->seats = calloc(peers + 1, sizeof(Seat)))) {
        Py_DECREF((PyObject *)table);
        return (Table *)PyErr_NoMemory();
    }
    table->size = peers;
    for (size_t n = 0; n < peers; n++, bytes += ROW) {
        Seat *seat = &table->seats[n];
        seat->pt = (uint8_t)bytes[0];
        memcpy(&seat->shift, bytes + 2, 2);
        memcpy(&seat->timestamp, bytes + 4, 4);
        memcpy(&seat->ssrc, bytes + 8, 4);
    }
    return table;
}

/* The table that is kept with a cast, made now if there is none yet. */
static Table *table_of(PyObject *cast, size_t peers)
{
    PyObject *kept = PyObject_GetAttr(cast, names[PREPARED]);
    if (!kept || (Py_TYPE(kept) == table_type && ((Table *)kept)->size == peers))
        return (Table *)kept;
    Py_DECREF(kept);
    PyObject *rows = PyObject_GetAttr(cast, names[ROWS]);
    Table *table = rows ? table_of_rows(rows, peers) : NULL;
    Py_XDECREF(rows);
    if (table && PyObject_SetAttr(cast, names[PREPARED], (PyObject *)table))
        Py_CLEAR(table);
    return table;
}

/* Looks whether a viewer is connected as the seat knows it: 1, or 0 when it is not connected, -1 on error.
 * Without a sealer in the seat, Python must serve the viewer. */
static int look_at_seat(Seat *seat, PyObject *peer, long long changes)
{
    if (seat->sealer && seat->looked == changes)
        return seat->connected;
    PyObject *srtp = PyObject_GetAttr(peer, names[SRTP]);
    if (!srtp)
        return -1;
    if (srtp != seat->srtp || !seat->sealer) {
        leave_seat(seat);
        PyObject *found = srtp == Py_None ? NULL : PyObject_GetAttr(srtp, names[SEALER]);
        if (found && Py_TYPE(found) == sealer_type) {
            seat->sealer = (Sealer *)Py_NewRef(found);
            seat->srtp = Py_NewRef(srtp);
            seat->paths = PyObject_GetAttr(peer, names[PATHS]);
        }
        Py_XDECREF(found);
        if (PyErr_Occurred()) {
            Py_DECREF(srtp);
            leave_seat(seat);
            return -1;
        }
    }
    int connected = srtp != Py_None;
    Py_DECREF(srtp);
    if (connected && seat->sealer)
        connected = look_at_path(seat->sealer, seat->paths);
    if (connected < 0)
        leave_seat(seat);
    seat->looked = changes;
    seat->connected = connected;
    return connected;
}

typedef struct {
    unsigned char first, marker;
    short pt; /* negative: the viewer's own */
    unsigned short number;
    unsigned int timestamp;
} Head;

static void write_header(uint8_t *to, const Head *head, const Seat *seat)
{
    uint16_t number = htons((uint16_t)(head->number + seat->shift));
    uint32_t timestamp = htonl(head->timestamp + seat->timestamp), ssrc = htonl(seat->ssrc);
    to[0] = head->first;
    to[1] = (uint8_t)(head->marker | (head->pt < 0 ? seat->pt : head->pt));
    memcpy(to + 2, &number, 2);
    memcpy(to + 4, &timestamp, 4);
    memcpy(to + 8, &ssrc, 4);
}

/* One packet for the whole cast. */
static int collect_table(Call *call, Table *table, PyObject *peers, const Head *head, PyObject *body)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(body, &bytes, &size))
        return -1;
    size_t clear = size + HEADER <= LONGEST ? clear_bytes(&head->first, (uint8_t *)bytes, (size_t)size) : 0;
    for (size_t n = 0; clear && n < table->size; n++) {
        Seat *seat = &table->seats[n];
        PyObject *peer = PyTuple_GetItem(peers, (Py_ssize_t)n); /* borrowed */
        int connected = look_at_seat(seat, peer, call->changes);
        if (connected < 0)
            return -1;
        if (!connected)
            continue;
        uint8_t header[HEADER];
        write_header(header, head, seat);
        if (seat->sealer && seat->sealer->name_size) {
            Sealer *sealer = (Sealer *)Py_NewRef((PyObject *)seat->sealer);
            if (add_job(call, sealer, header, (uint8_t *)bytes, (size_t)size, clear))
                return -1;
            continue;
        }
        PyObject *alone = PyBytes_FromStringAndSize((char *)header, HEADER);
        int failed = !alone || add_foreign(call, peer, alone, body);
        Py_XDECREF(alone);
        if (failed)
            return -1;
    }
    return 0;
}

static int collect_cast(Call *call, PyObject *cast, PyObject *fanout, PyObject *body)
{
    Head head;
    PyObject *given = PyObject_GetAttr(fanout, names[HEAD]);
    PyObject *peers = given ? PyObject_GetAttr(cast, names[PEERS]) : NULL;
    Py_ssize_t count = peers ? PyTuple_Size(peers) : -1;
    Table *table = NULL;
    if (count >= 0
        && PyArg_ParseTuple(given, "bbhHI", &head.first, &head.marker, &head.pt, &head.number, &head.timestamp))
        table = table_of(cast, (size_t)count);
    int failed = !table || collect_table(call, table, peers, &head, body);
    Py_XDECREF((PyObject *)table);
    Py_XDECREF(peers);
    Py_XDECREF(given);
    return failed ? -1 : 0;
}

static int collect_headers(Call *call, PyObject *fanout, PyObject *body)
{
    PyObject *headers = PyObject_GetAttr(fanout, names[HEADERS]);
    Py_ssize_t count = headers ? PyList_Size(headers) : -1;
    int failed = count < 0;
    for (Py_ssize_t n = 0; n < count && !failed; n++) {
        PyObject *pair = PyList_GetItem(headers, n); /* borrowed */
        PyObject *peer = pair ? PyTuple_GetItem(pair, 0) : NULL;
        PyObject *header = peer ? PyTuple_GetItem(pair, 1) : NULL;
        failed = !header || collect_one(call, peer, header, body);
    }
    Py_XDECREF(headers);
    return failed ? -1 : 0;
}

static int collect_fanout(Call *call, PyObject *fanout)
{
    PyObject *body = PyObject_GetAttr(fanout, names[BODY]);
    PyObject *cast = body ? PyObject_GetAttr(fanout, names[CAST]) : NULL;
    int failed = !cast || PyList_Append(call->bodies, body);
    if (!failed)
        failed = cast == Py_None ? collect_headers(call, fanout, body) : collect_cast(call, cast, fanout, body);
    Py_XDECREF(cast);
    Py_XDECREF(body);
    return failed ? -1 : 0;
}

static int collect(Call *call, PyObject *fanouts)
{
    call->bodies = PyList_New(0);
    call->foreign = PyList_New(0);
    if (!call->bodies || !call->foreign)
        return -1;
    Py_ssize_t count = PyList_Size(fanouts);
    for (Py_ssize_t n = 0; n < count; n++, call->fanout++)
        if (collect_fanout(call, PyList_GetItem(fanouts, n)))
            return -1;
    return count < 0 ? -1 : 0;
}

static PyObject *report(const Call *call)
{
    PyObject *lefts = PyList_New(0);
    for (size_t n = 0; lefts && n < call->lefts_used; n++) {
        const Left *left = &call->lefts[n];
        PyObject *item = Py_BuildValue("(y#OI)", (char *)call->left + left->start, (Py_ssize_t)left->size, left->address,
                                       left->fanout);
        if (!item || PyList_Append(lefts, item))
            Py_CLEAR(lefts);
        Py_XDECREF(item);
    }
    if (!lefts)
        return NULL;
    return Py_BuildValue("(LLLLiNO)", call->went, call->sent, call->unsendable, call->dropped, call->segments, lefts,
                         call->foreign);
}

static void forget(Call *call)
{
    for (size_t n = 0; n < call->jobs_used; n++)
        Py_DECREF(call->jobs[n].sealer);
    Py_XDECREF(call->bodies);
    Py_XDECREF(call->foreign);
    free(call->jobs);
    free(call->viewers);
    free(call->left);
    free(call->lefts);
}

PyDoc_STRVAR(send_says,
             "send(fanouts, four, six, segments, blocked, limit, changes)\n--\n\n"
             "Seals and sends; gives (went, sent, unsendable, dropped, segments, left, foreign).\n\n"
             "What is known of a cast's viewers holds for as long as `changes` stays the same.");

static PyObject *send_fanouts(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *fanouts, *result = NULL;
    Py_ssize_t limit;
    Call call = {0};
    if (!PyArg_ParseTuple(arguments, "OiippnL", &fanouts, &call.four, &call.six, &call.segments, &call.blocked,
                          &limit, &call.changes))
        return NULL;
    if (busy) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is sending");
        return NULL;
    }
    busy = 1;
    calls++;
    call.left_limit = limit > 0 ? (size_t)limit : 0;
    if (!collect(&call, fanouts)) {
        Py_BEGIN_ALLOW_THREADS
        run(&call);
        Py_END_ALLOW_THREADS
        result = report(&call);
    }
    forget(&call);
    busy = 0;
    return result;
}

/* — the Sealer as Python sees it — */

static PyObject *sealer_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    const char *key, *salt;
    Py_ssize_t key_size, salt_size;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "a Sealer takes key and salt by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "y#y#", &key, &key_size, &salt, &salt_size))
        return NULL;
    if (key_size != KEY || salt_size != SALT) {
        PyErr_SetString(PyExc_ValueError, "the key has 16 bytes and the salt 12");
        return NULL;
    }
    Sealer *sealer = (Sealer *)PyType_GenericAlloc(type, 0); /* all zero */
    if (!sealer)
        return NULL;
    memcpy(sealer->salt, salt, SALT);
    sealer->context = EVP_CIPHER_CTX_new();
    if (!sealer->context
        || EVP_EncryptInit_ex(sealer->context, EVP_aes_128_gcm(), NULL, (const uint8_t *)key, NULL) != 1) {
        Py_DECREF(sealer);
        PyErr_SetString(PyExc_RuntimeError, "libcrypto has no AES-128-GCM");
        return NULL;
    }
    return (PyObject *)sealer;
}

static void sealer_free(PyObject *self)
{
    Sealer *sealer = (Sealer *)self;
    PyTypeObject *type = Py_TYPE(self);
    EVP_CIPHER_CTX_free(sealer->context); /* wipes the key */
    OPENSSL_cleanse(sealer->salt, SALT);
    free(sealer->streams);
    Py_XDECREF(sealer->address);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(seal_says, "seal(header, body)\n--\n\nThe sealed packet; raises ValueError when its lengths are impossible.");

static PyObject *sealer_seal(PyObject *self, PyObject *arguments)
{
    const char *header, *body;
    Py_ssize_t header_size, size;
    uint8_t packet[LONGEST + TAG];
    if (!PyArg_ParseTuple(arguments, "y#y#", &header, &header_size, &body, &size))
        return NULL;
    size_t clear = 0;
    if (header_size == HEADER && size + HEADER <= LONGEST)
        clear = clear_bytes((const uint8_t *)header, (const uint8_t *)body, (size_t)size);
    if (!clear || busy) {
        PyErr_SetString(clear ? PyExc_RuntimeError : PyExc_ValueError,
                        clear ? "another thread is sending" : "the packet's lengths are impossible");
        return NULL;
    }
    if (!seal((Sealer *)self, packet, (const uint8_t *)header, (const uint8_t *)body, (size_t)size, clear))
        return PyErr_NoMemory();
    return PyBytes_FromStringAndSize((char *)packet, HEADER + size + TAG);
}

static PyMethodDef sealer_methods[] = {{"seal", sealer_seal, METH_VARARGS, seal_says}, {0}};

static PyType_Slot sealer_slots[] = {
    {Py_tp_new, sealer_new},
    {Py_tp_dealloc, sealer_free},
    {Py_tp_methods, sealer_methods},
    {Py_tp_doc, "A viewer's SRTP session key, salt and packet indices: Sealer(key, salt)."},
    {0, NULL},
};

static PyType_Spec sealer_spec = {"live.media._fanout.Sealer", sizeof(Sealer), 0, Py_TPFLAGS_DEFAULT, sealer_slots};

static PyType_Slot table_slots[] = {
    {Py_tp_dealloc, table_free},
    {Py_tp_doc, "What is known of a cast's viewers; kept in its `prepared`."},
    {0, NULL},
};

static PyType_Spec table_spec = {"live.media._fanout.Table", sizeof(Table), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, table_slots};

static PyMethodDef methods[] = {{"send", send_fanouts, METH_VARARGS, send_says}, {0}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_fanout", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__fanout(void)
{
    static const char *const spelt[] = {"body", "headers", "srtp", "sealer", "paths", "chosen",
                                        "cast", "head", "peers", "rows", "prepared"};
    for (int n = 0; n < 11; n++)
        if (!(names[n] = PyUnicode_InternFromString(spelt[n])))
            return NULL;
    sealer_type = (PyTypeObject *)PyType_FromSpec(&sealer_spec);
    table_type = (PyTypeObject *)PyType_FromSpec(&table_spec);
    PyObject *module = sealer_type && table_type ? PyModule_Create(&definition) : NULL;
    if (module
        && (PyModule_AddObjectRef(module, "Sealer", (PyObject *)sealer_type)
            || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE)))
        Py_CLEAR(module);
    return module;
}
