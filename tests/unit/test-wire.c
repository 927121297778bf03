/* SPDX-License-Identifier: MIT */
/*
 * The socket messages: every field comes through, the bytes are those of the document, and nothing
 * but the protocol is accepted, with descriptors closed in every case.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/wire.h>

#include "descriptors.h"

static const uint32_t lengths[] = {[XARING_MESSAGE_OPEN] = 120,  [XARING_MESSAGE_ACCEPT] = 44,
				   [XARING_MESSAGE_REFUSE] = 20, [XARING_MESSAGE_KICK] = 8,
				   [XARING_MESSAGE_RELINK] = 44, [XARING_MESSAGE_KEEP] = 12,
				   [XARING_MESSAGE_WATCH] = 12,  [XARING_MESSAGE_STATUS] = 8,
				   [XARING_MESSAGE_CHANGED] = 8, [XARING_MESSAGE_SET_VOLUME] = 16};

static const uint32_t descriptors[] =
	{[XARING_MESSAGE_OPEN] = 0,      [XARING_MESSAGE_ACCEPT] = 3, [XARING_MESSAGE_REFUSE] = 0,
	 [XARING_MESSAGE_KICK] = 0,      [XARING_MESSAGE_RELINK] = 3, [XARING_MESSAGE_KEEP] = 1,
	 [XARING_MESSAGE_WATCH] = 0,     [XARING_MESSAGE_STATUS] = 1, [XARING_MESSAGE_CHANGED] = 0,
	 [XARING_MESSAGE_SET_VOLUME] = 0};

static struct xaring_message message_open(void)
{
	struct xaring_message m = {.type = XARING_MESSAGE_OPEN, .fds = {-1, -1, -1}};

	m.u.open = (struct xaring_open){
		.version_min = 1,
		.version = 0x01020304,
		.features = 0x80000001,
		.params = {.direction = XARING_CAPTURE,
			   .format = XARING_FORMAT_S24_3,
			   .rate_hz = 44100,
			   .channels = 6,
			   .map = {3, 4, 7, 8, 5, 6},
			   .buffer = 4410,
			   .period = 441},
		.epoch = 0x1122334455667788,
	};
	memset(m.u.open.name, 'n', XARING_NAME_BYTES);
	return m;
}

static struct xaring_message message_accept(void)
{
	struct xaring_message m = {.type = XARING_MESSAGE_ACCEPT, .fds = {-1, -1, -1}};

	m.u.accept = (struct xaring_accept){.version = 1,
					    .features = 1,
					    .epoch = 0x8877665544332211,
					    .capacity = 8192,
					    .data_pages = 8,
					    .control_offset = 0x1000,
					    .data_offset = 0x7000000000};
	return m;
}

static struct xaring_message message_refuse(void)
{
	struct xaring_message m = {.type = XARING_MESSAGE_REFUSE, .fds = {-1, -1, -1}};

	m.u.refusal = (struct xaring_refusal){.reason = XARING_REASON_RATE,
					      .value = 4000,
					      .min = 8000,
					      .max = 192000};
	return m;
}

static struct xaring_message message_kick(void)
{
	return (struct xaring_message){.type = XARING_MESSAGE_KICK,
				       .u.kick = XARING_KICK_DRAIN,
				       .fds = {-1, -1, -1}};
}

static struct xaring_message message_keep(void)
{
	return (struct xaring_message){.type = XARING_MESSAGE_KEEP,
				       .u.keep_epoch = 0x0123456789abcdef,
				       .fds = {-1, -1, -1}};
}

static struct xaring_message message_watch(void)
{
	return (struct xaring_message){.type = XARING_MESSAGE_WATCH,
				       .u.watch = {.version_min = 1, .version = 0x01020304},
				       .fds = {-1, -1, -1}};
}

static struct xaring_message message_set_volume(void)
{
	return (struct xaring_message){.type = XARING_MESSAGE_SET_VOLUME,
				       .u.set_volume = {.what = 3, .volume = 0x8765, .muted = 1},
				       .fds = {-1, -1, -1}};
}

static struct xaring_message message_of(enum xaring_message_type type)
{
	struct xaring_message m;

	switch (type) {
	case XARING_MESSAGE_OPEN:
		return message_open();
	case XARING_MESSAGE_REFUSE:
		return message_refuse();
	case XARING_MESSAGE_KICK:
		return message_kick();
	case XARING_MESSAGE_KEEP:
		return message_keep();
	case XARING_MESSAGE_WATCH:
		return message_watch();
	case XARING_MESSAGE_SET_VOLUME:
		return message_set_volume();
	case XARING_MESSAGE_STATUS:
		return (struct xaring_message){.type = type,
					       .u.status_version = 0x01020304,
					       .fds = {-1, -1, -1}};
	default:
		m = message_accept();
		m.type = type;
		return m;
	}
}

static void messages_come_through(void **state)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES], again[XARING_WIRE_MAX_BYTES];

	(void)state;
	for (uint32_t type = 1; type <= XARING_MESSAGE_LAST; type++) {
		struct xaring_message from = message_of(type), to;
		uint32_t length = xaring_wire_encode(&from, bytes);

		assert_int_equal(length, lengths[type]);
		assert_int_equal(xaring_wire_decode(bytes, length, &to), 0);
		assert_int_equal(to.type, from.type);
		for (uint32_t i = 0; i < XARING_WIRE_FDS; i++)
			assert_int_equal(to.fds[i], -1);
		assert_int_equal(xaring_wire_encode(&to, again), length);
		assert_memory_equal(bytes, again, sizeof(bytes));
	}
}

static void fields_of_open_come_through(void **state)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct xaring_message from = message_open(), to;
	const struct xaring_open *a = &from.u.open, *b = &to.u.open;

	(void)state;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), 0);
	assert_int_equal(a->version_min, b->version_min);
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->features, b->features);
	assert_int_equal(a->params.direction, b->params.direction);
	assert_int_equal(a->params.format, b->params.format);
	assert_int_equal(a->params.rate_hz, b->params.rate_hz);
	assert_int_equal(a->params.channels, b->params.channels);
	assert_memory_equal(a->params.map, b->params.map, XARING_CHANNELS_MAX);
	assert_int_equal(a->params.buffer, b->params.buffer);
	assert_int_equal(a->params.period, b->params.period);
	assert_true(a->epoch == b->epoch);
	assert_memory_equal(a->name, b->name, XARING_NAME_BYTES);
}

static void fields_of_accept_and_refuse_come_through(void **state)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct xaring_message from = message_accept(), to;

	(void)state;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), 0);
	assert_int_equal(to.u.accept.version, 1);
	assert_int_equal(to.u.accept.features, 1);
	assert_true(to.u.accept.epoch == from.u.accept.epoch);
	assert_int_equal(to.u.accept.capacity, 8192);
	assert_int_equal(to.u.accept.data_pages, 8);
	assert_true(to.u.accept.control_offset == from.u.accept.control_offset);
	assert_true(to.u.accept.data_offset == from.u.accept.data_offset);

	from = message_refuse();
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), 0);
	assert_int_equal(to.u.refusal.reason, XARING_REASON_RATE);
	assert_int_equal(to.u.refusal.value, 4000);
	assert_int_equal(to.u.refusal.min, 8000);
	assert_int_equal(to.u.refusal.max, 192000);
}

/* Some bytes by hand, so that both directions cannot be wrong together. */
static void bytes_are_little_endian_and_in_place(void **state)
{
	static const uint8_t refuse[20] = {3, 0, 0,    0,    5, 0, 0,    0,    0xa0, 0x0f,
					   0, 0, 0x40, 0x1f, 0, 0, 0x00, 0xee, 0x02, 0};
	struct xaring_message m = message_refuse();
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	(void)state;
	assert_int_equal(xaring_wire_encode(&m, bytes), sizeof(refuse));
	assert_memory_equal(bytes, refuse, sizeof(refuse));
	m = message_open();
	xaring_wire_encode(&m, bytes);
	assert_int_equal(bytes[8], 4);
	assert_int_equal(bytes[11], 1);
	assert_int_equal(bytes[15], 0x80);
	assert_int_equal(bytes[16], XARING_CAPTURE);
	assert_int_equal(bytes[20], XARING_FORMAT_S24_3);
	assert_int_equal(bytes[28], 6);
	assert_int_equal(bytes[32], 3);
	assert_int_equal(bytes[48], 0x88);
	assert_int_equal(bytes[55], 0x11);
	assert_int_equal(bytes[56], 'n');
	m = message_accept();
	xaring_wire_encode(&m, bytes);
	assert_int_equal(bytes[12], 0x11);
	assert_int_equal(bytes[21], 0x20);
	assert_int_equal(bytes[24], 8);
	assert_int_equal(bytes[29], 0x10);
	assert_int_equal(bytes[40], 0x70);
	m = message_keep();
	xaring_wire_encode(&m, bytes);
	assert_memory_equal(bytes, "\6\0\0\0\xef\xcd\xab\x89\x67\x45\x23\x01", 12);
	m = message_watch();
	xaring_wire_encode(&m, bytes);
	assert_memory_equal(bytes, "\7\0\0\0\1\0\0\0\4\3\2\1", 12);
	m = message_of(XARING_MESSAGE_STATUS);
	xaring_wire_encode(&m, bytes);
	assert_memory_equal(bytes, "\10\0\0\0\4\3\2\1", 8);
	m = message_of(XARING_MESSAGE_CHANGED);
	xaring_wire_encode(&m, bytes);
	assert_memory_equal(bytes, "\11\0\0\0\1\0\0\0", 8);
	m = message_set_volume();
	xaring_wire_encode(&m, bytes);
	assert_memory_equal(bytes, "\12\0\0\0\3\0\0\0\x65\x87\0\0\1\0\0\0", 16);
}

