// Bots that were away, and prices that JavaScript would spoil.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { startServer, within } from "./server.mjs";

/** A connection whose messages are kept from the first on, closed when the test is over. */
function connect(test, server, query, subprotocol) {
  const ws = new WebSocket(`${server.url}/${query}`, subprotocol ? [subprotocol] : [], {
    headers: { Authorization: `Bearer ${server.token()}` },
    ca: server.ca,
  });
  ws.on("error", () => {}); // it is cut off on purpose
  test.after(() => ws.terminate());
  const waiting = [];
  const kept = [];
  ws.on("message", (data) => {
    const text = data.toString();
    const { type } = JSON.parse(text);
    if (type !== "buy" && type !== "sell") return; // such as connection_established
    if (waiting.length > 0) waiting.shift()(text);
    else kept.push(text);
  });
  const next = () =>
    kept.length > 0
      ? Promise.resolve(kept.shift())
      : within(new Promise((resolve) => waiting.push(resolve)), "signal");
  const signals = async (count) => {
    const texts = [];
    while (texts.length < count) texts.push(await next());
    return texts;
  };
  return { ws, signals };
}

const append = (server, first, last) => {
  for (let number = first; number <= last; number += 1) {
    server.append(`buy BTCUSDT ${number}.00 1720000000`);
  }
};

test("a Node bot that is cut off and comes back with after_seq has every signal once", async (t) => {
  const server = await startServer(t);
  const seqs = [];
  let lastSeq;
  for (let round = 0; round < 3; round += 1) {
    const query = lastSeq === undefined ? "" : `?after_seq=${lastSeq}`;
    const { ws, signals } = connect(t, server, query, "signalcast.v2");
    await within(once(ws, "open"), "connection");
    assert.equal(ws.protocol, "signalcast.v2");
    if (round === 0) append(server, 1, 3); // later ones were missed
    append(server, 10 * round + 4, 10 * round + 6);
    for (const text of await signals(6)) {
      const { seq, content } = JSON.parse(text);
      assert.match(text, new RegExp(`"price":${content.price}\\.00,`));
      seqs.push(seq);
      lastSeq = seq;
    }
    const closed = once(ws, "close");
    await server.crash();
    await within(closed, "end of the connection");
    append(server, 10 * round + 11, 10 * round + 13);
  }
  assert.deepEqual(
    seqs,
    Array.from({ length: 18 }, (_, index) => index + 1),
  );
});

for (const subprotocol of ["signalcast.v1", "signalcast.v2"]) {
  test(`prices=string keeps every digit for JavaScript, ${subprotocol}`, async (t) => {
    const server = await startServer(t);
    const { ws, signals } = connect(t, server, "?prices=string", subprotocol);
    await within(once(ws, "open"), "connection");
    const prices = ["75000.00", "0.10", "-37.63", "1234567890123456789.123456789"];
    for (const price of prices) server.append(`sell CL ${price} 1720000000`);
    const received = (await signals(4)).map((text) => JSON.parse(text).content.price);
    assert.deepEqual(received, prices);
  });
}

test("a Node bot of signalcast.v1 gets what was received since a time", async (t) => {
  const server = await startServer(t);
  const live = connect(t, server, "", "signalcast.v2");
  await within(once(live.ws, "open"), "connection");
  append(server, 1, 1);
  await live.signals(1);
  append(server, 2, 3);
  const sent = (await live.signals(2)).map((text) => JSON.parse(text));
  const since = encodeURIComponent(sent[0].received_at);
  const { ws, signals } = connect(t, server, `?since=${since}`);
  await within(once(ws, "open"), "connection");
  const again = (await signals(2)).map((text) => JSON.parse(text));
  assert.deepEqual(
    again.map(({ content, seq }) => [content.price, seq]),
    [
      [2, undefined],
      [3, undefined],
    ],
  );
});
