// Serves the npm package `emulate` as Google on 127.0.0.1 until standard input ends: node emulate.mjs FOLDER PORT SEED
import { readFileSync } from "node:fs";
import { Server } from "node:net";
import { pathToFileURL } from "node:url";

const [folder, port, seed] = process.argv.slice(2);
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) { // it would listen on every address there is
  return typeof first === "object"
    ? listen.call(this, { ...first, host: "127.0.0.1" }, ...rest)
    : listen.call(this, first, "127.0.0.1", ...rest.filter((one) => typeof one === "function"));
};
const { createEmulator } = await import(pathToFileURL(`${folder}/dist/api.js`));
const told = { service: "google", port: Number(port), baseUrl: "https://accounts.google.com" }; // who signs its tokens
await createEmulator({ ...told, seed: JSON.parse(readFileSync(seed, "utf-8")) });
process.stdout.write("ready\n");
process.stdin.on("end", () => process.exit(0)).resume();
