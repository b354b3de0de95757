// What a page can do, in Debian's Chromium: pages of another origin, which can't send headers with
// a WebSocket or an EventSource.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { startProxy } from "./cutting.mjs";
import { deadline, startServer } from "./server.mjs";

const PAGE = readFileSync(new URL("../../examples/page.html", import.meta.url));
const PROTOCOL = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: chromiumPath(),
    // The development certificate: nobody has told this browser to trust its authority.
    args: ["--ignore-certificate-errors"],
  });
});
after(() => browser?.close());

function chromiumPath() {
  try {
    const options = { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    return execFileSync("sh", ["-c", "command -v chromium"], options).trimEnd();
  } catch {
    throw new Error("chromium is not installed; run make tools as root, or apt-get install chromium");
  }
}

/** A server, and a page of another origin that the server lets in; ended with the test. */
async function open(test, { origins, options = [] } = {}) {
  const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(PAGE));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  test.after(() => {
    site.closeAllConnections();
    site.close();
  });
  const origin = `http://127.0.0.1:${site.address().port}`;
  const server = await startServer(
    test,
    "--server-cors-origins", origins ?? origin,
    "--limits-heartbeat", "1s",
    ...options,
  );
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  test.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(deadline);
  page.on("console", (message) => test.diagnostic(`page: ${message.text()}`));
  await page.goto(origin);
  await page.evaluate(vocabulary);
  const { host } = new URL(server.url);
  return { server, page, https: `https://${host}`, wss: server.url };
}

