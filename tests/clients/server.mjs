// The server as a child process of a Node test, in a folder of its own.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// Generous: a debug build on a busy machine. What works takes a fraction of a second.
export const deadline = 20_000;

const binary = execFileSync("python3", [fileURLToPath(new URL("binary.py", import.meta.url))], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
}).trimEnd();

// Ours less whatever would configure the server or a client.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^SIGNALCAST_|_proxy$/i.test(name)),
);

/** The promise, or a failure that says what did not come when the time is up. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${deadline} ms`)), deadline);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Starts a server for one test; when the test is over the server has to stop at SIGTERM with
 *  exit code 0. What it logged is shown if that test failed. `options` are flags of `serve`. */
export async function startServer(test, ...options) {
  const folder = mkdtempSync(join(tmpdir(), "signalcast-"));
  mkdirSync(join(folder, "signals"));
  const log = [];
  let running = await serve(folder, log, "127.0.0.1:0", options);

  const stop = async () => {
    running.child.kill("SIGTERM");
    const [code, signal] = await within(running.ended, "end of the server");
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, log.join("\n"));
  };
  test.after(async () => {
    try {
      await stop();
    } finally {
      running.child.kill("SIGKILL");
      for (const line of log) test.diagnostic(line);
      rmSync(folder, { recursive: true, force: true });
    }
  });
  return {
    url: running.url,
    stop,
    /** Kills it, and starts it on the same port in the same folder. */
    crash: async () => {
      running.child.kill("SIGKILL");
      await within(running.ended, "end of the server");
      running = await serve(folder, log, new URL(running.url).host, options);
    },
    ca: readFileSync(join(folder, "certs", "ca.pem")),
    token: (scope = "signals:read signals:test", ttl = "1h") =>
      execFileSync(binary, ["token", "issue", "--sub", "bot-1", "--scope", scope, "--ttl", ttl], {
        cwd: folder,
        env: environment,
        encoding: "utf8",
      }).trimEnd(),
    append: (line) => appendFileSync(join(folder, "signals", "live.jsonl"), `${line}\n`),
  };
}

/** A server as a child process, once it listens. */
async function serve(folder, log, address, options) {
  const child = spawn(binary, ["serve", "--listen", address, ...options], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const ended = once(child, "exit");
  const listening = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout })
      .on("line", (line) => line.startsWith("listening ") && resolve(line.slice(10)))
      .on("close", () => reject(new Error(`the server ended:\n${log.join("\n")}`)));
  });
  try {
    return { child, ended, url: await within(listening, "line `listening …`") };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}