static void other_lengths_and_types_are_refused(void **state)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct xaring_message to;

	(void)state;
	for (uint32_t type = 1; type <= XARING_MESSAGE_LAST; type++) {
		struct xaring_message from = message_of(type);
		uint32_t right = xaring_wire_encode(&from, bytes);

		for (uint32_t length = 0; length <= XARING_WIRE_MAX_BYTES; length++)
			assert_int_equal(xaring_wire_decode(bytes, length, &to),
					 length == right ? 0 : -EPROTO);
	}
	memset(bytes, 0, sizeof(bytes));
	for (uint32_t length = 0; length <= XARING_WIRE_MAX_BYTES; length++)
		assert_int_equal(xaring_wire_decode(bytes, length, &to), -EPROTO);
	bytes[0] = XARING_MESSAGE_LAST + 1;
	assert_int_equal(xaring_wire_decode(bytes, 44, &to), -EPROTO);
	bytes[0] = XARING_MESSAGE_KICK;
	bytes[1] = 1;
	assert_int_equal(xaring_wire_decode(bytes, 8, &to), -EPROTO);
}

static int decode_accept(const struct xaring_accept *accept)
{
	struct xaring_message from = message_accept(), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	from.u.accept = *accept;
	return xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to);
}

#define REFUSED_ACCEPT(field, bad)                                       \
	do {                                                             \
		struct xaring_accept accept = message_accept().u.accept; \
		accept.field = (bad);                                    \
		assert_int_equal(decode_accept(&accept), -EPROTO);       \
	} while (0)

