/* SPDX-License-Identifier: MIT */
/*
 * Everything that is advertised plays: each format, rate and number of channels to the last frame, by
 * both kinds of access, and with the channel map that belongs to it.
 */
#include "case.h"

#define CHANNELS_MOST 8

static bool is_offered(struct test_case *c, const struct shape *s)
{
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(c->pcm, hw) >= 0);
	return snd_pcm_hw_params_set_access(c->pcm, hw,
					    s->mmap ? SND_PCM_ACCESS_MMAP_INTERLEAVED
						    : SND_PCM_ACCESS_RW_INTERLEAVED) == 0 &&
	       snd_pcm_hw_params_set_format(c->pcm, hw, s->format) == 0 &&
	       snd_pcm_hw_params_set_channels(c->pcm, hw, s->channels) == 0 &&
	       snd_pcm_hw_params_set_rate(c->pcm, hw, s->rate, 0) == 0;
}

/* Some milliseconds of it, in odd pieces. Returns whether the PCM offers it. */
static bool plays(struct test_case *c, struct shape shape)
{
	uint32_t frames = shape.rate / 40 + 7;

	case_serve_anew(c, 64);
	case_open(c, 0);
	if (!is_offered(c, &shape)) {
		case_close(c);
		return false;
	}
	assert_int_equal(case_try_shape(c, c->pcm, shape), 0);
	case_write(c, frames, shape.mmap ? frames : 333);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, frames);
	case_close(c);
	return true;
}

static snd_pcm_uframes_t usual_period(unsigned int rate)
{
	return rate / 100;
}

static bool plays_at(struct test_case *c, snd_pcm_format_t format, unsigned int rate,
		     unsigned int channels)
{
	return plays(c, (struct shape){.mmap = channels % 2 == 0,
				       .format = format,
				       .rate = rate,
				       .channels = channels,
				       .period = usual_period(rate),
				       .buffer = 4 * usual_period(rate)});
}

/* Formats of whole bytes; those of compressed sound have no frames that could be counted. */
static bool is_plain(snd_pcm_format_t format)
{
	return snd_pcm_format_linear(format) == 1 || snd_pcm_format_float(format) == 1;
}

static void every_format_with_every_number_of_channels(void **state)
{
	struct test_case *c = *state;
	uint32_t offered = 0;

	for (snd_pcm_format_t f = 0; f <= SND_PCM_FORMAT_LAST; f++)
		for (unsigned int channels = 1; is_plain(f) && channels <= CHANNELS_MOST;
		     channels++)
			offered += plays_at(c, f, 48000, channels);
	assert_true(offered > 0);
	if (!case_is_other())
		assert_int_equal(offered, 6 * CHANNELS_MOST);
}

/* Those of sound cards, of telephones, and some that nobody has. */
static const unsigned int rates[] = {8000,  11025, 12000, 16000, 22050, 24000, 32000,  37800, 44100,
				     44101, 48000, 64000, 65537, 88200, 96000, 176400, 192000};

#define RATES (sizeof(rates) / sizeof(rates[0]))

static void every_format_at_every_rate(void **state)
{
	struct test_case *c = *state;
	uint32_t offered = 0;

	for (snd_pcm_format_t f = 0; f <= SND_PCM_FORMAT_LAST; f++)
		for (size_t i = 0; is_plain(f) && i < RATES; i++)
			offered += plays_at(c, f, rates[i], 2 - i % 2);
	assert_true(offered > 0);
	if (!case_is_other())
		assert_int_equal(offered, 6 * RATES);
}

static void the_extremes_of_the_protocol(void **state)
{
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw;
	unsigned int least, most;

	case_open(c, 0);
	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(c->pcm, hw) >= 0);
	assert_int_equal(snd_pcm_hw_params_get_rate_min(hw, &least, NULL), 0);
	assert_int_equal(snd_pcm_hw_params_get_rate_max(hw, &most, NULL), 0);
	case_close(c);
	if (least < 1000 || most > 1000000) {
		case_lacks("it has no rate of its own");
		return;
	}
	assert_true(plays_at(c, SND_PCM_FORMAT_S16_LE, least, 2));
	assert_true(plays_at(c, SND_PCM_FORMAT_S16_LE, most, 2));
}