/** Words for what the tests do within the page. */
function vocabulary() {
  /** What comes on a connection, from the first on. */
  const kept = (target) => {
    const waiting = [];
    const messages = [];
    const take = (message) => (waiting.length > 0 ? waiting.shift()(message) : messages.push(message));
    return {
      take,
      next: () =>
        messages.length > 0
          ? Promise.resolve(messages.shift())
          : new Promise((resolve) => waiting.push(resolve)),
    };
  };
  window.ticket = async (https, token) => {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${https}/ticket`, { method: "POST", headers });
    return (await answer.json()).ticket;
  };
  /** An open WebSocket, or how it was closed. */
  window.connect = (url, subprotocols) =>
    new Promise((resolve) => {
      const ws = new WebSocket(url, subprotocols);
      const { take, next } = kept();
      ws.onmessage = ({ data }) => take(JSON.parse(data));
      ws.onclose = ({ code, reason }) => {
        take({ type: "closed", code, reason });
        resolve({ refused: code });
      };
      ws.onopen = () =>
        resolve({
          protocol: ws.protocol,
          ask: (command) => ws.send(JSON.stringify(command)),
          /** The next message of this type; heartbeats may come before. */
          until: async (type) => {
            let message = await next();
            while (message.type === "heartbeat" && type !== "heartbeat") message = await next();
            if (message.type !== type) throw new Error(`${JSON.stringify(message)} instead of ${type}`);
            return message;
          },
        });
    });
  /** An EventSource, whose events are told one by one. */
  window.listen = (url) => {
    const source = new EventSource(url);
    const { take, next } = kept();
    for (const name of ["connection_established", "signal", "heartbeat"]) {
      source.addEventListener(name, ({ data, lastEventId }) =>
        take({ name, lastEventId, data: JSON.parse(data) }),
      );
    }
    source.onerror = () => take({ name: "error", state: source.readyState });
    window.source = source;
    return async (name) => {
      let event = await next();
      while (event.name === "heartbeat" && name !== "heartbeat") event = await next();
      if (event.name !== name) throw new Error(`${JSON.stringify(event)} instead of ${name}`);
      return event;
    };
  };
}

test("a page fetches a ticket and opens a WebSocket with it, once", async (t) => {
  const { server, page, https, wss } = await open(t);
  const said = await page.evaluate(
    async ([https, wss, token]) => {
      const ticket = await window.ticket(https, token);
      const bot = await window.connect(`${wss}/?ticket=${ticket}`, "signalcast.v2");
      const hello = await bot.until("connection_established");
      const again = await window.connect(`${wss}/?ticket=${ticket}`, "signalcast.v2");
      return { protocol: bot.protocol, last: hello.last_seq, again };
    },
    [https, wss, server.token()],
  );
  assert.deepEqual(said, { protocol: "signalcast.v2", last: 0, again: { refused: 1006 } });
});

test("a page brings its token as a subprotocol, and has a whole session", async (t) => {
  const { server, page, wss } = await open(t);
  await page.evaluate(
    async ([wss, token]) => {
      const base64url = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
      const entry = `base64url.bearer.authorization.signalcast.${base64url}`;
      window.bot = await window.connect(`${wss}/`, ["signalcast.v2", entry]);
      window.hello = await window.bot.until("connection_established");
    },
    [wss, server.token()],
  );
  assert.equal(await page.evaluate(() => window.bot.protocol), "signalcast.v2");
  for (const symbol of ["BTCUSDT", "ETHUSDT", "BTCEUR"]) server.append(`buy ${symbol} 1.00`);
  const said = await page.evaluate(async (token) => {
    const { bot } = window;
    const seqs = [];
    for (let count = 0; count < 3; count += 1) seqs.push((await bot.until("buy")).seq);
    bot.ask({ type: "ping", request_id: "p" });
    const pong = await bot.until("pong");
    bot.ask({ type: "subscribe", symbols: ["BTC*"] });
    const { symbols } = await bot.until("subscribed");
    bot.ask({ type: "resume", after_seq: 0 });
    const { from_seq, to_seq } = await bot.until("resumed");
    const replayed = [(await bot.until("buy")).seq, (await bot.until("buy")).seq];
    bot.ask({ type: "auth", token });
    const { expires_at } = await bot.until("authenticated");
    const { last_seq, sources } = await bot.until("heartbeat");
    const states = Object.values(sources).map(({ state }) => state);
    return { seqs, pong: pong.request_id, symbols, from_seq, to_seq, replayed, expires_at, last_seq, states };
  }, server.token());
  assert.ok(Date.parse(said.expires_at) > Date.now());
  delete said.expires_at;
  assert.deepEqual(said, {
    seqs: [1, 2, 3],
    pong: "p",
    symbols: ["BTC*"],
    from_seq: 1,
    to_seq: 3,
    replayed: [1, 3],
    last_seq: 3,
    states: ["live"],
  });
});

test("an EventSource that was cut off comes back by itself, and has every signal once", async (t) => {
  const { server, page, https } = await open(t);
  const proxy = await startProxy(t, new URL(server.url).port);
  const ticket = await page.evaluate(
    ([https, token]) => window.ticket(https, token),
    [https, server.token()],
  );
  const first = await page.evaluate(
    async ([port, ticket]) => {
      window.event = window.listen(`https://127.0.0.1:${port}/signals/stream?ticket=${ticket}`);
      return window.event("connection_established");
    },
    [proxy.port, ticket],
  );
  assert.equal(first.lastEventId, "0");
  const seqs = [];
  for (let round = 0; round < 3; round += 1) {
    for (let count = 0; count < 2; count += 1) server.append(`buy BTCUSDT ${round}.${count}0`);
    for (let count = 0; count < 2; count += 1) {
      const { data, lastEventId } = await page.evaluate(() => window.event("signal"));
      assert.equal(lastEventId, String(data.seq));
      seqs.push(data.seq);
    }
    assert.ok(proxy.cut() > 0, "nothing to cut off");
    // These it misses, and gets when it is back.
    for (let count = 0; count < 2; count += 1) server.append(`sell BTCUSDT ${round}.${count}1`);
    const lost = await page.evaluate(() => window.event("error"));
    assert.equal(lost.state, 0, "it has given up"); // CONNECTING
    const hello = await page.evaluate(() => window.event("connection_established"));
    assert.equal(hello.lastEventId, String(seqs.at(-1)), "the place before the first signal");
    for (let count = 0; count < 2; count += 1) {
      seqs.push((await page.evaluate(() => window.event("signal"))).data.seq);
    }
  }
  assert.deepEqual(seqs, Array.from({ length: 12 }, (_, index) => index + 1));
  const beat = await page.evaluate(() => window.event("heartbeat"));
  assert.deepEqual([beat.data.last_seq, beat.lastEventId], [12, "12"]);
});

/** A page that follows signals with the documented EventSource, and what it has seen. */
async function openDocumented(test, options) {
  const { server, page, https } = await open(test, options);
  const section = PROTOCOL.split("\n### In a browser\n")[1];
  const [, program] = section.match(/^```js\n(.*?)^```$/ms);
  const changed = program
    .replace("https://signals.example.org", https)
    .replace("place = {", "window.begun = place = {")
    .replace("console.log(JSON.parse(data))", "window.seen.push(JSON.parse(data))");
  for (const word of [https, "window.begun", "window.seen"]) assert.ok(changed.includes(word), word);
  await page.evaluate((token) => Object.assign(window, { token, seen: [] }), server.token());
  await page.addScriptTag({ content: `{ ${changed} }`, type: "module" });
  await page.waitForFunction(() => window.begun !== undefined);
  const seen = async (count) => {
    await page.waitForFunction((count) => window.seen.length >= count, count);
    return page.evaluate(() => window.seen.map(({ seq, content }) => `${seq} ${content.price}`));
  };
  return { server, page, seen };
}