static void impossible_values_are_refused(void **state)
{
	struct xaring_accept good = message_accept().u.accept;
	struct xaring_message from, to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	(void)state;
	assert_int_equal(decode_accept(&good), 0);
	REFUSED_ACCEPT(version, 0);
	REFUSED_ACCEPT(capacity, 0);
	REFUSED_ACCEPT(capacity, 8191);
	REFUSED_ACCEPT(capacity, 0x80000000);
	REFUSED_ACCEPT(data_pages, 0);
	REFUSED_ACCEPT(data_pages, XARING_RING_PAGES_MAX + 1);
	REFUSED_ACCEPT(control_offset, 1);
	REFUSED_ACCEPT(control_offset, 0x8000000000000000);
	REFUSED_ACCEPT(data_offset, 4095);
	REFUSED_ACCEPT(data_offset, UINT64_MAX & ~UINT64_C(4095));

	from = message_open();
	from.u.open.version_min = 0;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), -EPROTO);
	from.u.open.version_min = from.u.open.version + 1;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), -EPROTO);

	from = message_keep();
	from.u.keep_epoch = 0;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to), -EPROTO);

	for (uint32_t value = 0; value < 64; value++) {
		from = message_refuse();
		from.u.refusal.reason = value;
		assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to),
				 value >= 1 && value <= XARING_REASON_LAST ? 0 : -EPROTO);
		from = message_kick();
		from.u.kick = value;
		assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to),
				 value >= 1 && value <= XARING_KICK_ATTACH ? 0 : -EPROTO);
	}
}

