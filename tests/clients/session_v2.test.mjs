// A session of signalcast.v2 by Node's `ws`: what a dashboard or a bot in JavaScript does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:https";
import { test } from "node:test";
import WebSocket from "ws";
import { startServer, within } from "./server.mjs";

/** A session whose messages are kept from the first on, closed when the test is over. */
async function connect(test, server, { query = "", subprotocols = ["signalcast.v2"], headers } = {}) {
  const ws = new WebSocket(`${server.url}/${query}`, subprotocols, { headers, ca: server.ca });
  test.after(() => ws.terminate());
  const waiting = [];
  const kept = [];
  ws.on("message", (data) => {
    const message = JSON.parse(data.toString());
    if (waiting.length > 0) waiting.shift()(message);
    else kept.push(message);
  });
  await within(once(ws, "open"), "connection");
  const next = () =>
    kept.length > 0
      ? Promise.resolve(kept.shift())
      : within(new Promise((resolve) => waiting.push(resolve)), "message");
  return {
    ws,
    /** The next message, which must be of this type; heartbeats may come before. */
    until: async (type) => {
      let message = await next();
      while (message.type === "heartbeat" && type !== "heartbeat") message = await next();
      assert.equal(message.type, type, JSON.stringify(message));
      return message;
    },
    ask: (command) => ws.send(JSON.stringify(command)),
  };
}

const bearer = (token) => ({ Authorization: `Bearer ${token}` });

/** `POST /ticket`, as JSON. */
async function ticket(server, token) {
  const url = new URL("/ticket", server.url.replace("wss:", "https:"));
  const post = request(url, { method: "POST", headers: bearer(token), ca: server.ca });
  post.end();
  const [answer] = await within(once(post, "response"), "answer");
  assert.equal(answer.statusCode, 201);
  return JSON.parse((await answer.toArray()).join(""));
}

test("a Node bot has a whole session of signalcast.v2", async (t) => {
  const server = await startServer(t, "--limits-heartbeat", "1s");
  const bot = await connect(t, server, { headers: bearer(server.token()) });
  assert.equal(bot.ws.protocol, "signalcast.v2");
  const hello = await bot.until("connection_established");
  assert.deepEqual([hello.first_seq, hello.last_seq, hello.heartbeat_interval], [1, 0, 1000]);

  bot.ask({ type: "ping", request_id: "p" });
  assert.equal((await bot.until("pong")).request_id, "p");

  bot.ask({ type: "subscribe", symbols: ["BTC*"] });
  assert.deepEqual(await bot.until("subscribed"), { type: "subscribed", symbols: ["BTC*"], tests: true });
  for (const symbol of ["ETHUSDT", "BTCUSDT"]) server.append(`buy ${symbol} 1.50`);
  assert.equal((await bot.until("buy")).seq, 2);

  bot.ask({ type: "resume", after_seq: 0 });
  assert.deepEqual(await bot.until("resumed"), { type: "resumed", from_seq: 1, to_seq: 2 });
  assert.equal((await bot.until("buy")).seq, 2); // signal 1 is filtered out

  bot.ask({ type: "test", request_id: "t" });
  const synthetic = await bot.until("buy");
  assert.deepEqual([synthetic.is_test, synthetic.source, synthetic.request_id], [true, "test", "t"]);

  bot.ask({ type: "auth", token: server.token() });
  const { expires_at } = await bot.until("authenticated");
  assert.ok(Date.parse(expires_at) > Date.now());

  bot.ask({ type: "dance" });
  assert.equal((await bot.until("error")).code, "unknown_command");
  assert.equal((await bot.until("heartbeat")).last_seq, 2);
});

test("the token may stand among the subprotocols, and is not echoed", async (t) => {
  const server = await startServer(t);
  const token = Buffer.from(server.token()).toString("base64url");
  const bot = await connect(t, server, {
    subprotocols: ["signalcast.v2", `base64url.bearer.authorization.signalcast.${token}`],
  });
  assert.equal(bot.ws.protocol, "signalcast.v2");
  await bot.until("connection_established");
});

test("a ticket lets somebody in once", async (t) => {
  const server = await startServer(t);
  const { ticket: once_, expires_in } = await ticket(server, server.token());
  assert.equal(expires_in, 30);
  const bot = await connect(t, server, { query: `?ticket=${once_}` });
  await bot.until("connection_established");
  const again = new WebSocket(`${server.url}/?ticket=${once_}`, { ca: server.ca });
  const [error] = await within(once(again, "error"), "error");
  assert.match(error.message, /401/);
});