test("the documented EventSource has every signal once, although the server was killed", async (t) => {
  const { server, seen } = await openDocumented(t);
  server.append("buy BTCUSDT 1.00");
  await seen(1);
  await server.crash();
  server.append("buy BTCUSDT 2.00");
  await seen(2);
  server.append("buy BTCUSDT 3.00");
  assert.deepEqual(await seen(3), ["1 1.00", "2 2.00", "3 3.00"]);
});

test("the documented EventSource begins anew when the log is another one", async (t) => {
  const { server, page, seen } = await openDocumented(t, { options: ["--journal", "none"] });
  const epoch = await page.evaluate(() => window.begun.epoch);
  server.append("buy BTCUSDT 1.00");
  await seen(1);
  await server.crash();
  await page.waitForFunction((epoch) => window.begun.epoch !== epoch, epoch);
  server.append("buy BTCUSDT 2.00");
  assert.deepEqual(await seen(2), ["1 1.00", "1 2.00"]);
});

test("a page of an origin that is not named gets no answer to read", async (t) => {
  const { server, page, https } = await open(t, { origins: "https://dashboard.example.org" });
  const said = await page.evaluate(
    ([https, token]) => window.ticket(https, token).catch((error) => error.message),
    [https, server.token()],
  );
  assert.equal(said, "Failed to fetch");
});

test("the example page shows every signal once, although the server was killed", async (t) => {
  const { server, page, https } = await open(t);
  await page.getByLabel("Server").fill(https);
  await page.getByLabel("Token").fill(server.token());
  await page.getByRole("button").click();
  const state = page.locator("output");
  const connected = () => page.waitForFunction(() => document.querySelector("output").value === "connected");
  await connected();
  const rows = page.locator("tbody tr");
  const shown = async (count) => {
    await rows.nth(count - 1).waitFor();
    const cells = await rows.evaluateAll((all) =>
      all.map(({ cells }) => [0, 2, 3, 4, 5].map((index) => cells[index].textContent).join(" ").trim()),
    );
    return cells.toReversed();
  };
  server.append("buy BTCUSDT 75000.00 1720000000");
  server.append("sell ETHUSDT 3500.10 1720000000 test");
  assert.deepEqual(await shown(2), ["1 buy BTCUSDT 75000.00", "2 sell ETHUSDT 3500.10 test"]);
  await server.crash();
  server.append("buy BTCUSDT 75001.00 1720000000");
  assert.deepEqual((await shown(3)).at(-1), "3 buy BTCUSDT 75001.00");
  await connected();
  server.append("buy BTCUSDT 75002.00 1720000000");
  assert.deepEqual((await shown(4)).at(-1), "4 buy BTCUSDT 75002.00");
  assert.equal(await state.textContent(), "connected");
});

test("the page of the protocol is readable, and its links lead somewhere", async (t) => {
  const { page, https } = await open(t);
  const complaints = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  const answer = await page.goto(`${https}/docs`);
  assert.equal(answer.status(), 200);
  assert.deepEqual(complaints, []); // such as that the style breaks the policy
  const broken = await page.evaluate(() => {
    const links = [...document.querySelectorAll("a[href^='#']")];
    return links.filter(({ hash }) => !document.getElementById(decodeURIComponent(hash.slice(1)))).map(String);
  });
  assert.deepEqual(broken, []);
  const [width, background] = await page.evaluate(() => {
    const { width } = document.body.getBoundingClientRect();
    return [width, getComputedStyle(document.querySelector("pre")).backgroundColor];
  });
  assert.ok(width < 950, `lines of ${width} pixels`);
  assert.notEqual(background, "rgba(0, 0, 0, 0)", "it has no style");
  await page.getByRole("link", { name: "close codes" }).first().click();
  assert.equal(await page.evaluate(() => location.hash), "#close-codes");
  const top = await page.locator("#close-codes").evaluate((heading) => heading.getBoundingClientRect().top);
  assert.ok(top >= 0 && top < 100, `the heading is ${top} pixels from the top`);
});
