// The integration guide's Node program, as written but for address and token.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { startServer, within } from "./server.mjs";

const signal =
  '{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}';

/** The guide's connection, closed when the test is over. */
function connect(test, server, token = server.token()) {
  const ws = new WebSocket(server.url, {
    headers: { Authorization: `Bearer ${token}` },
    ca: server.ca,
  });
  test.after(() => ws.terminate());
  return ws;
}

async function message(ws) {
  const [data, isBinary] = await within(once(ws, "message"), "message");
  assert.equal(isBinary, false);
  return data.toString();
}

test("a Node bot receives an appended signal byte for byte", async (t) => {
  const server = await startServer(t);
  const ws = connect(t, server);
  await within(once(ws, "open"), "connection");
  const received = message(ws);
  server.append(signal);
  assert.equal(await received, signal);
});

test("a Node bot that sends test gets test signals, buy and sell in turn", async (t) => {
  const server = await startServer(t);
  const ws = connect(t, server);
  await within(once(ws, "open"), "connection");
  const sides = [];
  for (let count = 0; count < 4; count += 1) {
    const received = message(ws);
    ws.send("test");
    const text = await received;
    const { type, content } = JSON.parse(text);
    assert.equal(
      text,
      `{"type":"${type}","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":${content.timestamp}},"is_test":true}`,
    );
    sides.push(type);
  }
  assert.deepEqual(sides.slice(0, 2).sort(), ["buy", "sell"]);
  assert.deepEqual(sides.slice(2), sides.slice(0, 2));
});

test("no extension is negotiated, so every client sees the same bytes", async (t) => {
  const server = await startServer(t);
  const ws = connect(t, server); // `ws` offers permessage-deflate
  await within(once(ws, "open"), "connection");
  assert.equal(ws.extensions, "");
});

for (const [what, token, status] of [
  ["a bad token", () => "not-a-token", 401],
  ["a token that may not read signals", (server) => server.token("signals:test"), 403],
]) {
  test(`a Node bot with ${what} sees ${status}`, async (t) => {
    const server = await startServer(t);
    const ws = connect(t, server, token(server));
    const [error] = await within(once(ws, "error"), "error");
    assert.match(error.message, new RegExp(`${status}`));
  });
}

test("a Node bot is closed with 1001 when the server stops", async (t) => {
  const server = await startServer(t);
  const ws = connect(t, server);
  await within(once(ws, "open"), "connection");
  const closed = within(once(ws, "close"), "close frame");
  await server.stop();
  const [code] = await closed;
  assert.equal(code, 1001);
});
