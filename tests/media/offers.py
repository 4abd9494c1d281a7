"""Offers in the dialects of those who publish and play, written by ourselves after what each sends.

What differs: names of sections, where credentials and fingerprints stand, DTLS roles, directions, bundle-only
ports, payload types, which lines about streams there are, and the ends of lines. At the end those of nobody.
"""

from live.media.control import SDP_LIMIT

ICE = "a=ice-ufrag:f0xy\na=ice-pwd:0123456789abcdefghijklmn"
PRINT = "a=fingerprint:sha-256 " + ":".join(f"{n:02X}" for n in range(32))

#: libdatachannel: OBS Studio 30 and later.
OBS = f"""v=0
o=rtc 3767197920 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=setup:actpass
{ICE}
a=ice-options:ice2,trickle
{PRINT}
m=audio 50000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:0
a=sendonly
a=ssrc:1001 cname:obs
a=ssrc:1001 msid:obs obs-audio
a=msid:obs obs-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=candidate:1 1 UDP 2122317823 192.0.2.7 50000 typ host
a=end-of-candidates
m=video 50000 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.0.2.7
a=mid:1
a=sendonly
a=ssrc:1002 cname:obs
a=ssrc:1002 msid:obs obs-video
a=msid:obs obs-video
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
"""

#: OBS' multitrack output: three layers of one picture by rid.
OBS_SIMULCAST = OBS.replace(
    "a=rtpmap:96 H264",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\n"
    "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\n"
    "a=rid:2 send\na=rid:1 send\na=rid:0 send\na=simulcast:send 2;1;0\na=rtpmap:96 H264",
)

#: GStreamer's webrtcbin with bundle-policy max-bundle (whipclientsink).
GSTREAMER = f"""v=0
o=- 6018303017352155617 0 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
a=group:BUNDLE video0 audio1
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=setup:actpass
{ICE}
a=rtcp-mux
a=rtcp-rsize
a=sendonly
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 transport-cc
a=extmap:1 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID 2001 2002
a=ssrc:2001 msid:user1@host-1 webrtctransceiver0
a=ssrc:2001 cname:user1@host-1
a=ssrc:2002 msid:user1@host-1 webrtctransceiver0
a=ssrc:2002 cname:user1@host-1
a=mid:video0
{PRINT}
a=rtcp-mux-only
m=audio 0 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=setup:actpass
{ICE}
a=bundle-only
a=rtcp-mux
a=rtcp-rsize
a=sendonly
a=rtpmap:97 OPUS/48000/2
a=rtcp-fb:97 transport-cc
a=fmtp:97 sprop-maxcapturerate=48000;sprop-stereo=0
a=ssrc:2003 msid:user1@host-1 webrtctransceiver1
a=ssrc:2003 cname:user1@host-1
a=mid:audio1
{PRINT}
a=rtcp-mux-only
"""

#: ffmpeg's whip muxer, which waits for our ClientHello.
FFMPEG = f"""v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
{ICE}
{PRINT}
a=setup:passive
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:3001 cname:FFmpeg
a=ssrc:3001 msid:FFmpeg audio
m=video 9 UDP/TLS/RTP/SAVPF 106
c=IN IP4 0.0.0.0
{ICE}
{PRINT}
a=setup:passive
a=mid:1
a=sendonly
a=msid:FFmpeg video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f
a=ssrc:3002 cname:FFmpeg
a=ssrc:3002 msid:FFmpeg video
"""

#: A page that only calls addTrack: both ways, every codec of the browser.
PLAIN_CHROMIUM = f"""v=0
o=- 7595655801978680453 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 7c3c
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
{ICE}
a=ice-options:trickle
{PRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:7c3c a1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:4001 cname:c
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 98 99
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
{ICE}
a=ice-options:trickle
{PRINT}
a=setup:actpass
a=mid:1
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:7c3c v1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:98 VP9/90000
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=ssrc-group:FID 4002 4003
a=ssrc:4002 cname:c
a=ssrc:4003 cname:c
"""

