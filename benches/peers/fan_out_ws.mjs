// Node's `ws`, as its manual broadcasts: each line of standard input to every open client.
//
//     node fan_out_ws.mjs PORT [CERTIFICATE KEY]

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const [port, certificate, key] = process.argv.slice(2);
// Where `setup` has put it, which is no folder that Node would look into by itself.
const modules = createRequire(path.join(import.meta.dirname, 'installed', 'from-here.js'));
const { WebSocket, WebSocketServer } = modules('ws');

const server = key
  ? https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  : http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  for (const client of sockets.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(line);
  }
});
server.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
