# SPDX-License-Identifier: MIT
"""The ways for sound of n guests into one PipeWire: ours, and those it is compared with. Each is
started, measured and stopped again; roles are the processes that it is made of."""
import os

from framework import BUILD, Failure, daemon, program, session

PORT = 47110
STREAMS_PER_PORT = 8


class Way:
    """A transport with n guests that play periods of one quantum through it."""
    name = ""

    def __init__(self, guests, quantum, mode=None):
        self.guests, self.quantum, self.mode = guests, quantum, mode
        self.programs = []
        session().quantum(quantum)
        self.roles = {"server": [session().pipewire]}
        try:
            self.begin()
        except Failure:
            self.end()
            raise

    def begin(self):
        raise NotImplementedError

    def add(self, role, command, **keywords):
        result = session().start(command, **keywords)
        self.programs.append(result)
        self.roles.setdefault(role, []).append(result.pid)
        return result

    def add_player(self, device):
        command = [program("player"), device, str(self.guests), str(self.quantum),
                   str(2 * self.quantum)]
        self.player = self.add("guests", command + ([self.mode] if self.mode else []))

    def end(self):
        """Stops it, and returns what the player found, by the first word."""
        found = {}
        for one in reversed(self.programs):
            for words in one.stop():
                found.setdefault(words[0], []).append([int(word) for word in words[1:]])
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if any(one.process.poll() is None for one in self.programs):
            self.end()


class Xaring(Way):
    name = "xaring"

    def begin(self):
        daemon()
        self.roles["daemon"] = [session().broker, session().worker]
        self.roles["worker"] = [session().worker]
        self.add_player(session().device())


class Bare(Way):
    """One process with n streams and nothing behind them."""
    name = "bare client"

    def begin(self):
        self.add("daemon", [program("client"), str(self.guests)] +
                 ([self.mode] if self.mode else []))


class Processes(Way):
    """The same in a process for each guest."""
    name = "process per guest"

    def begin(self):
        for _ in range(self.guests):
            self.add("daemon", [program("client"), "1"])


class PipewireAlsa(Way):
    """PipeWire's own ALSA plugin: no virtual machine at all."""
    name = "pipewire-alsa"

    def begin(self):
        self.add_player("bench_pipewire")


class Simple(Way):
    """module-protocol-simple over TCP. It takes ten clients, so it is loaded for every eight."""
    name = "protocol-simple"

    def begin(self):
        ports = range(PORT, PORT + (self.guests + STREAMS_PER_PORT - 1) // STREAMS_PER_PORT)
        path = os.path.join(session().folder, "simple.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(SIMPLE_HEAD + "".join(SIMPLE_MODULE % (self.quantum, port) for port in ports)
                       + "]\n")
        self.add("daemon", ["pipewire", "-c", path], ready=None)
        for port in ports:
            session().do(f"wait_or_die 10 'port {port}' listens {port}")
        self.add_player(f"tcp:{PORT}")


class Tunnel(Way):
    """module-pulse-tunnel in a guest's PipeWire, over a unix socket to pipewire-pulse. All guests
    share one PipeWire here, in favour of this way."""
    name = "pulse tunnel"

    def begin(self):
        folder = os.path.join(session().folder, "guest")
        session().do(f"guest_config {folder} {self.guests} {self.quantum}")
        guest = {"XDG_RUNTIME_DIR": folder + "/run", "XDG_CONFIG_HOME": folder + "/config"}
        pulse = os.path.join(BUILD, "peers/pipewire-pulse/usr/share/pipewire/pipewire-pulse.conf")
        self.add("daemon", ["pipewire", "-c", pulse], ready=None)
        session().do("wait_or_die 10 pipewire-pulse test -S $XDG_RUNTIME_DIR/pulse/native")
        self.add("daemon", ["pipewire"], env=guest, ready=None)
        session().do(f"wait_or_die 10 'guest PipeWire' test -S {folder}/run/pipewire-0")
        self.add("manager", ["wireplumber"], env=guest, ready=None)
        session().do(f"wait_or_die 20 'tunnels' tunnels_are {folder} {self.guests}")
        self.add_player("bench_tunnel%d")


SIMPLE_HEAD = """
context.spa-libs = { audio.convert.* = audioconvert/libspa-audioconvert
                     support.* = support/libspa-support }
context.modules = [
  { name = libpipewire-module-rt args = {} flags = [ ifexists nofail ] }
  { name = libpipewire-module-protocol-native }
  { name = libpipewire-module-client-node }
  { name = libpipewire-module-adapter }
  { name = libpipewire-module-metadata }
"""

SIMPLE_MODULE = """
  { name = libpipewire-module-protocol-simple args = {
      capture = false playback = true audio.format = S16 audio.rate = 48000 audio.channels = 2
      audio.position = [ FL FR ] playback.node.latency = %d/48000
      server.address = [ "tcp:%d" ] } }
"""
