/* SPDX-License-Identifier: MIT */
/*
 * The messages of the local socket in bytes, and their way through a socket. Fields are written and
 * read one by one, so neither padding nor the byte order of a machine shows on the wire. Decoding
 * accepts exactly one length per type; it decides no policy: whether a format or a rate is accepted
 * is xaring_params_shape()'s, which has a reason to give.
 *
 * Every message begins with its type. The offsets below are those of the tables in
 * xaring-protocol(7), SOCKET; a 64-bit value is its low word and its high word.
 */
#include <xaring/wire.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OPEN_BYTES       120u
#define ACCEPT_BYTES     44u
#define REFUSE_BYTES     20u
#define KICK_BYTES       8u
#define KEEP_BYTES       12u
#define WATCH_BYTES      12u
#define STATUS_BYTES     8u
#define CHANGED_BYTES    8u
#define SET_VOLUME_BYTES 16u

/* Room for more descriptors than any message has: what fits is closed by us, the rest by the kernel. */
#define RECEIVE_FDS_MAX 16

static void put32(uint8_t *bytes, uint32_t at, uint32_t value)
{
	for (uint32_t i = 0; i < 4; i++)
		bytes[at + i] = (uint8_t)(value >> (8 * i));
}

static void put64(uint8_t *bytes, uint32_t at, uint64_t value)
{
	put32(bytes, at, (uint32_t)value);
	put32(bytes, at + 4, (uint32_t)(value >> 32));
}

static uint32_t get32(const uint8_t *bytes, uint32_t at)
{
	return (uint32_t)bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16 |
	       (uint32_t)bytes[at + 3] << 24;
}

static uint64_t get64(const uint8_t *bytes, uint32_t at)
{
	return get32(bytes, at) | (uint64_t)get32(bytes, at + 4) << 32;
}

/* The one length of a type, or 0 for an unknown type. */
static uint32_t type_bytes(uint32_t type)
{
	switch (type) {
	case XARING_MESSAGE_OPEN:
		return OPEN_BYTES;
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		return ACCEPT_BYTES;
	case XARING_MESSAGE_REFUSE:
		return REFUSE_BYTES;
	case XARING_MESSAGE_KICK:
		return KICK_BYTES;
	case XARING_MESSAGE_KEEP:
		return KEEP_BYTES;
	case XARING_MESSAGE_STATUS:
		return STATUS_BYTES;
	case XARING_MESSAGE_WATCH:
		return WATCH_BYTES;
	case XARING_MESSAGE_CHANGED:
		return CHANGED_BYTES;
	case XARING_MESSAGE_SET_VOLUME:
		return SET_VOLUME_BYTES;
	default:
		return 0;
	}
}

static uint32_t type_fds(enum xaring_message_type type)
{
	switch (type) {
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		return XARING_WIRE_FDS;
	case XARING_MESSAGE_KEEP:
	case XARING_MESSAGE_STATUS:
		return 1;
	default:
		return 0;
	}
}

static void encode_open(const struct xaring_open *open, uint8_t *bytes)
{
	put32(bytes, 4, open->version_min);
	put32(bytes, 8, open->version);
	put32(bytes, 12, open->features);
	put32(bytes, 16, (uint32_t)open->params.direction);
	put32(bytes, 20, (uint32_t)open->params.format);
	put32(bytes, 24, open->params.rate_hz);
	put32(bytes, 28, open->params.channels);
	memcpy(bytes + 32, open->params.map, XARING_CHANNELS_MAX);
	put32(bytes, 40, open->params.buffer);
	put32(bytes, 44, open->params.period);
	put64(bytes, 48, open->epoch);
	memcpy(bytes + 56, open->name, XARING_NAME_BYTES);
}

static void encode_accept(const struct xaring_accept *accept, uint8_t *bytes)
{
	put32(bytes, 4, accept->version);
	put32(bytes, 8, accept->features);
	put64(bytes, 12, accept->epoch);
	put32(bytes, 20, accept->capacity);
	put32(bytes, 24, accept->data_pages);
	put64(bytes, 28, accept->control_offset);
	put64(bytes, 36, accept->data_offset);
}

static void encode_refuse(const struct xaring_refusal *refusal, uint8_t *bytes)
{
	put32(bytes, 4, (uint32_t)refusal->reason);
	put32(bytes, 8, refusal->value);
	put32(bytes, 12, refusal->min);
	put32(bytes, 16, refusal->max);
}

static void encode_set_volume(const struct xaring_set_volume *set, uint8_t *bytes)
{
	put32(bytes, 4, set->what);
	put32(bytes, 8, set->volume);
	put32(bytes, 12, set->muted);
}

