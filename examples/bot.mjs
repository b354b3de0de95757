#!/usr/bin/env node
// A trading bot's connection: receives signals, keeps prices exact, comes back after a break.
//
//     npm install --no-save ws
//     export SIGNALCAST_TOKEN=$(signalcast token issue --sub bot-1)
//     node examples/bot.mjs wss://127.0.0.1:8080 --ca certs/ca.pem --test
//
// Put your orders into `trade`.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import WebSocket from "ws";

const shortestWait = 1; // second
const longestWait = 30;
const pingEvery = 30;

/** What to do on a signal. `price` is text, exact to the digit: hand it to the exchange as it
 *  is, or to a decimal library. `content` also holds the strategy's own keys. */
function trade(side, symbol, price, content) {
  const when = new Date(content.timestamp * 1000).toISOString();
  console.log(`${side} ${symbol} ${price} at ${when}`);
}

async function main() {
  const options = readArguments();
  let wait = shortestWait;
  for (;;) {
    const { open, retryAfter } = await connection(options);
    if (open > longestWait) wait = shortestWait; // that connection was a good one: start over
    // Jitter, so that many bots do not all come back in the same second.
    const most = 3 * wait;
    wait = Math.min(longestWait, shortestWait + Math.random() * (most - shortestWait));
    const pause = Math.max(wait, retryAfter);
    say(`connecting again in ${pause.toFixed(1)} s`);
    await sleep(pause * 1000);
  }
}

/** One connection, from the first byte to the last. Resolves when it is over: how many seconds
 *  it was open, and how many the server asks to wait. */
function connection({ url, token, ca, test }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, {
      headers: { Authorization: `Bearer ${token}` },
      ca,
      handshakeTimeout: 20_000,
    });
    let openedAt;
    let refused = false;
    let retryAfter = 0;
    let pings;

    socket.on("open", () => {
      openedAt = performance.now();
      say(`connected to ${url}`);
      // Our own pings find out that the server's machine or the line is gone.
      let answered = true;
      socket.on("pong", () => (answered = true));
      pings = setInterval(() => {
        if (!answered) return socket.terminate();
        answered = false;
        socket.ping();
      }, pingEvery * 1000);
      if (test) socket.send("test");
    });
    socket.on("message", (data) => receive(data.toString()));
    socket.on("unexpected-response", (request, answer) => {
      const status = answer.statusCode;
      refused = true;
      if (status === 401 || status === 403) {
        // Trying again would not help: it takes another token.
        say(`refused with ${status}, giving up: ${answer.headers["www-authenticate"] ?? ""}`);
        process.exit(1);
      }
      say(`refused with ${status}`);
      if (status === 429 || status === 503) retryAfter = Number(answer.headers["retry-after"]) || 0;
      socket.terminate();
    });
    socket.on("error", (error) => {
      if (!refused) say(error.message || error.code);
    });
    socket.on("close", (code, reason) => {
      clearInterval(pings);
      if (openedAt) say(`disconnected: ${code} ${reason}`.trimEnd());
      const open = openedAt ? (performance.now() - openedAt) / 1000 : 0;
      resolve({ open, retryAfter });
    });
  });
}

function receive(text) {
  const message = parseExact(text);
  if (message.type !== "buy" && message.type !== "sell") return say(`the server says: ${text}`);
  const { symbol, price } = message.content;
  if (message.is_test) {
    console.log(`test: ${message.type} ${symbol} ${price}, not traded`);
  } else {
    trade(message.type, symbol, price, message.content);
  }
}

/** Parses JSON with each number under the key "price" left as its text. As a JavaScript number
 *  75000.00 would become 75000, and a price of many digits another price. */
function parseExact(text) {
  if (reviverSeesSource) {
    const keepText = (key, value, { source }) =>
      key === "price" && typeof value === "number" ? source : value;
    return JSON.parse(text, keepText);
  }
  // Before Node 21 a reviver sees only the number. So it is put in quotes before parsing. The
  // pattern takes whole strings at a time, so it can't find a "price": inside one.
  const strings = /("(?:[^"\\]|\\.)*")(?:(\s*:\s*)(-?\d[\d.eE+-]*))?/g;
  return JSON.parse(
    text.replace(strings, (whole, key, colon, number) =>
      key === '"price"' && number ? `${key}${colon}"${number}"` : whole,
    ),
  );
}

const reviverSeesSource = JSON.parse("1", (key, value, context) => context?.source) === "1";

function readArguments() {
  const usage = "usage: bot.mjs [URL] [--token TOKEN] [--ca FILE] [--test]";
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        token: { type: "string" },
        ca: { type: "string" },
        test: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const { SIGNALCAST_URL, SIGNALCAST_TOKEN } = process.env;
    const token = values.token ?? SIGNALCAST_TOKEN;
    if (!token) throw new Error("a token is needed: set SIGNALCAST_TOKEN or give --token");
    return {
      url: positionals[0] ?? SIGNALCAST_URL ?? "wss://127.0.0.1:8080",
      token,
      ca: values.ca && readFileSync(values.ca),
      test: values.test,
    };
  } catch (error) {
    console.error(`${usage}\nbot: ${error.message}`);
    process.exit(2);
  }
}

function say(text) {
  console.error(`bot: ${text}`);
}

await main();