static bool is_same_map(const snd_pcm_chmap_t *a, const snd_pcm_chmap_t *b)
{
	return a->channels == b->channels &&
	       memcmp(a->pos, b->pos, a->channels * sizeof(a->pos[0])) == 0;
}

/* Tells whether one of those on offer is this map. */
static bool is_queried(snd_pcm_t *pcm, const snd_pcm_chmap_t *map)
{
	snd_pcm_chmap_query_t **maps = snd_pcm_query_chmaps(pcm);
	bool found = false;

	assert_non_null(maps);
	for (snd_pcm_chmap_query_t **m = maps; *m; m++)
		found |= is_same_map(&(*m)->map, map);
	snd_pcm_free_chmaps(maps);
	return found;
}

static bool has_maps(snd_pcm_t *pcm)
{
	snd_pcm_chmap_query_t **maps = snd_pcm_query_chmaps(pcm);

	snd_pcm_free_chmaps(maps);
	return maps != NULL;
}

static void assert_server_has(struct test_case *c, const snd_pcm_chmap_t *map)
{
	struct xaring_params params;

	if (!c->backend)
		return;
	fake_params(c->backend, 0, &params);
	assert_int_equal(params.channels, map->channels);
	for (uint32_t i = 0; i < map->channels; i++)
		assert_int_equal(params.map[i], map->pos[i]);
}

/* What it has can be set once more; what is another order, another number, or nonsense cannot. */
static void assert_fixed(snd_pcm_t *pcm, const snd_pcm_chmap_t *map)
{
	union {
		snd_pcm_chmap_t map;
		unsigned int room[2 + CHANNELS_MOST];
	} other = {0};

	assert_int_equal(snd_pcm_set_chmap(pcm, map), 0);
	other.map.channels = map->channels;
	for (uint32_t i = 0; i < map->channels; i++)
		other.map.pos[i] = SND_CHMAP_LAST;
	assert_true(snd_pcm_set_chmap(pcm, &other.map) < 0);
	memcpy(&other, map, sizeof(*map) + map->channels * sizeof(map->pos[0]));
	other.map.channels--;
	assert_true(snd_pcm_set_chmap(pcm, &other.map) < 0);
	if (map->channels > 1) {
		other.map.channels++;
		other.map.pos[0] = map->pos[1];
		other.map.pos[1] = map->pos[0];
		assert_true(snd_pcm_set_chmap(pcm, &other.map) < 0);
	}
}

static void each_number_of_channels_has_its_map(void **state)
{
	struct test_case *c = *state;

	case_open(c, 0);
	if (!has_maps(c->pcm)) {
		case_lacks("it has no channel maps");
		return;
	}
	case_close(c);
	for (unsigned int channels = 1; channels <= CHANNELS_MOST; channels++) {
		struct shape shape = {.channels = channels, .format = SND_PCM_FORMAT_S16_LE};
		snd_pcm_chmap_t *map;

		case_serve_anew(c, 256);
		case_open(c, 0);
		shape.rate = 48000;
		if (is_offered(c, &shape)) {
			case_shape(c, shape);
			map = snd_pcm_get_chmap(c->pcm);
			assert_non_null(map);
			assert_int_equal(map->channels, channels);
			assert_true(is_queried(c->pcm, map));
			if (!case_is_other())
				assert_fixed(c->pcm, map);
			assert_server_has(c, map);
			free(map);
		}
		case_close(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(every_format_with_every_number_of_channels),
		case_test(every_format_at_every_rate),
		case_test(the_extremes_of_the_protocol),
		case_test(each_number_of_channels_has_its_map),
	};

	return case_run(tests);
}