uint32_t xaring_wire_encode(const struct xaring_message *message,
			    uint8_t bytes[XARING_WIRE_MAX_BYTES])
{
	memset(bytes, 0, XARING_WIRE_MAX_BYTES);
	put32(bytes, 0, (uint32_t)message->type);
	switch (message->type) {
	case XARING_MESSAGE_OPEN:
		encode_open(&message->u.open, bytes);
		break;
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		encode_accept(&message->u.accept, bytes);
		break;
	case XARING_MESSAGE_REFUSE:
		encode_refuse(&message->u.refusal, bytes);
		break;
	case XARING_MESSAGE_KICK:
		put32(bytes, 4, (uint32_t)message->u.kick);
		break;
	case XARING_MESSAGE_KEEP:
		put64(bytes, 4, message->u.keep_epoch);
		break;
	case XARING_MESSAGE_WATCH:
		put32(bytes, 4, message->u.watch.version_min);
		put32(bytes, 8, message->u.watch.version);
		break;
	case XARING_MESSAGE_STATUS:
		put32(bytes, 4, message->u.status_version);
		break;
	case XARING_MESSAGE_CHANGED:
		put32(bytes, 4, message->u.changed_is_answer);
		break;
	case XARING_MESSAGE_SET_VOLUME:
		encode_set_volume(&message->u.set_volume, bytes);
		break;
	}
	return type_bytes((uint32_t)message->type);
}

static int decode_open(const uint8_t *bytes, struct xaring_open *open)
{
	open->version_min = get32(bytes, 4);
	open->version = get32(bytes, 8);
	open->features = get32(bytes, 12);
	open->params.direction = (enum xaring_direction)get32(bytes, 16);
	open->params.format = (enum xaring_format)get32(bytes, 20);
	open->params.rate_hz = get32(bytes, 24);
	open->params.channels = get32(bytes, 28);
	memcpy(open->params.map, bytes + 32, XARING_CHANNELS_MAX);
	open->params.buffer = get32(bytes, 40);
	open->params.period = get32(bytes, 44);
	open->epoch = get64(bytes, 48);
	memcpy(open->name, bytes + 56, XARING_NAME_BYTES);
	return open->version_min > 0 && open->version_min <= open->version ? 0 : -EPROTO;
}

/* An offset for mmap(): whole pages, and no negative off_t. */
static bool offset_is_valid(uint64_t offset)
{
	return offset % XARING_PAGE_BYTES == 0 && offset <= INT64_MAX;
}

static bool accept_is_valid(const struct xaring_accept *accept)
{
	uint32_t capacity = accept->capacity;

	return accept->version > 0 && capacity > 0 && (capacity & (capacity - 1)) == 0 &&
	       capacity <= XARING_RING_PAGES_MAX * XARING_PAGE_BYTES && accept->data_pages > 0 &&
	       accept->data_pages <= XARING_RING_PAGES_MAX &&
	       offset_is_valid(accept->control_offset) && offset_is_valid(accept->data_offset);
}

static int decode_accept(const uint8_t *bytes, struct xaring_accept *accept)
{
	accept->version = get32(bytes, 4);
	accept->features = get32(bytes, 8);
	accept->epoch = get64(bytes, 12);
	accept->capacity = get32(bytes, 20);
	accept->data_pages = get32(bytes, 24);
	accept->control_offset = get64(bytes, 28);
	accept->data_offset = get64(bytes, 36);
	return accept_is_valid(accept) ? 0 : -EPROTO;
}

static int decode_refuse(const uint8_t *bytes, struct xaring_refusal *refusal)
{
	uint32_t reason = get32(bytes, 4);

	if (reason == XARING_REASON_NONE || reason > XARING_REASON_LAST)
		return -EPROTO;
	refusal->reason = (enum xaring_reason)reason;
	refusal->value = get32(bytes, 8);
	refusal->min = get32(bytes, 12);
	refusal->max = get32(bytes, 16);
	return 0;
}

static int decode_kick(const uint8_t *bytes, enum xaring_kick *kick)
{
	uint32_t value = get32(bytes, 4);

	if (value < XARING_KICK_START || value > XARING_KICK_ATTACH)
		return -EPROTO;
	*kick = (enum xaring_kick)value;
	return 0;
}

/* An epoch of zero names no link. */
static int decode_keep(const uint8_t *bytes, uint64_t *epoch)
{
	*epoch = get64(bytes, 4);
	return *epoch ? 0 : -EPROTO;
}

static int decode_watch(const uint8_t *bytes, struct xaring_watch *watch)
{
	watch->version_min = get32(bytes, 4);
	watch->version = get32(bytes, 8);
	return watch->version_min > 0 && watch->version_min <= watch->version ? 0 : -EPROTO;
}

static int decode_status(const uint8_t *bytes, uint32_t *version)
{
	*version = get32(bytes, 4);
	return *version > 0 ? 0 : -EPROTO;
}

static int decode_changed(const uint8_t *bytes, uint32_t *is_answer)
{
	*is_answer = get32(bytes, 4);
	return *is_answer <= 1 ? 0 : -EPROTO;
}

static int decode_set_volume(const uint8_t *bytes, struct xaring_set_volume *set)
{
	set->what = get32(bytes, 4);
	set->volume = get32(bytes, 8);
	set->muted = get32(bytes, 12);
	return set->what > 0 && set->what <= (XARING_SET_VOLUME | XARING_SET_MUTED) &&
			       set->volume <= XARING_VOLUME_UNITY && set->muted <= 1
		       ? 0
		       : -EPROTO;
}

