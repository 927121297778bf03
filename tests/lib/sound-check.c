/* SPDX-License-Identifier: MIT */
/*
 * Judges recordings of sound-tap.
 *
 *   sound-check exact FORMAT CHANNELS PLAYED RECORDED [RAMP]
 *       Every frame of PLAYED (raw samples) is in RECORDED once, in order, without a gap, and
 *       nothing but silence around it, or a ramp of at most RAMP frames after it. Last line:
 *       "exact: N of M frames"; exit 0 when N = M.
 *   sound-check coded VM RATE RECORDED [LOG [GAIN]]
 *       Reads the frame code. Prints one JSON object: runs of consecutive frames, gaps, frames
 *       lost at gaps, jumps, frames skipped in jumps, repeated, foreign and damaged frames; with
 *       the LOG of coded-player the latency of each run. What was recorded is multiplied by GAIN
 *       before, a power of two, so that nothing is lost. Always exit 0: the caller judges.
 *   sound-check level CHANNELS RECORDED [FROM_NS TO_NS]
 *       Prints the level in dB of the recording, or of the part between two times.
 *   sound-check bounds CHANNELS RECORDED
 *       Prints the number of the first frame that is not silent, that of the last, and how many there are;
 *       0 0 when all are silent.
 *   sound-check holes CHANNELS RECORDED
 *       Prints how many frames between the first one that is not silent and the last one are.
 *   sound-check moment CHANNELS RATE RECORDED FRAME TAPPED
 *       Prints when, in ns, the 16 frames of RECORDED from FRAME on began to be heard in TAPPED, a recording of
 *       sound-tap; nothing, and exit 1, when they never were.
 *   sound-check end-level CHANNELS FRAMES RECORDED
 *       The same of the last FRAMES frames before the silence at the end.
 */
#include <inttypes.h>

#include "frame-code.h"
#include "samples.h"
#include "sound-file.h"

#define RESYNC_FRAMES 16     /* so many equal frames in a row are no coincidence */
#define RESYNC_MAX    960000 /* how far an insertion or a loss is looked for */
#define RESYNC_VAIN   64     /* so many searches in vain, and the rest is another sound */
#define RUN_MIN       4      /* as many codes in a row are no coincidence either */
#define RAMP_US       2500   /* damaged frames after a run that may be a ramp */

/* ---- exact ---- */

struct exact {
	const float *played, *recorded;
	size_t n_played, n_recorded;
	uint32_t channels;
	size_t equal, gaps, inserted, lost, different;
};

static bool is_equal(const struct exact *e, size_t p, size_t r, size_t frames)
{
	if (p + frames > e->n_played)
		frames = e->n_played - p;
	return r + frames <= e->n_recorded &&
	       memcmp(e->played + p * e->channels, e->recorded + r * e->channels,
		      frames * e->channels * sizeof(float)) == 0;
}

static size_t find_sound(const float *frames, size_t n, uint32_t channels)
{
	size_t i = 0;

	while (i < n && sound_is_silent(frames + i * channels, channels))
		i++;
	return i;
}

/* After a difference: finds out whether frames were inserted or lost, and steps over them. */
static void resync(struct exact *e, size_t *p, size_t *r)
{
	for (size_t d = 1; d < RESYNC_MAX && *r + d < e->n_recorded; d++) {
		if (!is_equal(e, *p, *r + d, RESYNC_FRAMES))
			continue;
		printf("at frame %zu: %zu frames inserted\n", *p, d);
		e->gaps++;
		e->inserted += d;
		*r += d;
		return;
	}
	for (size_t d = 1; d < RESYNC_MAX && *p + d < e->n_played; d++) {
		if (!is_equal(e, *p + d, *r, RESYNC_FRAMES))
			continue;
		printf("at frame %zu: %zu frames lost\n", *p, d);
		e->lost += d;
		*p += d;
		return;
	}
	e->different++;
	(*p)++;
	(*r)++;
}

static size_t compare(struct exact *e, size_t p, size_t r)
{
	while (p < e->n_played && r < e->n_recorded && e->different < RESYNC_VAIN) {
		if (is_equal(e, p, r, 1)) {
			e->equal++;
			p++;
			r++;
		} else {
			resync(e, &p, &r);
		}
	}
	e->lost += e->n_played - p;
	return r;
}

