// Makes the calls on standard input with SendGrid's official client, and prints
// what it says came of them. A call is [name of a method, arguments].
import { json } from "node:stream/consumers";
import sgMail from "@sendgrid/mail";

sgMail.setApiKey(process.env.POSTHORN_KEY);
sgMail.client.setDefaultRequest("baseUrl", process.env.POSTHORN_URL);
const outcomes = [];
for (const [name, ...args] of await json(process.stdin)) {
  try {
    const [{ statusCode, headers }] = await (name === "request" ? sgMail.client.request(...args) : sgMail[name](...args));
    outcomes.push({ id: headers["x-message-id"], value: { statusCode, ids: headers["posthorn-message-ids"] } });
  } catch (error) {
    outcomes.push({ status: error.code, name: error.constructor.name, message: error.toString() });
  }
}
console.log(JSON.stringify(outcomes));
