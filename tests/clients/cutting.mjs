// A TCP proxy that cuts its connections off when it is told to, as networks do unasked.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A proxy to this port of this machine, ended with the test. */
export async function startProxy(test, port) {
  const pairs = new Set();
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    const pair = [client, server];
    pairs.add(pair);
    for (const [socket, other] of [pair, pair.toReversed()]) {
      socket.on("error", () => {}); // it is cut off on purpose
      socket.on("close", () => {
        other.destroy();
        pairs.delete(pair);
      });
      socket.pipe(other);
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const cut = () => {
    const count = pairs.size;
    for (const [client] of pairs) client.resetAndDestroy();
    return count;
  };
  test.after(() => {
    cut();
    proxy.close();
  });
  return { port: proxy.address().port, cut };
}