static int decode_set_volume(uint32_t what, uint32_t volume, uint32_t muted)
{
	struct xaring_message from = message_set_volume(), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	from.u.set_volume = (struct xaring_set_volume){what, volume, muted};
	return xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to);
}

static int decode_watch(uint32_t version_min, uint32_t version)
{
	struct xaring_message from = message_watch(), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	from.u.watch = (struct xaring_watch){version_min, version};
	return xaring_wire_decode(bytes, xaring_wire_encode(&from, bytes), &to);
}

static void impossible_values_of_mixers_are_refused(void **state)
{
	struct xaring_message status = message_of(XARING_MESSAGE_STATUS);
	struct xaring_message changed = message_of(XARING_MESSAGE_CHANGED), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	(void)state;
	assert_int_equal(decode_set_volume(1, XARING_VOLUME_UNITY, 0), 0);
	assert_int_equal(decode_set_volume(2, 0, 1), 0);
	assert_int_equal(decode_set_volume(0, 0, 0), -EPROTO);
	assert_int_equal(decode_set_volume(4, 0, 0), -EPROTO);
	assert_int_equal(decode_set_volume(1, XARING_VOLUME_UNITY + 1, 0), -EPROTO);
	assert_int_equal(decode_set_volume(2, 0, 2), -EPROTO);
	assert_int_equal(decode_watch(1, 1), 0);
	assert_int_equal(decode_watch(0, 1), -EPROTO);
	assert_int_equal(decode_watch(2, 1), -EPROTO);
	status.u.status_version = 0;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&status, bytes), &to),
			 -EPROTO);
	changed.u.changed_is_answer = 2;
	assert_int_equal(xaring_wire_decode(bytes, xaring_wire_encode(&changed, bytes), &to),
			 -EPROTO);
}

static void an_unknown_type_has_no_bytes(void **state)
{
	struct xaring_message m = {.type = 77};
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	(void)state;
	assert_int_equal(xaring_wire_encode(&m, bytes), 0);
}

struct pair {
	int fds[2];
	uint32_t descriptors;
};

static int pair_open(void **state)
{
	static struct pair pair;

	pair.descriptors = open_descriptors();
	*state = &pair;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.fds);
}

static int pair_close(void **state)
{
	struct pair *pair = *state;

	close(pair->fds[0]);
	close(pair->fds[1]);
	assert_int_equal(open_descriptors(), pair->descriptors);
	return 0;
}

/* Sends bytes with so many descriptors attached, as a peer of any kind might. */
static void send_raw(int fd, const void *bytes, size_t length, uint32_t count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[64];

	assert_true(count <= 64);
	for (uint32_t i = 0; i < count; i++)
		fds[i] = fd;
	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL), length);
}

static void descriptors_travel_close_on_exec(void **state)
{
	struct pair *pair = *state;
	struct xaring_message from = message_accept(), to;

	for (uint32_t i = 0; i < XARING_WIRE_FDS; i++)
		from.fds[i] = pair->fds[0];
	assert_int_equal(xaring_wire_send(pair->fds[0], &from), 0);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), 0);
	assert_int_equal(open_descriptors(), pair->descriptors + 5);
	for (uint32_t i = 0; i < XARING_WIRE_FDS; i++) {
		assert_true(to.fds[i] >= 0);
		assert_int_equal(fcntl(to.fds[i], F_GETFD), FD_CLOEXEC);
	}
	xaring_message_finish(&to);
	assert_int_equal(to.fds[0], -1);
	xaring_message_finish(&to);
}

/* A KEEP brings one, and no more of what stands in the message goes along. */
static void a_keep_brings_the_status_page_alone(void **state)
{
	struct pair *pair = *state;
	struct xaring_message from = message_keep(), to;

	for (uint32_t i = 0; i < XARING_WIRE_FDS; i++)
		from.fds[i] = pair->fds[0];
	assert_int_equal(xaring_wire_send(pair->fds[0], &from), 0);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), 0);
	assert_true(to.u.keep_epoch == from.u.keep_epoch);
	assert_int_equal(open_descriptors(), pair->descriptors + 3);
	assert_int_equal(fcntl(to.fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(to.fds[1], -1);
	assert_int_equal(to.fds[2], -1);
	xaring_message_finish(&to);
}

static void nothing_to_receive_is_no_error(void **state)
{
	struct pair *pair = *state;
	struct xaring_message to;

	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), -EAGAIN);
	assert_int_equal(to.fds[2], -1);
}

