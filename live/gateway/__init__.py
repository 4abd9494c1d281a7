"""WebSocket gateway: a pure session state machine, the room hub and a thin asyncio shell."""
