// Sends with the official client and a credential that has one token, and prints
// for which scope the client asked, and what it says became of the message.
import { EmailClient } from "@azure/communication-email";

let scope;
const client = new EmailClient(process.env.POSTHORN_URL, {
  getToken: async (asked) => {
    scope = asked;
    return { token: process.env.TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 };
  },
});
try {
  const poller = await client.beginSend({
    senderAddress: "donotreply@example.com",
    content: { subject: "Hello", plainText: "It works." },
    recipients: { to: [{ address: "ann@example.com" }] },
  });
  const { id, status } = await poller.pollUntilDone();
  console.log(JSON.stringify({ scope: String(scope), id, status }));
} catch ({ name, statusCode, code, message }) {
  console.log(JSON.stringify({ scope: String(scope), name, statusCode, code, message }));
}