static void the_end_is_seen_on_both_ways(void **state)
{
	struct pair *pair = *state;
	struct xaring_message m = message_kick();

	close(pair->fds[0]);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &m), -ENODEV);
	m = message_kick();
	assert_int_equal(xaring_wire_send(pair->fds[1], &m), -ENODEV);
	pair->fds[0] = dup(pair->fds[1]);
}

static void a_full_socket_does_not_block(void **state)
{
	struct pair *pair = *state;
	struct xaring_message m = message_kick();
	uint32_t sent = 0;
	int res;

	while ((res = xaring_wire_send(pair->fds[0], &m)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(res, -EAGAIN);
}

static void a_socket_that_is_none_is_an_error(void **state)
{
	struct xaring_message m = message_kick();

	(void)state;
	assert_int_equal(xaring_wire_receive(-1, &m), -EBADF);
	m = message_kick();
	assert_int_equal(xaring_wire_send(-1, &m), -EBADF);
}

static void any_other_number_of_descriptors_is_refused(void **state)
{
	static const uint32_t counts[] = {0, 1, 2, 3, 4, 15, 16, 17, 63};
	struct pair *pair = *state;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct xaring_message to;

	for (uint32_t type = 1; type <= XARING_MESSAGE_LAST; type++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			struct xaring_message from = message_of(type);
			bool fits = counts[i] == descriptors[type];

			send_raw(pair->fds[0], bytes, xaring_wire_encode(&from, bytes), counts[i]);
			assert_int_equal(xaring_wire_receive(pair->fds[1], &to),
					 fits ? 0 : -EPROTO);
			xaring_message_finish(&to);
			assert_int_equal(open_descriptors(), pair->descriptors + 2);
		}
}

static void garbage_with_descriptors_leaves_none_behind(void **state)
{
	static const uint8_t garbage[4096] = {5, 1, 2, 3};
	struct pair *pair = *state;
	struct xaring_message to;

	for (uint32_t count = 0; count < 40; count++)
		for (size_t length = 1; length <= sizeof(garbage); length *= 4) {
			send_raw(pair->fds[0], garbage, length, count);
			assert_int_equal(xaring_wire_receive(pair->fds[1], &to), -EPROTO);
		}
	assert_int_equal(open_descriptors(), pair->descriptors + 2);
}

static void an_empty_packet_is_the_end(void **state)
{
	struct pair *pair = *state;
	struct xaring_message to;

	send_raw(pair->fds[0], "", 0, 0);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), -ENODEV);
	send_raw(pair->fds[0], "", 0, 5);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), -EPROTO);
	assert_int_equal(open_descriptors(), pair->descriptors + 2);
}

/* No descriptor is free to receive the ones that came along: they are not overlooked. */
static void descriptors_that_cannot_be_taken_are_refused(void **state)
{
	struct pair *pair = *state;
	struct xaring_message from = message_kick(), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct rlimit limit, none;
	int res;

	send_raw(pair->fds[0], bytes, xaring_wire_encode(&from, bytes), 3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	res = xaring_wire_receive(pair->fds[1], &to);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(res, -EPROTO);
}

/* A right message with something behind it is no right message. */
static void a_longer_packet_is_refused(void **state)
{
	struct pair *pair = *state;
	struct xaring_message from = message_kick(), to;
	uint8_t bytes[XARING_WIRE_MAX_BYTES * 2] = {0};

	xaring_wire_encode(&from, bytes);
	send_raw(pair->fds[0], bytes, sizeof(bytes), 0);
	assert_int_equal(xaring_wire_receive(pair->fds[1], &to), -EPROTO);
}

static void a_server_takes_messages(void **state)
{
	struct pair *pair = *state;
	struct xaring_message from = message_kick(), to;

	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -EAGAIN);
	for (uint32_t i = 1; i <= 2; i++) {
		from.u.kick = i;
		assert_int_equal(xaring_wire_send(pair->fds[0], &from), 0);
	}
	for (uint32_t i = 1; i <= 2; i++) {
		assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), 0);
		assert_int_equal(to.type, XARING_MESSAGE_KICK);
		assert_int_equal(to.u.kick, i);
		assert_int_equal(to.fds[0], -1);
	}
	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -EAGAIN);
	assert_int_equal(xaring_wire_receive_bare(-1, &to), -EBADF);
	close(pair->fds[0]);
	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -ENODEV);
	pair->fds[0] = dup(pair->fds[1]);
}

