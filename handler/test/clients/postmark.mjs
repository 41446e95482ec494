// Makes the calls on standard input with Postmark's official client, and prints
// what it says came of them. A call is [name of a method, arguments].
import { json } from "node:stream/consumers";
import { ServerClient } from "postmark";

const { host, protocol } = new URL(process.env.POSTHORN_URL);
const client = new ServerClient(process.env.POSTHORN_KEY, { requestHost: host, useHttps: protocol === "https:" });
const outcomes = [];
for (const [name, ...args] of await json(process.stdin)) {
  try {
    const value = await client[name](...args);
    outcomes.push({ id: value.MessageID, value });
  } catch ({ statusCode, name, message }) {
    outcomes.push({ status: statusCode, name, message });
  }
}
console.log(JSON.stringify(outcomes));
