# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=gstreamer1.0-alsa
SEEK_MS=300 SEEK_SKIPS="after a seek plays what is in the buffer, and leaves out as much of the new place"

play() {
	if [ "$SOUND" = long.wav ]; then guest python3 player.py "$SOUND"; else play_once; fi
}

play_once() {
	guest gst-launch-1.0 -q filesrc location="$SOUND" ! wavparse ! audioconvert ! audioresample ! alsasink
}

# Buffers of ten milliseconds.
record() {
	guest gst-launch-1.0 -q alsasrc num-buffers=$((RECORD_S * 100)) ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! \
		wavenc ! filesink location="$RECORDING"
}

# The command has no keys for another place; what a player does is this.
setup() {
	guest_write player.py <<-'END'
		import sys
		import gi
		gi.require_version("Gst", "1.0")
		from gi.repository import GLib, Gst

		Gst.init(None)
		player = Gst.parse_launch(f"filesrc location={sys.argv[1]} ! wavparse ! audioconvert ! audioresample ! alsasink")
		loop = GLib.MainLoop()


		def on_message(_bus, message):
		    if message.type in (Gst.MessageType.EOS, Gst.MessageType.ERROR):
		        loop.quit()


		def on_line(*_):
		    word, *arguments = sys.stdin.readline().split()
		    if word == "seek":
		        flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
		        player.seek_simple(Gst.Format.TIME, flags, int(arguments[0]) * Gst.SECOND)
		    else:
		        player.set_state(Gst.State.PAUSED if word == "pause" else Gst.State.PLAYING)
		    return True


		player.get_bus().add_signal_watch()
		player.get_bus().connect("message", on_message)
		GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, on_line)
		player.set_state(Gst.State.PLAYING)
		loop.run()
		player.set_state(Gst.State.NULL)
	END
}

reads_words