static void message_init(struct xaring_message *message)
{
	memset(message, 0, sizeof(*message));
	for (uint32_t i = 0; i < XARING_WIRE_FDS; i++)
		message->fds[i] = -1;
}

int xaring_wire_decode(const uint8_t *bytes, uint32_t length, struct xaring_message *message)
{
	uint32_t type;

	message_init(message);
	if (length < 4)
		return -EPROTO;
	type = get32(bytes, 0);
	if (type_bytes(type) == 0 || type_bytes(type) != length)
		return -EPROTO;
	message->type = (enum xaring_message_type)type;
	switch (message->type) {
	case XARING_MESSAGE_OPEN:
		return decode_open(bytes, &message->u.open);
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		return decode_accept(bytes, &message->u.accept);
	case XARING_MESSAGE_REFUSE:
		return decode_refuse(bytes, &message->u.refusal);
	case XARING_MESSAGE_KICK:
		return decode_kick(bytes, &message->u.kick);
	case XARING_MESSAGE_KEEP:
		return decode_keep(bytes, &message->u.keep_epoch);
	case XARING_MESSAGE_WATCH:
		return decode_watch(bytes, &message->u.watch);
	case XARING_MESSAGE_STATUS:
		return decode_status(bytes, &message->u.status_version);
	case XARING_MESSAGE_CHANGED:
		return decode_changed(bytes, &message->u.changed_is_answer);
	case XARING_MESSAGE_SET_VOLUME:
		return decode_set_volume(bytes, &message->u.set_volume);
	}
	return -EPROTO;
}

/* What sendmsg() and recvmsg() say when the other end is not there any more is one thing to us. */
static int socket_error(int error)
{
	switch (error) {
	case EAGAIN:
		return -EAGAIN;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return -ENODEV;
	default:
		return -error;
	}
}

int xaring_wire_connect(const char *path, int *out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, res;

	if (strlen(path) >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	*out = fd;
	return 0;
}

int xaring_wire_send(int fd, const struct xaring_message *message)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * XARING_WIRE_FDS)];
	} control = {0};
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct iovec iov = {.iov_base = bytes, .iov_len = xaring_wire_encode(message, bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t fds_bytes = sizeof(int) * type_fds(message->type);
	ssize_t res;

	if (fds_bytes > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds_bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fds_bytes);
		memcpy(CMSG_DATA(&control.header), message->fds, fds_bytes);
	}
	do {
		res = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (res < 0 && errno == EINTR);
	return res < 0 ? socket_error(errno) : 0;
}

/* Gathers what came along; what does not fit into fds is closed. Returns how many came. */
static uint32_t take_descriptors(struct msghdr *msg, int fds[XARING_WIRE_FDS])
{
	uint32_t count = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t bytes = cmsg->cmsg_len - CMSG_LEN(0);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + at, sizeof(fd));
			if (count < XARING_WIRE_FDS)
				fds[count] = fd;
			else
				close(fd);
			count++;
		}
	}
	return count;
}

/* Returns the length of a packet, which is 0 at the end as well, or a negative errno. */
static ssize_t receive_packet(int fd, struct msghdr *msg, int flags)
{
	ssize_t length;

	do {
		length = recvmsg(fd, msg, MSG_DONTWAIT | flags);
	} while (length < 0 && errno == EINTR);
	return length < 0 ? socket_error(errno) : length;
}

int xaring_wire_receive(int fd, struct xaring_message *message)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * RECEIVE_FDS_MAX)];
	} control;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.room)};
	int fds[XARING_WIRE_FDS] = {-1, -1, -1};
	uint32_t count;
	ssize_t length;
	int res;

	message_init(message);
	length = receive_packet(fd, &msg, MSG_CMSG_CLOEXEC);
	if (length < 0)
		return (int)length;
	/* An empty packet cannot be told from the end, but it can carry descriptors. */
	count = take_descriptors(&msg, fds);
	if (length == 0 && count == 0)
		return -ENODEV;
	res = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
		      ? -EPROTO
		      : xaring_wire_decode(bytes, (uint32_t)length, message);
	if (res == 0 && count != type_fds(message->type))
		res = -EPROTO;
	memcpy(message->fds, fds, sizeof(fds));
	if (res < 0)
		xaring_message_finish(message);
	return res;
}

/*
 * Looks first: without room for descriptors they are cut off (MSG_CTRUNC), but they would be closed
 * with the message, here, when it is taken.
 */
int xaring_wire_receive_bare(int fd, struct xaring_message *message)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t length;
	int res;

	message_init(message);
	length = receive_packet(fd, &msg, MSG_PEEK);
	if (length < 0)
		return (int)length;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if (length == 0)
		return -ENODEV;
	if (recv(fd, NULL, 0, MSG_DONTWAIT) < 0)
		return socket_error(errno);
	if (msg.msg_flags & MSG_TRUNC)
		return -EPROTO;
	res = xaring_wire_decode(bytes, (uint32_t)length, message);
	return res == 0 && type_fds(message->type) > 0 ? -EPROTO : res;
}

void xaring_message_finish(struct xaring_message *message)
{
	for (uint32_t i = 0; i < XARING_WIRE_FDS; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
		message->fds[i] = -1;
	}
}
