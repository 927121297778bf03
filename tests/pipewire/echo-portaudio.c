/* SPDX-License-Identifier: MIT */
/*
 * A program with one stream in both directions, of PortAudio: it plays what it records.
 *
 *   echo-portaudio [FRAMES]    of each callback; until SIGTERM. PORTAUDIO_DEVICE: "xen".
 *
 * Says on standard output, at its end, how often PortAudio told it of frames that were lost.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <portaudio.h>

#define CHANNELS 2
#define RATE     48000

static unsigned long lost;

/* Thread: PortAudio's. */
static int echo(const void *input, void *output, unsigned long frames,
		const PaStreamCallbackTimeInfo *time, PaStreamCallbackFlags flags, void *data)
{
	(void)time;
	(void)data;
	if (flags & (paInputUnderflow | paInputOverflow | paOutputUnderflow | paOutputOverflow))
		lost++;
	memcpy(output, input, frames * CHANNELS * sizeof(float));
	return paContinue;
}

static PaDeviceIndex find_device(const char *name)
{
	for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
		if (strcmp(Pa_GetDeviceInfo(i)->name, name) == 0)
			return i;
	}
	return paNoDevice;
}

static PaError run(PaDeviceIndex device, unsigned long frames, const sigset_t *end)
{
	const PaDeviceInfo *info = Pa_GetDeviceInfo(device);
	PaStreamParameters in = {.device = device,
				 .channelCount = CHANNELS,
				 .sampleFormat = paFloat32};
	PaStreamParameters out = in;
	PaStream *stream;
	PaError res;
	int signal;

	in.suggestedLatency = info->defaultHighInputLatency;
	out.suggestedLatency = info->defaultHighOutputLatency;
	res = Pa_OpenStream(&stream, &in, &out, RATE, frames, paNoFlag, echo, NULL);
	if (res != paNoError)
		return res;
	res = Pa_StartStream(stream);
	if (res == paNoError) {
		sigwait(end, &signal);
		res = Pa_StopStream(stream);
	}
	Pa_CloseStream(stream);
	return res;
}

int main(int argc, char **argv)
{
	unsigned long frames = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	PaDeviceIndex device;
	sigset_t end;
	PaError res;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	res = Pa_Initialize();
	device = res == paNoError ? find_device("xen") : paNoDevice;
	if (device == paNoDevice) {
		fprintf(stderr, "echo-portaudio: there is no device xen\n");
		return 1;
	}
	res = run(device, frames, &end);
	Pa_Terminate();
	printf("%lu\n", lost);
	if (res != paNoError)
		fprintf(stderr, "echo-portaudio: %s\n", Pa_GetErrorText(res));
	return res != paNoError;
}
