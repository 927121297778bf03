# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# By the library's own interface, since what mplayer plays by it is mixed in space.
KIND=alsa PACKAGE=libopenal1
# It fades in and out.
PAUSE_DROPS="plays silence while its sources pause" PAUSE_MS=2
CUTS="closes the device without draining"

setup() {
	guest_write sound.py <<-'END'
		import ctypes
		import select
		import sys
		import time
		import wave

		STEREO16, BUFFER, SEC_OFFSET, STATE, STOPPED, SAMPLES = 0x1103, 0x1009, 0x1024, 0x1010, 0x1014, 0x312
		FREQUENCY = 0x1007
		DIRECT_CHANNELS = 0x1033  # as they are, not mixed in space
		al = ctypes.CDLL("libopenal.so.1")
		for name in "alcOpenDevice", "alcCreateContext", "alcCaptureOpenDevice":
		    getattr(al, name).restype = ctypes.c_void_p


		def number(function, *arguments):
		    value = ctypes.c_int(0)
		    function(*arguments, ctypes.byref(value))
		    return value.value


		def obey(source):
		    if select.select([sys.stdin], [], [], 0.01)[0]:
		        word, *arguments = sys.stdin.readline().split()
		        if word == "seek":
		            al.alSourcef(source, SEC_OFFSET, ctypes.c_float(float(arguments[0])))
		        else:
		            (al.alSourcePause if word == "pause" else al.alSourcePlay)(source)


		def play(path):
		    device = ctypes.c_void_p(al.alcOpenDevice(None))
		    context = ctypes.c_void_p(al.alcCreateContext(device, (ctypes.c_int * 3)(FREQUENCY, 48000, 0)))
		    al.alcMakeContextCurrent(context)
		    file = wave.open(path)
		    data = file.readframes(file.getnframes())
		    buffer = number(al.alGenBuffers, 1)
		    al.alBufferData(buffer, STEREO16, data, len(data), 48000)
		    source = number(al.alGenSources, 1)
		    al.alSourcei(source, BUFFER, buffer)
		    al.alSourcei(source, DIRECT_CHANNELS, 1)
		    al.alSourcePlay(source)
		    while number(al.alGetSourcei, source, STATE) != STOPPED:
		        obey(source)
		    al.alcMakeContextCurrent(None)
		    al.alcDestroyContext(context)
		    al.alcCloseDevice(device)


		def record(path, seconds):
		    device = ctypes.c_void_p(al.alcCaptureOpenDevice(None, 48000, STEREO16, 48000))
		    left = 48000 * int(seconds)
		    with wave.open(path, "wb") as file:
		        file.setparams((2, 2, 48000, 0, "NONE", None))
		        al.alcCaptureStart(device)
		        while left > 0:
		            frames = min(number(al.alcGetIntegerv, device, SAMPLES, 1), left)
		            data = ctypes.create_string_buffer(frames * 4)
		            al.alcCaptureSamples(device, data, frames)
		            file.writeframes(data.raw)
		            left -= frames
		            time.sleep(0.01)
		        al.alcCaptureStop(device)
		    al.alcCaptureCloseDevice(device)


		{"play": play, "record": record}[sys.argv[1]](*sys.argv[2:])
	END
}

play() {
	guest python3 sound.py play "$SOUND"
}

record() {
	guest python3 sound.py record "$RECORDING" "$RECORD_S"
}

reads_words
