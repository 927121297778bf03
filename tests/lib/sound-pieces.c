/* SPDX-License-Identifier: MIT */
/*
 * Finds out of which pieces of a sound a recording is made, in whatever order: what pausing, seeking and stopping have
 * left of it. No two stretches of the sound may be alike, as in noise.
 *
 *   sound-pieces CHANNELS PLAYED RECORDED     both are interleaved 32-bit floats
 *
 * Prints for each piece, in the order in which they were recorded,
 *   piece FROM FRAMES AT SILENT OTHER     its first frame in PLAYED, its length, its first frame in RECORDED, and how
 *                                         many silent frames, and others that are not of PLAYED, are before it
 *   end SILENT OTHER                      the same of what follows the last piece
 * Always exit 0: the caller judges.
 */
#include "sound-file.h"

#define PIECE_MIN 16 /* as many equal frames in a row are no coincidence */
#define NOWHERE   UINT32_MAX

struct sound {
	const uint8_t *bytes;
	size_t frames;
};

/* Where in the sound a frame is: lists of the places whose hash is the same. */
struct places {
	uint32_t *first, *next;
	size_t mask;
};

struct search {
	struct sound played, recorded;
	size_t frame_bytes;
	struct places places;
};

static struct sound map_sound(const char *path, size_t frame_bytes)
{
	struct sound_file file = sound_file_map(path);

	if (file.size / frame_bytes >= NOWHERE) {
		fprintf(stderr, "sound-pieces: %s is too long\n", path);
		exit(2);
	}
	return (struct sound){file.bytes, file.size / frame_bytes};
}

static const uint8_t *frame_of(const struct search *s, const struct sound *sound, size_t i)
{
	return sound->bytes + i * s->frame_bytes;
}

static size_t hash_frame(const struct search *s, const uint8_t *frame)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s->frame_bytes; i++)
		hash = (hash ^ frame[i]) * 0x100000001b3u;
	return (size_t)(hash ^ hash >> 32) & s->places.mask;
}

static void note_places(struct search *s)
{
	size_t room = 1;

	while (room < 2 * s->played.frames)
		room *= 2;
	s->places.mask = room - 1;
	s->places.first = malloc(room * sizeof(uint32_t));
	s->places.next = malloc((s->played.frames + 1) * sizeof(uint32_t));
	if (!s->places.first || !s->places.next)
		exit(2);
	memset(s->places.first, 0xff, room * sizeof(uint32_t));
	for (size_t i = s->played.frames; i-- > 0;) {
		size_t hash = hash_frame(s, frame_of(s, &s->played, i));

		s->places.next[i] = s->places.first[hash];
		s->places.first[hash] = (uint32_t)i;
	}
}

static bool is_silent(const struct search *s, size_t r)
{
	const uint8_t *frame = frame_of(s, &s->recorded, r);

	return sound_is_silent((const float *)(const void *)frame, s->frame_bytes / sizeof(float));
}

/* How many frames from there on are the same. */
static size_t equal_frames(const struct search *s, size_t p, size_t r)
{
	size_t n = 0;

	while (p + n < s->played.frames && r + n < s->recorded.frames &&
	       memcmp(frame_of(s, &s->played, p + n), frame_of(s, &s->recorded, r + n),
		      s->frame_bytes) == 0)
		n++;
	return n;
}

/* The longest piece that begins at r of the recording: its length, 0 when there is none; where in the sound in *from. */
static size_t find_piece(const struct search *s, size_t r, size_t *from)
{
	size_t best = 0;

	for (uint32_t p = s->places.first[hash_frame(s, frame_of(s, &s->recorded, r))];
	     p != NOWHERE; p = s->places.next[p]) {
		size_t n = equal_frames(s, p, r);

		if (n > best) {
			best = n;
			*from = p;
		}
	}
	return best >= PIECE_MIN ? best : 0;
}

static void print_pieces(const struct search *s)
{
	size_t silent = 0, other = 0, from = 0;

	for (size_t r = 0; r < s->recorded.frames;) {
		bool silence = is_silent(s, r);
		size_t n = silence ? 0 : find_piece(s, r, &from);

		if (n) {
			printf("piece %zu %zu %zu %zu %zu\n", from, n, r, silent, other);
			silent = other = 0;
			r += n;
			continue;
		}
		silent += silence;
		other += !silence;
		r++;
	}
	printf("end %zu %zu\n", silent, other);
}

int main(int argc, char **argv)
{
	struct search s = {0};

	if (argc != 4) {
		fprintf(stderr, "usage: sound-pieces CHANNELS PLAYED RECORDED\n");
		return 2;
	}
	s.frame_bytes = strtoul(argv[1], NULL, 10) * sizeof(float);
	if (!s.frame_bytes)
		return 2;
	s.played = map_sound(argv[2], s.frame_bytes);
	s.recorded = map_sound(argv[3], s.frame_bytes);
	note_places(&s);
	print_pieces(&s);
	return 0;
}
