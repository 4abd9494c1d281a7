// node's `ws`: everybody hears everything.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 2048, perMessageDeflate: false });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => {
  socket.on("message", (data) => {
    const text = data.toString();
    for (const each of server.clients) each.send(text);
  });
});
