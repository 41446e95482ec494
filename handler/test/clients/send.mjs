// Sends the message on standard input with the official client, unchanged, and
// prints what the client says became of it.
import { json } from "node:stream/consumers";
import { EmailClient } from "@azure/communication-email";

const client = new EmailClient(process.env.CONNECTION_STRING, { allowInsecureConnection: true });
try {
  const poller = await client.beginSend(await json(process.stdin));
  const { id } = await poller.pollUntilDone();
  console.log(JSON.stringify({ id }));
} catch ({ name, statusCode, code, message }) {
  console.log(JSON.stringify({ name, status: statusCode, code, message }));
}
