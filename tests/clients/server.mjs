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
 *  exit code 0. What it logged is shown if that test failed. */
export async function startServer(test) {
  const folder = mkdtempSync(join(tmpdir(), "signalcast-"));
  mkdirSync(join(folder, "signals"));
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0"], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const ended = once(child, "exit");

  const stop = async () => {
    child.kill("SIGTERM");
    const [code, signal] = await within(ended, "end of the server");
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, log.join("\n"));
  };
  test.after(async () => {
    try {
      await stop();
    } finally {
      child.kill("SIGKILL");
      for (const line of log) test.diagnostic(line);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  const listening = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout })
      .on("line", (line) => line.startsWith("listening ") && resolve(line.slice(10)))
      .on("close", () => reject(new Error(`the server ended:\n${log.join("\n")}`)));
  });
  const url = await within(listening, "line `listening …`");
  return {
    url,
    stop,
    ca: readFileSync(join(folder, "certs", "ca.pem")),
    token: (scope = "signals:read signals:test") =>
      execFileSync(binary, ["token", "issue", "--sub", "bot-1", "--scope", scope], {
        cwd: folder,
        env: environment,
        encoding: "utf8",
      }).trimEnd(),
    append: (line) => appendFileSync(join(folder, "signals", "live.jsonl"), `${line}\n`),
  };
}
