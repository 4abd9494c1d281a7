// Publishes by WHIP as OBS Studio does: libdatachannel, its packetizers and its order of lines, sound before picture.
//
//     node peer.mjs <endpoint> <ticket> <stream.json>
//
// The stream is played again and again: `sound` (Opus packets of 20 ms) and `picture` (H.264 frames of 80 ms, as Annex B, or
// with `rids`, which name layers, as RTP payloads). Prints a line for all that happens: `answered <status>`, `layers <rids>`,
// `connected`. Ends on SIGTERM by DELETE.
import { readFileSync } from 'node:fs'
import rtc from 'node-datachannel'

const [endpoint, ticket, file] = process.argv.slice(2)
const stream = JSON.parse(readFileSync(file, 'utf8'))
const headers = { Authorization: `Bearer ${ticket}`, 'Content-Type': 'application/sdp' }
const [OPUS, H264] = [111, 96]
const [MID, RID] = [1, 2]
const FRAGMENT = 200 // so small that these frames come in parts, as large ones do

const say = (...words) => process.stdout.write(`${words.join(' ')}\n`)

/** Sends what is given, so many ticks of the clock after the last, through a packetizer. */
function packetized(track, packetizer) {
  const config = packetizer.rtpConfig
  packetizer.addToChain(new rtc.RtcpSrReporter(config))
  packetizer.addToChain(new rtc.RtcpNackResponder())
  track.setMediaHandler(packetizer)
  return (data, ticks) => {
    config.timestamp = (config.timestamp + ticks) >>> 0
    track.sendMessageBinary(data)
  }
}

/** Sends every payload on each layer, named in its packets: OBS' packetizer does so, this binding's cannot. */
function layered(track, rids) {
  const element = (id, text) => Buffer.from([(id << 4) | (text.length - 1), ...Buffer.from(text)])
  const layers = rids.map((rid, at) => {
    const named = Buffer.concat([element(MID, track.mid()), element(RID, rid)])
    const padded = Buffer.concat([named, Buffer.alloc(-named.length & 3)])
    return { ssrc: 2001 + at, extension: Buffer.from([0xbe, 0xde, 0, padded.length / 4, ...padded]) }
  })
  let [sequence, timestamp] = [65520, 0]
  return (payload, ticks) => {
    timestamp = (timestamp + ticks) >>> 0
    sequence = (sequence + 1) & 0xffff
    for (const { ssrc, extension } of layers) {
      const header = Buffer.from([0x90, 0x80 | H264, ...new Array(10).fill(0)])
      header.writeUInt16BE(sequence, 2)
      header.writeUInt32BE(timestamp, 4)
      header.writeUInt32BE(ssrc, 8)
      track.sendMessageBinary(Buffer.concat([header, extension, payload]))
    }
  }
}

const pc = new rtc.PeerConnection('obs', { iceServers: [], disableAutoNegotiation: true })
const audio = new rtc.Audio('0', 'SendOnly')
audio.addOpusCodec(OPUS)
audio.addSSRC(1001, 'obs', 'obs', 'obs-audio')
const video = new rtc.Video('1', 'SendOnly')
video.addH264Codec(H264)
if (stream.rids) {
  video.parseSdpLine(`a=extmap:${MID} urn:ietf:params:rtp-hdrext:sdes:mid`)
  video.parseSdpLine(`a=extmap:${RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`)
  for (const rid of stream.rids) video.parseSdpLine(`a=rid:${rid} send`)
  video.parseSdpLine(`a=simulcast:send ${stream.rids.join(';')}`)
} else {
  video.addSSRC(1002, 'obs', 'obs', 'obs-video')
}
const sound = pc.addTrack(audio)
const picture = pc.addTrack(video)
const opus = new rtc.RtpPacketizationConfig(1001, 'obs', OPUS, 48_000)
const h264 = new rtc.RtpPacketizationConfig(1002, 'obs', H264, 90_000)
const speak = packetized(sound, new rtc.RtpPacketizer(opus))
const show = stream.rids
  ? layered(picture, stream.rids)
  : packetized(picture, new rtc.H264RtpPacketizer('StartSequence', h264, FRAGMENT))

let location = null
pc.onLocalDescription(async (offer) => {
  // Candidates are not waited for, as OBS does not wait.
  const answer = await fetch(endpoint, { method: 'POST', headers, body: offer })
  say('answered', answer.status)
  location = new URL(answer.headers.get('Location'), endpoint)
  const sdp = await answer.text()
  say('layers', /^a=simulcast:recv (\S+)/m.exec(sdp)?.[1] ?? 'none')
  pc.setRemoteDescription(sdp, 'answer')
})

let playing = null
pc.onStateChange((state) => {
  say(state)
  if (state !== 'connected') return
  let turn = 0
  playing = setInterval(() => {
    if (!sound.isOpen() || !picture.isOpen()) return
    speak(Buffer.from(stream.sound[turn % stream.sound.length], 'base64'), 960)
    if (turn % 4 === 0) show(Buffer.from(stream.picture[(turn / 4) % stream.picture.length], 'base64'), 7200)
    turn += 1
  }, 20)
})

process.on('SIGTERM', async () => {
  clearInterval(playing)
  if (location) await fetch(location, { method: 'DELETE', headers })
  pc.close()
  rtc.cleanup()
  process.exit(0)
})

pc.setLocalDescription('offer')
