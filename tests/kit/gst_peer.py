"""A WHIP or WHEP client of GStreamer's webrtcbin, run by the system's Python (which has PyGObject).

    /usr/bin/python3 gst_peer.py publish|watch <endpoint> <ticket>

Prints a line for all that happens: `answered <status>`, `buffer <kind> <count>`. Ends on SIGTERM by DELETE.
"""

import signal
import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - the versions are said first

PUBLISH = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=15/1 ! videoconvert
  ! queue ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay
  ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! peer.
audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! queue ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""
WATCH = "webrtcbin name=peer bundle-policy=max-bundle"
CAPS = {
    "video": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,"
    "encoding-params=(string)2",
}


class Peer:
    """One publication or one watch."""

    def __init__(self, what, endpoint, ticket):
        self.endpoint, self.ticket, self.location = endpoint, ticket, ""
        self.counts = {"video": 0, "audio": 0}
        self.pipeline = Gst.Pipeline()
        self.pipeline.add(Gst.parse_bin_from_description(PUBLISH if what == "publish" else WATCH, False))
        self.bin = self.pipeline.get_by_name("peer")
        if what == "watch":
            self.bin.connect("pad-added", self._pad)
            for caps in CAPS.values():
                direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
                self.bin.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
        else:
            self._send_only()
        self.bin.connect("notify::ice-gathering-state", self._gathered)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.bin.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offer, None))

    def _send_only(self):
        for index in range(2):
            transceiver = self.bin.emit("get-transceiver", index)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)

    def _offer(self, promise, _):
        self.reply = promise.get_reply()  # owns the offer: without it there is nothing to set
        self.bin.emit("set-local-description", self.reply.get_value("offer"), None)

    def _gathered(self, *_):
        if self.bin.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        GLib.idle_add(self._post)

    def _post(self):
        sdp = self.bin.get_property("local-description").sdp.as_text()
        with self._ask("POST", self.endpoint, sdp.encode()) as answer:
            print("answered", answer.status, flush=True)
            self.location = urllib.parse.urljoin(self.endpoint, answer.headers["Location"])
            _, message = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.bin.emit("set-remote-description", described, None)

    def _pad(self, _, pad):
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        decode = "rtpvp8depay ! vp8dec" if kind == "video" else "rtpopusdepay ! opusdec"
        end = "fakesink name=end signal-handoffs=true sync=false"
        sink = Gst.parse_bin_from_description(f"queue ! {decode} ! {end}", True)
        self.bin.get_parent().add(sink)
        sink.get_by_name("end").connect("handoff", self._arrived, kind)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def _arrived(self, _sink, _buffer, _pad, kind):
        self.counts[kind] += 1
        print("buffer", kind, self.counts[kind], flush=True)

    def _ask(self, method, url, body=None):
        headers = {"Authorization": f"Bearer {self.ticket}", "Content-Type": "application/sdp"}
        asked = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - the test's own server
        return urllib.request.urlopen(asked, timeout=10)  # noqa: S310 - as above

    def end(self):
        if self.location:
            self._ask("DELETE", self.location).close()
        self.pipeline.set_state(Gst.State.NULL)


def main():
    Gst.init(None)
    peer = Peer(*sys.argv[1:])
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    loop.run()
    peer.end()


if __name__ == "__main__":
    main()