static float *played_floats(const struct sound_file *file, enum samples_format format,
			    size_t samples)
{
	float *floats = malloc((samples ? samples : 1) * sizeof(*floats));
	uint32_t bytes = samples_formats[format].bytes;

	for (size_t i = 0; floats && i < samples; i++)
		floats[i] = samples_get(format, file->bytes + i * bytes);
	if (!floats)
		exit(2);
	return floats;
}

static int check_exact(const char *format_name, const char *channels, const char *played,
		       const char *recorded, size_t ramp)
{
	enum samples_format format = samples_by_name(format_name);
	struct sound_file p_file = sound_file_map(played), r_file = sound_file_map(recorded);
	struct exact e = {.channels = (uint32_t)strtoul(channels, NULL, 10)};
	size_t lead, sound, skip, end, extra = 0;

	e.n_played = p_file.size / samples_formats[format].bytes / e.channels;
	e.n_recorded = r_file.size / sizeof(float) / e.channels;
	e.played = played_floats(&p_file, format, e.n_played * e.channels);
	e.recorded = (const float *)(const void *)r_file.bytes;
	lead = find_sound(e.played, e.n_played, e.channels);
	sound = find_sound(e.recorded, e.n_recorded, e.channels);
	/* Silence at the head of what was played may be missing when the recording began late. */
	skip = sound < lead ? lead - sound : 0;
	if (skip)
		printf("the recording begins %zu frames too late\n", skip);
	end = compare(&e, skip, sound + skip - lead);
	for (; end < e.n_recorded; end++)
		extra += !sound_is_silent(e.recorded + end * e.channels, e.channels);
	if (e.gaps || e.lost || e.different || extra)
		printf("%zu gaps with %zu frames, %zu lost, %zu different, %zu after the end\n",
		       e.gaps, e.inserted, e.lost, e.different, extra);
	printf("exact: %zu of %zu frames\n", e.equal, e.n_played);
	return e.equal == e.n_played && e.n_played && !e.gaps && extra <= ramp ? 0 : 1;
}

/* ---- times ---- */

struct moment {
	uint64_t key; /* frame of the recording, or index that was written */
	uint64_t ns;
	uint64_t frames;
};

struct moments {
	struct moment *list;
	size_t n;
};

/* The lines "KEY NS FRAMES ..." of sound-tap, and "w NS KEY ..." of coded-player. */
static struct moments read_moments(const char *path, bool is_log)
{
	struct moments m = {0};
	FILE *file = fopen(path, "re");
	char line[256];
	size_t room = 0;

	while (file && fgets(line, sizeof(line), file)) {
		struct moment x = {0};

		if (is_log ? sscanf(line, "w %" SCNu64 " %" SCNu64, &x.ns, &x.key) != 2
			   : sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &x.key, &x.ns,
				    &x.frames) != 3)
			continue;
		if (m.n == room) {
			room = room ? room * 2 : 1024;
			m.list = realloc(m.list, room * sizeof(*m.list));
			if (!m.list)
				exit(2);
		}
		m.list[m.n++] = x;
	}
	if (file)
		fclose(file);
	return m;
}

/* The number of entries whose key is not above key. */
static size_t count_upto(const struct moments *m, uint64_t key)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->list[middle].key <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* When a frame of the recording was in the graph, or 0. */
static uint64_t heard_ns(const struct moments *times, uint64_t frame, uint32_t rate)
{
	size_t i = count_upto(times, frame);

	if (!i)
		return 0;
	return times->list[i - 1].ns + (frame - times->list[i - 1].key) * 1000000000u / rate;
}

/* When the application had written the frame with this index, or 0. */
static uint64_t written_ns(const struct moments *log, uint64_t index)
{
	size_t i = count_upto(log, index);

	return i < log->n ? log->list[i].ns : 0;
}

/* ---- coded ---- */

struct run {
	size_t at;
	uint32_t first, last;
	size_t silent; /* between the run before and this one */
	size_t ramp;   /* after this one */
};

