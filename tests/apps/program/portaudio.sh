# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# By its Python binding, as a program that blocks.
KIND=alsa PACKAGE=libportaudio2
CUTS="its blocking interface stops the device without draining"

setup() {
	guest_write sound.py <<-'END'
		import sys
		import wave
		import pyaudio

		FRAMES = 1024
		audio = pyaudio.PyAudio()
		if sys.argv[1] == "play":
		    file = wave.open(sys.argv[2])
		    stream = audio.open(48000, 2, pyaudio.paInt16, output=True, frames_per_buffer=FRAMES)
		    while data := file.readframes(FRAMES):
		        stream.write(data)
		else:
		    file = wave.open(sys.argv[2], "wb")
		    file.setparams((2, 2, 48000, 0, "NONE", None))
		    stream = audio.open(48000, 2, pyaudio.paInt16, input=True, frames_per_buffer=FRAMES)
		    for _ in range(48000 * int(sys.argv[3]) // FRAMES):
		        file.writeframes(stream.read(FRAMES))
		stream.stop_stream()
		stream.close()
		file.close()
		audio.terminate()
	END
}

play() {
	guest python3 sound.py play "$SOUND"
}

record() {
	guest python3 sound.py record "$RECORDING" "$RECORD_S"
}
