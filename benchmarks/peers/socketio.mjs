// Socket.IO over WebSocket only: everybody hears everything.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false });
io.on("connection", (socket) => socket.on("say", (text) => io.emit("said", text)));
http.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () => console.log(http.address().port));