struct coded {
	uint32_t vm, rate;
	const float *frames;
	size_t n;
	struct run *runs;
	size_t n_runs, room;
	size_t foreign, damaged, ramp, silent, half;
	uint32_t foreign_vm;
};

/* How many frames from i on are consecutive codes of one VM. */
static size_t code_run(const struct coded *c, size_t i, uint32_t *vm, uint32_t *first)
{
	uint32_t v, index;
	size_t n = 1;

	if (!frame_code_read(c->frames + i * 2, vm, first))
		return 0;
	while (i + n < c->n && frame_code_read(c->frames + (i + n) * 2, &v, &index) && v == *vm &&
	       index == *first + (uint32_t)n)
		n++;
	return n;
}

static void add_run(struct coded *c, struct run run)
{
	if (c->n_runs == c->room) {
		c->room = c->room ? c->room * 2 : 64;
		c->runs = realloc(c->runs, c->room * sizeof(*c->runs));
		if (!c->runs)
			exit(2);
	}
	c->runs[c->n_runs++] = run;
}

/* Damaged frames straight after a run are its ramp, if they are few enough. */
static void add_damage(struct coded *c, size_t length, bool after_run)
{
	if (!after_run || length > (size_t)c->rate * RAMP_US / 1000000) {
		c->damaged += length;
		return;
	}
	c->ramp += length;
	c->runs[c->n_runs - 1].ramp = length;
}

/* One channel is silent: PipeWire makes and breaks the links of a node one by one. */
static bool is_half(const float *frame)
{
	return (frame[0] == 0.0f) != (frame[1] == 0.0f);
}

static void scan_runs(struct coded *c)
{
	size_t i = 0, silent = 0, damage = 0;
	bool after_run = false;

	while (i < c->n) {
		uint32_t vm = 0, first = 0;
		size_t length = code_run(c, i, &vm, &first);
		bool is_run = length >= RUN_MIN;
		bool half = !is_run && is_half(c->frames + i * 2);
		bool silence = half || sound_is_silent(c->frames + i * 2, 2);

		if ((is_run || silence) && damage) {
			add_damage(c, damage, after_run);
			after_run = false;
			damage = 0;
		}
		if (is_run && vm == c->vm) {
			add_run(c, (struct run){i, first, first + (uint32_t)length - 1, silent, 0});
			silent = 0;
			after_run = true;
		} else if (is_run) {
			c->foreign += length;
			c->foreign_vm = vm;
		} else if (silence) {
			silent++;
			c->silent += !half;
			c->half += half;
			after_run = false;
		} else {
			damage++;
		}
		i += is_run ? length : 1;
	}
	add_damage(c, damage, after_run);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median over the run, in ms, or -1 when nothing is known of it. */
static double run_latency(const struct run *run, const struct moments *times,
			  const struct moments *log, uint32_t rate)
{
	static double values[4096];
	uint32_t frames = run->last - run->first + 1;
	uint32_t step = frames / 4096 + 1;
	size_t n = 0;

	for (uint32_t i = 0; i < frames && n < 4096; i += step) {
		uint64_t heard = heard_ns(times, run->at + i, rate);
		uint64_t written = written_ns(log, run->first + i);

		if (heard && written)
			values[n++] = (double)((int64_t)heard - (int64_t)written) / 1e6;
	}
	if (!n)
		return -1;
	qsort(values, n, sizeof(values[0]), by_value);
	return values[n / 2];
}

static void print_runs(const struct coded *c, const struct moments *times,
		       const struct moments *log)
{
	printf("\"runs\": [");
	for (size_t i = 0; i < c->n_runs; i++) {
		const struct run *run = &c->runs[i];
		uint32_t frames = run->last - run->first + 1;

		printf("%s{\"at\": %zu, \"frames\": %u, \"first\": %u, \"last\": %u, "
		       "\"silent_before\": %zu, \"ramp_after\": %zu, \"begin_ns\": %" PRIu64
		       ", \"end_ns\": %" PRIu64 ", \"latency_ms\": %.3f}",
		       i ? ",\n " : "", run->at, frames, run->first, run->last, run->silent,
		       run->ramp, heard_ns(times, run->at, c->rate),
		       heard_ns(times, run->at + frames, c->rate),
		       run_latency(run, times, log, c->rate));
	}
	printf("]}\n");
}

static void print_totals(const struct coded *c)
{
	uint64_t coded = 0, lost = 0, skipped = 0, repeated = 0;
	size_t gaps = 0, jumps = 0;

	for (size_t i = 0; i < c->n_runs; i++) {
		const struct run *run = &c->runs[i];
		const struct run *before = i ? run - 1 : NULL;
		int32_t step = before ? (int32_t)(run->first - before->last) - 1 : 0;
		bool gap = before && run->at > before->at + (before->last - before->first + 1);

		coded += run->last - run->first + 1;
		gaps += gap;
		jumps += before && !gap;
		lost += gap && step > 0 ? (uint64_t)step : 0;
		skipped += !gap && step > 0 ? (uint64_t)step : 0;
		repeated += step < 0 ? (uint64_t)(-(int64_t)step) : 0;
	}
	printf("{\"vm\": %u, \"recorded\": %zu, \"coded\": %" PRIu64 ", \"gaps\": %zu, "
	       "\"jumps\": %zu, \"lost\": %" PRIu64 ", \"skipped\": %" PRIu64
	       ", \"repeated\": %" PRIu64
	       ", \"foreign\": %zu, \"foreign_vm\": %u, \"damaged\": %zu, \"ramp\": %zu, "
	       "\"silent\": %zu, \"half\": %zu,\n ",
	       c->vm, c->n, coded, gaps, jumps, lost, skipped, repeated, c->foreign, c->foreign_vm,
	       c->damaged, c->ramp, c->silent, c->half);
}

static struct moments read_times(const char *recorded)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s.times", recorded);
	return read_moments(path, false);
}

