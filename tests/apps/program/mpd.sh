# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A server, and its client.
KIND=alsa PACKAGE=mpd
# What is in the device's buffer, and in its own.
PAUSE_DROPS="closes the device at a pause, and drops what is in the buffers" PAUSE_MS=1200

setup() {
	guest_write mpd.conf <<-'END'
		zeroconf_enabled "no"
		bind_to_address "/run/user/1000/mpd"
		log_file "/dev/null"
		audio_output {
		    type "alsa"
		    name "xen"
		}
	END
	GUEST_ENV=(MPD_HOST=/run/user/1000/mpd)
}

# The server says what the device says.
play() {
	# shellcheck disable=SC2016
	guest sh -c 'mpd --no-daemon --stderr mpd.conf &
		n=0
		until mpc version >/dev/null 2>&1 || [ $((n += 1)) -gt 100 ]; do sleep 0.05; done
		mpc -q add "$HOME/$0" && mpc -q play
		while mpc status | grep -q "^\[p"; do timeout 1 mpc -q idle player >/dev/null; done
		mpc status | grep ERROR
		kill $! && wait $!' "$SOUND"
}

pause() {
	guest mpc -q pause
}

resume() {
	guest mpc -q play
}

seek_to() {
	guest mpc -q seek "$1"
}
