// Makes the calls on standard input with Resend's official client, and prints what
// it says came of them. A call is [name of a method, arguments]; one of another part of the
// client has a dot in its name.
import { json } from "node:stream/consumers";
import { Resend } from "resend";

const resend = new Resend(process.env.POSTHORN_KEY, { baseUrl: process.env.POSTHORN_URL });
const outcomes = [];
for (const [name, ...args] of await json(process.stdin)) {
  const call = { batch: () => resend.batch.send(...args), post: () => resend.post(...args), patch: () => resend.patch(...args), fetch: () => resend.get(...args) }[name];
  const [part, method] = name.includes(".") ? name.split(".") : ["emails", name];
  const { data, error } = await (call ? call() : resend[part][method](...args));
  outcomes.push(error ? { status: error.statusCode, name: error.name, message: error.message } : { id: data.id, value: data });
}
console.log(JSON.stringify(outcomes));
