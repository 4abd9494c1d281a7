"""`madoi demo`: a session full of life, played by bots that use only public HTTP, WHIP and WebSocket."""
