"""What the staff are told of the lines of those on stage."""

from live.sfu import Router
from tests.kit.theatre import Camera, camera_spec


def test_a_publishers_line_is_measured_while_it_sends_and_no_longer():
    router = Router()
    camera = Camera(100)
    router.publish("ann's", camera_spec("ann", 100), 0.0)
    now, sent = 0.0, 0
    for _ in range(90):
        for packet in camera.frame():
            sent += 1
            if sent % 10:
                router.receive_rtp("ann's", packet, now)
        now += 1 / 30
        router.handle_timer(now)
        router.drain()
    (line,) = router.lines(now)
    assert line.person == "ann"
    assert line.round_trip is None
    (stream,) = line.streams
    assert stream.source == "camera"
    assert stream.bitrate > 0
    assert 0.05 < stream.loss < 0.2
    assert stream.jitter >= 0
    (silent,) = router.lines(now + 60)
    assert silent.streams == ()
    router.leave("ann's", now)
    assert router.lines(now) == []
