# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=mpv

play() {
	guest mpv --no-terminal --no-video --input-ipc-client=fd://0 "$SOUND"
}

pause() {
	guest_keys '{"command":["set_property","pause",true]}\n'
}

resume() {
	guest_keys '{"command":["set_property","pause",false]}\n'
}

seek_to() {
	guest_keys "{\"command\":[\"seek\",$1,\"absolute+exact\"]}\n"
}
