/* SPDX-License-Identifier: MIT */
/*
 * The xaring protocol: what two domains that do not trust each other find in the pages they share.
 *
 * Wire facts only: layout, limits, states and codes, no functions. xaring-protocol(7) is the
 * document, this is its C form, and a test compares the two. Little-endian, the same on 32 and
 * 64 bit; every shared word is 32 bits and aligned; all lengths and positions are in frames.
 *
 * Words: "playback" leaves the guest and "capture" enters it, on both sides. The "guest" plays or
 * records, the "backend" owns the sound card. Positions are free-running uint32 frame counters.
 */
#ifndef XARING_PROTOCOL_H
#define XARING_PROTOCOL_H

#include <stdint.h>

/* Versions N and N-1 interoperate; unknown feature bits are ignored (xaring-protocol(7), VERSIONS). */
#define XARING_PROTOCOL_VERSION     1u
#define XARING_PROTOCOL_VERSION_MIN 1u

#define XARING_FEATURE_SAME_CLOCK     0x1u /* both sides read one CLOCK_MONOTONIC, offset is zero */
#define XARING_FEATURE_GUEST_DOORBELL 0x2u /* reserved: event channels held by the guest */

/* The grant unit. 4 KiB whatever the page size of the guest. */
#define XARING_PAGE_BYTES 4096u

#define XARING_RATE_MIN         8000u
#define XARING_RATE_MAX         192000u
#define XARING_CHANNELS_MAX     8u
#define XARING_BUFFER_BYTES_MAX 192000u /* 500 ms of 48 kHz stereo S32 */
#define XARING_BUFFER_MIN       32u     /* frames */
#define XARING_RING_PAGES_MAX   128u    /* data pages of one stream */
#define XARING_GUEST_PAGES_MAX  480u    /* all pages of one guest, control pages included */

/* The backend's largest quantum, at 48 kHz; scaled by the rate of the stream. */
#define XARING_HEADROOM_AT_48K 2048u

enum xaring_direction {
	XARING_PLAYBACK = 0, /* guest writes, backend reads: data pages are read-only for it */
	XARING_CAPTURE = 1   /* backend writes, guest reads */
};

/* Sample formats, little-endian. The names are ALSA's. */
enum xaring_format {
	XARING_FORMAT_U8 = 1,
	XARING_FORMAT_S16 = 2,
	XARING_FORMAT_S24 = 3,   /* 24 bits in the low bytes of 32 */
	XARING_FORMAT_S24_3 = 4, /* 24 bits in three bytes */
	XARING_FORMAT_S32 = 5,
	XARING_FORMAT_FLOAT = 6
};

/* Channel positions: the numbers of ALSA's chmap (alsa/pcm.h, enum snd_pcm_chmap_position). */
enum xaring_position_code {
	XARING_CHANNEL_UNKNOWN = 0,
	XARING_CHANNEL_MONO = 2,
	XARING_CHANNEL_FL = 3,
	XARING_CHANNEL_FR = 4,
	XARING_CHANNEL_RL = 5,
	XARING_CHANNEL_RR = 6,
	XARING_CHANNEL_FC = 7,
	XARING_CHANNEL_LFE = 8,
	XARING_CHANNEL_SL = 9,
	XARING_CHANNEL_SR = 10,
	XARING_CHANNEL_RC = 11,
	XARING_CHANNEL_LAST = 36
};

/*
 * The guest's word: what the guest is doing, for which attach of the backend, in which generation.
 * One 32-bit store, so that the three can never be seen apart.
 *
 *   31            16 15   12 11          0
 *  +----------------+-------+-------------+
 *  |   generation   | state |   attach    |
 *  +----------------+-------+-------------+
 *
 * generation: raised at every start; base is the first valid frame of it.
 * attach:     the low bits of the attach being answered, 0 = the backend must not consume.
 */
#define XARING_WORD_ATTACH_MASK      0x00000fffu
#define XARING_WORD_STATE_SHIFT      12
#define XARING_WORD_STATE_MASK       0x0000f000u
#define XARING_WORD_GENERATION_SHIFT 16

enum xaring_state {
	XARING_STATE_STOPPED = 0,
	XARING_STATE_RUNNING = 1,
	XARING_STATE_DRAINING = 2, /* as running; an empty ring is the end and no underrun */
	XARING_STATE_PAUSED = 3    /* nothing moves; the same generation goes on afterwards */
};

/* How the backend sees the stream: state in the low byte, enum xaring_reason above it. */
enum xaring_backend_state {
	XARING_BACKEND_ABSENT = 0,
	XARING_BACKEND_ACCEPTED = 1,
	XARING_BACKEND_REFUSED = 2,
	XARING_BACKEND_BROKEN = 3 /* the guest broke the protocol; sticky until a new link */
};
#define XARING_BACKEND_STATE_MASK   0xffu
#define XARING_BACKEND_REASON_SHIFT 8

