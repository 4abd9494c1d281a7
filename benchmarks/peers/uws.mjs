// uWebSockets, as Bun carries it: everybody subscribes, publishing is its own C++.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 426 })),
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    open: (socket) => socket.subscribe("all"),
    message: (_socket, text) => server.publish("all", text),
  },
});
console.log(server.port);