#: Firefox: fingerprint and options at the session, own payload types, directions of extensions, mDNS.
FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 5514711204411441573 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
{PRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=candidate:0 1 UDP 2122252543 2b1f9ba2-fb04-4a4c-9d0c-2f44e7f3f7f4.local 36318 typ host
a=candidate:1 1 TCP 2105524479 2b1f9ba2-fb04-4a4c-9d0c-2f44e7f3f7f4.local 9 typ host tcptype active
a=sendonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
{ICE}
a=mid:0
a=msid:{{5d1f}} {{a1}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=setup:actpass
a=ssrc:5001 cname:{{c}}
m=video 0 UDP/TLS/RTP/SAVPF 120 124 126 127
c=IN IP4 0.0.0.0
a=bundle-only
a=sendonly
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:5 urn:ietf:params:rtp-hdrext:toffset
a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:120 max-fs=12288;max-fr=60
a=fmtp:124 apt=120
a=fmtp:127 apt=126
{ICE}
a=mid:1
a=msid:{{5d1f}} {{v1}}
a=rtcp-fb:120 nack
a=rtcp-fb:120 nack pli
a=rtcp-fb:120 ccm fir
a=rtcp-fb:120 goog-remb
a=rtcp-fb:120 transport-cc
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=rtpmap:126 H264/90000
a=rtpmap:127 rtx/90000
a=setup:actpass
a=ssrc:5002 cname:{{c}}
a=ssrc:5003 cname:{{c}}
a=ssrc-group:FID 5002 5003
"""

#: By dialect: the offer, and what is agreed to, as (kind, codec, payload type, RTX, SSRCs, layers).
PUBLISHERS = {
    "obs": (OBS, [("audio", "opus", 111, None, (1001,), 0), ("video", "h264", 96, None, (1002,), 0)]),
    "obs simulcast": (
        OBS_SIMULCAST,
        [("audio", "opus", 111, None, (1001,), 0), ("video", "h264", 96, None, (1002,), 3)],
    ),
    "gstreamer": (
        GSTREAMER,
        [("video", "vp8", 96, 97, (2001,), 0), ("audio", "opus", 97, None, (2003,), 0)],
    ),
    "ffmpeg": (FFMPEG, [("audio", "opus", 111, None, (3001,), 0), ("video", "h264", 106, None, (3002,), 0)]),
    "chromium": (
        PLAIN_CHROMIUM,
        [("audio", "opus", 111, None, (4001,), 0), ("video", "vp8", 96, 97, (4002,), 0)],
    ),
    "firefox": (
        FIREFOX,
        [("audio", "opus", 109, None, (5001,), 0), ("video", "vp8", 120, 124, (5002,), 0)],
    ),
}


def player(text: str, direction: str = "recvonly") -> str:
    """The same browser as it asks to watch: no streams of its own."""
    lines = [line for line in text.splitlines() if not line.startswith(("a=ssrc", "a=msid:"))]
    turned = "\n".join(lines) + "\n"
    for one in ("a=sendonly", "a=sendrecv"):
        turned = turned.replace(f"{one}\n", f"a={direction}\n")
    return turned


_HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
_SECTION = _HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
_CODECS = _SECTION + "".join(f"a=rtpmap:{n} a/1\r\n" for n in range(128))

#: Beginnings and lines, to be repeated, of descriptions that want much work of a careless reader.
HOSTILE = {
    "feedback to every codec": (_CODECS, "a=rtcp-fb:* b"),
    "feedback to the last codec": (_CODECS, "a=rtcp-fb:127 b"),
    "feedback to more codecs than there are": (_SECTION, "a=rtpmap:96 a/1\r\na=rtcp-fb:* b"),
    "feedback behind other ends of lines": (_SECTION, "a=rtpmap:96 a/1\x0ba=rtcp-fb:* b\x0b"),
    "feedback behind carriage returns": (_SECTION, "a=rtpmap:96 a/1\ra=rtcp-fb:* b\r"),
    "parameters of the last codec": (_CODECS, "a=fmtp:127 c"),
    "codecs": (_SECTION, "a=rtpmap:96 a/1"),
    "streams": (_SECTION, "a=ssrc:{n} a:b"),
    "groups of streams": (_SECTION, "a=ssrc:{n} a:b\r\na=ssrc-group:FID {n} 2"),
    "fragments": (_SECTION, "a=ice-ufrag:user{n}"),
    "passwords": (_SECTION, "a=ice-pwd:{n:022}"),
    "fingerprints": (_SECTION, "a=fingerprint:s {n}"),
    "fingerprints in all sections": (_HEAD + "m=video 9 RTP 96\r\n" * 32, "a=fingerprint:s {n}"),
    "extensions": (_SECTION, "a=extmap:1 x:{n}"),
    "layers": (_SECTION + f"a=simulcast:send {';'.join(map(str, range(4000)))}\r\n", "a=rid:{n} send"),
    "candidates": (_SECTION, "a=candidate:1 1 udp 1 192.0.2.9 5 typ host"),
    "sections": (_HEAD, "m=video 9 RTP 96"),
    "formats": (_SECTION.replace("96", "96 " * 20000), ""),
    "bundle": (_HEAD + f"a=group:BUNDLE {'0 ' * 30000}\r\n", ""),
}


def hostile(name: str, most: int = SDP_LIMIT) -> str:
    """The description of `HOSTILE` in so many repeated lines, as long as it may be."""
    head, line = HOSTILE[name]
    more = "".join(f"{line}\r\n".format(n=n) for n in range(most - head.count("\n")))
    return (head + more)[:SDP_LIMIT].rpartition("\n")[0]