enum xaring_reason {
	XARING_REASON_NONE = 0,
	XARING_REASON_VERSION = 1, /* no common version */
	XARING_REASON_MESSAGE = 2, /* a message that is not of the protocol */
	XARING_REASON_DIRECTION = 3,
	XARING_REASON_FORMAT = 4,
	XARING_REASON_RATE = 5,
	XARING_REASON_CHANNELS = 6,
	XARING_REASON_BUFFER = 7,
	XARING_REASON_POLICY = 8,     /* this VM or this user may not */
	XARING_REASON_STREAMS = 9,    /* too many streams of this VM */
	XARING_REASON_PAGES = 10,     /* too many pages of this VM */
	XARING_REASON_BUSY = 11,      /* reconnects too often */
	XARING_REASON_COUNTER = 12,   /* an impossible frame counter */
	XARING_REASON_WORD = 13,      /* an impossible word */
	XARING_REASON_UNSETTLED = 14, /* a word that changes in every cycle */
	XARING_REASON_INTERNAL = 15,  /* the server could not: out of memory or descriptors */
	XARING_REASON_USER = 16,      /* by the guest's own rules this user may not record */
	XARING_REASON_LAST = 16       /* a larger one is not of this version */
};

/* Flags of the backend line. They inform; nothing depends on them. */
#define XARING_FLAG_CAPTURE_ALLOWED 0x1u
#define XARING_FLAG_MUTED           0x2u
#define XARING_FLAG_NO_SINK         0x4u

/* Written by the guest only. */
struct xaring_guest_line {
	uint32_t alive; /* 1; the kernel clears its first byte when the last mapping goes */
	uint32_t word;  /* see above; stored after base and pos */
	uint32_t base;  /* the index at which the valid frames of this generation begin */
	uint32_t pos;   /* playback: frames written; capture: frames read; may move back (rewind) */
	uint32_t stamp; /* the guest's clock in units of 1024 ns, modulo 2^32, plus a secret */
	uint32_t volume; /* playback: the guest's own, how loud; it informs */
	uint32_t reserved[10];
};

/* Written by the backend only: rare. */
struct xaring_backend_line {
	uint32_t alive;  /* 1; cleared by the kernel when the last mapping goes */
	uint32_t attach; /* raised at every attach; one whose low 12 bits are 0 is skipped */
	uint32_t status; /* enum xaring_backend_state, enum xaring_reason << 8 */
	uint32_t flags;  /* XARING_FLAG_ */
	uint32_t reserved[12];
};

/* Written by the backend only: the position record, once per cycle, under its sequence counter. */
struct xaring_record_line {
	uint32_t seq;     /* odd while it is being written */
	uint32_t word;    /* the guest's word that this record answers */
	uint32_t pos;     /* playback: frames consumed; capture: frames delivered */
	uint32_t frames;  /* the quantum: how far the position may be predicted beyond pos */
	uint32_t time_lo; /* when the cycle began: CLOCK_MONOTONIC in ns, plus a secret */
	uint32_t time_hi;
	uint32_t age_ns;      /* from that moment to the writing of this record */
	uint32_t rate_mhz;    /* the rate of pos against that clock, in 1/1000 frames per second */
	uint32_t delay;       /* frame i sounds (i - pos + delay) / rate after that moment */
	uint32_t xruns;       /* gaps so far in this attach: underruns or overruns */
	uint32_t gap;         /* frames of silence inserted, or dropped, by them */
	uint32_t echo;        /* the guest's stamp as last seen */
	uint32_t echo_age_ns; /* from the cycle that first saw it to the writing of this record */
	uint32_t reserved[3];
};

/* The control page. Each side's lines are 128 bytes apart from the other's. */
struct xaring_control_page {
	struct xaring_guest_line guest;     /* 0 */
	uint32_t reserved0[16];             /* 64 */
	struct xaring_backend_line backend; /* 128 */
	struct xaring_record_line record;   /* 192 */
	uint32_t reserved1[960];            /* 256 */
};

/*
 * The status page: one for each guest, read-only for applications, over the local socket only.
 * Written by whoever serves the socket.
 */
#define XARING_STATUS_BACKEND     0x1u /* the backend is there */
#define XARING_STATUS_GUEST_MUTED 0x8u
#define XARING_STATUS_NO_STORE    0x10u /* a guest's server does not reach xenstore */

#define XARING_VOLUME_UNITY 65536u /* linear: unchanged */

/* guest.volume: a volume up to XARING_VOLUME_UNITY, and these. Without the first one nothing is said. */
#define XARING_VOLUME_MASK  0x0001ffffu
#define XARING_VOLUME_TOLD  0x40000000u
#define XARING_VOLUME_MUTED 0x80000000u

struct xaring_status_page {
	uint32_t version; /* XARING_PROTOCOL_VERSION */
	uint32_t serial;  /* raised after every change */
	uint32_t flags;   /* XARING_STATUS_ */
	uint32_t volume;  /* the guest's own: linear, at most XARING_VOLUME_UNITY */
	uint32_t reserved[1020];
};

#endif
