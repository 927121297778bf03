# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=mpv

play() {
	guest mpv --no-terminal --no-video --input-ipc-client=fd://0 "$SOUND"
}

reads_json

seek_to() {
	guest_keys "{\"command\":[\"seek\",$1,\"absolute+exact\"]}\n"
}