static void amplify(const struct sound_file *file, float gain)
{
	float *samples = (float *)(void *)file->bytes;

	for (size_t i = 0; i < file->size / sizeof(float); i++)
		samples[i] *= gain;
}

static int check_coded(const char *vm, const char *rate, const char *recorded, const char *log,
		       const char *gain)
{
	struct sound_file file = sound_file_map(recorded);
	struct coded c = {
		.vm = (uint32_t)strtoul(vm, NULL, 10),
		.rate = (uint32_t)strtoul(rate, NULL, 10),
		.frames = (const float *)(const void *)file.bytes,
		.n = file.size / sizeof(float) / 2,
	};
	struct moments times = read_times(recorded), written = {0};

	if (log)
		written = read_moments(log, true);
	if (gain)
		amplify(&file, strtof(gain, NULL));
	scan_runs(&c);
	print_totals(&c);
	print_runs(&c, &times, &written);
	return 0;
}

/* ---- level ---- */

static void print_level(double sum, size_t n)
{
	printf("%.2f\n", sum > 0 ? 10 * log10(sum / (double)n) : -200.0);
}

static int check_end_level(const char *channels_text, const char *frames_text, const char *recorded)
{
	struct sound_file file = sound_file_map(recorded);
	const float *samples = (const float *)(const void *)file.bytes;
	size_t channels = strtoul(channels_text, NULL, 10), n = strtoul(frames_text, NULL, 10);
	size_t end = file.size / sizeof(float);
	double sum = 0;

	while (end && samples[end - 1] == 0.0f)
		end--;
	n *= channels;
	if (!n || end < n) {
		fprintf(stderr, "sound-check: only %zu samples were heard\n", end);
		return 1;
	}
	for (size_t i = end - n; i < end; i++)
		sum += (double)samples[i] * (double)samples[i];
	print_level(sum, n);
	return 0;
}

static int check_bounds(const char *channels_text, const char *recorded)
{
	struct sound_file file = sound_file_map(recorded);
	const float *samples = (const float *)(const void *)file.bytes;
	uint32_t channels = (uint32_t)strtoul(channels_text, NULL, 10);
	size_t n = file.size / sizeof(float) / channels, first = find_sound(samples, n, channels);
	size_t last = n;

	while (last > first && sound_is_silent(samples + (last - 1) * channels, channels))
		last--;
	printf("%zu %zu %zu\n", first < n ? first : 0, last > first ? last - 1 : 0, n);
	return 0;
}

