"""uWebSockets, driven through socketify: everybody subscribes, publishing is its own C++."""

import sys

from socketify import App, OpCode

app = App()
app.ws(
    "/*",
    {
        "idle_timeout": 960,
        "open": lambda ws: ws.subscribe("all"),
        "message": lambda _ws, message, _opcode: app.publish("all", message, OpCode.TEXT),
    },
)
app.listen({"host": "127.0.0.1", "port": int(sys.argv[1])}, lambda _config: print(sys.argv[1], flush=True))
app.run()
