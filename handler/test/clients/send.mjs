// Sends the message on standard input with the official client, unchanged, and
// prints what the client says became of it.
import { randomUUID } from "node:crypto";
import { json } from "node:stream/consumers";
import { EmailClient } from "@azure/communication-email";

const message = await json(process.stdin);
const { delivery } = message;
// The client leaves out members that it does not know. This puts `delivery` in
// before the request is signed.
const later = {
  name: "delivery",
  sendRequest(request, next) {
    if (delivery && request.method === "POST") request.body = JSON.stringify({ ...JSON.parse(request.body), delivery });
    return next(request);
  },
};
const client = new EmailClient(process.env.CONNECTION_STRING, {
  allowInsecureConnection: true,
  additionalPolicies: [{ policy: later, position: "perCall" }],
  // Else the client itself waits as long as Retry-After says, three times.
  retryOptions: delivery?.whenBusy === "refuse" ? { maxRetries: 0 } : {},
});
try {
  const operationId = randomUUID();
  const poller = await client.beginSend(message, { operationId });
  const { id } = delivery?.sendAt ? { id: operationId } : await poller.pollUntilDone();
  console.log(JSON.stringify({ id }));
} catch ({ name, statusCode, code, message }) {
  console.log(JSON.stringify({ name, status: statusCode, code, message }));
}