static int check_holes(const char *channels_text, const char *recorded)
{
	struct sound_file file = sound_file_map(recorded);
	const float *samples = (const float *)(const void *)file.bytes;
	uint32_t channels = (uint32_t)strtoul(channels_text, NULL, 10);
	size_t n = file.size / sizeof(float) / channels, at = find_sound(samples, n, channels);
	size_t silent = 0, holes = 0;

	for (; at < n; at++) {
		if (sound_is_silent(samples + at * channels, channels)) {
			silent++;
			continue;
		}
		holes += silent;
		silent = 0;
	}
	printf("%zu\n", holes);
	return 0;
}

static int check_moment(const char *channels, const char *rate, const char *recorded,
			const char *frame, const char *tapped)
{
	struct sound_file r = sound_file_map(recorded), t = sound_file_map(tapped);
	struct moments times = read_times(tapped);
	size_t bytes = strtoul(channels, NULL, 10) * sizeof(float);
	size_t from = strtoul(frame, NULL, 10) * bytes, length = RESYNC_FRAMES * bytes;

	if (from + length > r.size)
		return 1;
	for (size_t i = 0; i * bytes + length <= t.size; i++) {
		if (memcmp(r.bytes + from, t.bytes + i * bytes, length) != 0)
			continue;
		printf("%" PRIu64 "\n", heard_ns(&times, i, (uint32_t)strtoul(rate, NULL, 10)));
		return 0;
	}
	return 1;
}

static int check_level(const char *channels_text, const char *recorded, uint64_t from_ns,
		       uint64_t to_ns)
{
	struct sound_file file = sound_file_map(recorded);
	struct moments times = read_times(recorded);
	uint32_t channels = (uint32_t)strtoul(channels_text, NULL, 10);
	const float *samples = (const float *)(const void *)file.bytes;
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < times.n; i++) {
		const struct moment *cycle = &times.list[i];
		size_t end = (cycle->key + cycle->frames) * channels;

		if (cycle->ns < from_ns || cycle->ns >= to_ns || end * sizeof(float) > file.size)
			continue;
		for (size_t s = cycle->key * channels; s < end; s++, n++)
			sum += (double)samples[s] * (double)samples[s];
	}
	if (!n) {
		fprintf(stderr, "sound-check: nothing recorded in that time\n");
		return 1;
	}
	print_level(sum, n);
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 6 || argc == 7) && strcmp(argv[1], "exact") == 0)
		return check_exact(argv[2], argv[3], argv[4], argv[5],
				   argc == 7 ? strtoul(argv[6], NULL, 10) : 0);
	if (argc >= 5 && argc <= 7 && strcmp(argv[1], "coded") == 0)
		return check_coded(argv[2], argv[3], argv[4], argc >= 6 ? argv[5] : NULL,
				   argc == 7 ? argv[6] : NULL);
	if (argc == 4 && strcmp(argv[1], "bounds") == 0)
		return check_bounds(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "holes") == 0)
		return check_holes(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "moment") == 0)
		return check_moment(argv[2], argv[3], argv[4], argv[5], argv[6]);
	if (argc == 5 && strcmp(argv[1], "end-level") == 0)
		return check_end_level(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(argv[1], "level") == 0)
		return check_level(argv[2], argv[3], 0, UINT64_MAX);
	if (argc == 6 && strcmp(argv[1], "level") == 0)
		return check_level(argv[2], argv[3], strtoull(argv[4], NULL, 10),
				   strtoull(argv[5], NULL, 10));
	fprintf(stderr, "usage: sound-check exact FORMAT CHANNELS PLAYED RECORDED [RAMP] |\n"
			"       sound-check coded VM RATE RECORDED [LOG [GAIN]] |\n"
			"       sound-check level CHANNELS RECORDED [FROM_NS TO_NS] |\n"
			"       sound-check bounds CHANNELS RECORDED |\n"
			"       sound-check holes CHANNELS RECORDED |\n"
			"       sound-check moment CHANNELS RATE RECORDED FRAME TAPPED |\n"
			"       sound-check end-level CHANNELS FRAMES RECORDED\n");
	return 2;
}
