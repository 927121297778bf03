# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=alsa-utils
OPTIONS=''

play() {
	# shellcheck disable=SC2086
	guest aplay $OPTIONS "$SOUND"
}

record() {
	guest arecord -f dat -d "$RECORD_S" "$RECORDING"
}

try() {
	plays
	records
	[ "$XARING_TEST" != long ] || extremes
}

# What few programs ask for. None of it is a row of the table.
extremes() {
	local RESULTS=/dev/null options
	for options in -M -N '-M -N' '--period-size=64 --buffer-size=4096' '--period-size=16384 --buffer-size=65536'; do
		NAME="aplay $options" OPTIONS=$options
		plays
	done
	formats
	shapes
}

# Frame by frame: what there are of formats.
formats() {
	local format
	for format in U8 S24 S24_3 S32 FLOAT; do
		noise "$SESSION/noise-$format.raw" $format 2 96000 5
		"$TOOLS/sound-make" floats $format <"$SESSION/noise-$format.raw" >"$SESSION/noise-$format.f32"
		guest_file "$SESSION/noise-$format.raw" "noise-$format.wav"
		NAME="aplay -f $format" OPTIONS="-t raw -c 2 -r 48000 -f $(alsa_format $format)"
		plays "noise-$format"
	done
}

# Rates and channels are converted in dom0.
shapes() {
	local shape
	noise "$SESSION/shape.wav" S16 8 $((2 * 192000)) 6
	: >"$SESSION/shape.f32"
	for shape in '-r 8000 -c 1' '-r 44100 -c 2' '-r 96000 -c 2' '-r 192000 -c 2' '-r 48000 -c 6' '-r 48000 -c 8'; do
		NAME="aplay $shape" OPTIONS="-t raw -f S16_LE $shape -d 2"
		sounds 1.9 2.1 -40 shape
	done
}
