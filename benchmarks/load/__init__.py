"""A load client that stands for a thousand WebRTC viewers on a fraction of a core, and the servers under it.

`transport`  one client's ICE, DTLS and SRTP over a raw socket
`descriptions`  the SDP such a client writes
`publisher`  a speaker who sends the same paced packets to every server
`audience`  viewers: the kernel drops their media after the first packet, a few are sampled whole
`hall`  a server with its speaker and its audience, and what they cost it
`madoi`, `janus`  the servers, each a process of its own, asked in its own language
`process`  what a process has used
"""