static void a_server_takes_no_descriptors(void **state)
{
	static const uint32_t counts[] = {1, 3, 63};
	struct pair *pair = *state;
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct xaring_message to;
	int waits;

	for (uint32_t type = 1; type <= XARING_MESSAGE_LAST; type++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			struct xaring_message from = message_of(type);
			uint32_t length = xaring_wire_encode(&from, bytes);

			send_raw(pair->fds[0], bytes, length, counts[i]);
			for (int again = 0; again < 2; again++)
				assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to),
						 -EPROTO);
			assert_int_equal(ioctl(pair->fds[1], FIONREAD, &waits), 0);
			assert_int_equal(waits, length);
			assert_int_equal(open_descriptors(), pair->descriptors + 2);
			assert_int_equal(recv(pair->fds[1], NULL, 0, 0), 0);
		}
	send_raw(pair->fds[0], "", 0, 1);
	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -EPROTO);
}

/* Messages that are for clients, longer ones, and none. */
static void a_server_refuses_what_is_not_for_it(void **state)
{
	struct pair *pair = *state;
	uint8_t bytes[XARING_WIRE_MAX_BYTES * 2] = {0};
	struct xaring_message to;

	for (uint32_t type = 1; type <= XARING_MESSAGE_LAST; type++) {
		struct xaring_message from = message_of(type);

		send_raw(pair->fds[0], bytes, xaring_wire_encode(&from, bytes), 0);
		assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to),
				 descriptors[type] > 0 ? -EPROTO : 0);
		assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -EAGAIN);
	}
	send_raw(pair->fds[0], bytes, sizeof(bytes), 0);
	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -EPROTO);
	send_raw(pair->fds[0], "", 0, 0);
	assert_int_equal(xaring_wire_receive_bare(pair->fds[1], &to), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_through),
		cmocka_unit_test(fields_of_open_come_through),
		cmocka_unit_test(fields_of_accept_and_refuse_come_through),
		cmocka_unit_test(bytes_are_little_endian_and_in_place),
		cmocka_unit_test(other_lengths_and_types_are_refused),
		cmocka_unit_test(impossible_values_are_refused),
		cmocka_unit_test(impossible_values_of_mixers_are_refused),
		cmocka_unit_test(an_unknown_type_has_no_bytes),
		cmocka_unit_test_setup_teardown(descriptors_travel_close_on_exec, pair_open,
						pair_close),
		cmocka_unit_test_setup_teardown(a_keep_brings_the_status_page_alone, pair_open,
						pair_close),
		cmocka_unit_test_setup_teardown(nothing_to_receive_is_no_error, pair_open,
						pair_close),
		cmocka_unit_test_setup_teardown(the_end_is_seen_on_both_ways, pair_open,
						pair_close),
		cmocka_unit_test_setup_teardown(a_full_socket_does_not_block, pair_open,
						pair_close),
		cmocka_unit_test(a_socket_that_is_none_is_an_error),
		cmocka_unit_test_setup_teardown(any_other_number_of_descriptors_is_refused,
						pair_open, pair_close),
		cmocka_unit_test_setup_teardown(garbage_with_descriptors_leaves_none_behind,
						pair_open, pair_close),
		cmocka_unit_test_setup_teardown(an_empty_packet_is_the_end, pair_open, pair_close),
		cmocka_unit_test_setup_teardown(descriptors_that_cannot_be_taken_are_refused,
						pair_open, pair_close),
		cmocka_unit_test_setup_teardown(a_longer_packet_is_refused, pair_open, pair_close),
		cmocka_unit_test_setup_teardown(a_server_takes_messages, pair_open, pair_close),
		cmocka_unit_test_setup_teardown(a_server_takes_no_descriptors, pair_open,
						pair_close),
		cmocka_unit_test_setup_teardown(a_server_refuses_what_is_not_for_it, pair_open,
						pair_close),
	};

	signal(SIGPIPE, SIG_DFL); /* whatever was inherited: nobody may get one */
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
