// Package acs is a client of Azure Communication Services (ACS) Email: it sends
// a message, and asks what became of it.
//
//	client, err := acs.NewClient("https://name.region.communication.azure.com", credential, nil)
//	...
//	id := uuid.NewString() // github.com/google/uuid; store it before the message is sent
//	operation, err := client.Send(ctx, id, &acs.Message{
//		SenderAddress: "donotreply@example.com",
//		To:            []acs.Address{{Address: "ann@example.org", DisplayName: "Ann"}},
//		Subject:       "Hello",
//		PlainText:     "Hello, Ann.",
//	})
//	...
//	operation, err = client.PollUntilDone(ctx, id, nil)
//
// The id names the message at the service. It is any UUID that was not used before.
// [Client.Status] asks by the id what became of the message, and [Client.PollUntilDone]
// asks until that is decided.
//
// It identifies itself with any azcore.TokenCredential, which is what a managed
// identity is, or with an access key.
//
// # What it promises
//
//   - One call of Send or Status is one request. Nothing is retried: every request
//     counts against a quota of the whole subscription, refused ones too, and the
//     limits are as low as 30 in a minute and 100 in an hour. Two things below are no retries,
//     because the service has not begun on the first request: net/http moves a
//     request to a new connection if not one byte of it could be written, and
//     azcore repeats one that was refused for its token with a challenge (401).
//   - An error says whether the message may have gone out: see [Error.Accepted].
//   - The same message makes the same bytes, so a repeat under the same
//     operation id is the identical request.
//   - A message is encoded while it is written. Neither the Base64 of its
//     attachments nor the whole request is ever held in memory, but for a request
//     of up to 32 KiB, which leaves together with its headers. [Message.Size] says
//     beforehand how long the request will be.
//   - The number of connections is bounded, answers are read up to
//     MaxAnswerBytes, redirects are not followed, and Operation-Location is not
//     either: the address of a status request is made from the operation id.
//   - [Error.Error] has nothing of a message, an address, a key or the service's
//     text in it, and fits on one line of a log.
//
// # After an error
//
// A message that was not accepted can be sent again whenever [Error.Temporary]
// says that it makes sense, after [Error.RetryAfter]. One that may have been
// accepted needs an answer first:
//
//	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
//	operation, err := client.PollUntilDone(ctx, id, nil)
//	if operation.Status == "" && errors.Is(err, acs.ErrNotFound) {
//		// The service does not know the message: send the same message again,
//		// under the same id.
//	}
//
// The service does not promise that a repeated operation id is never a second
// mail. If that matters, add the headers Message-ID and
// "x-ms-acsemail-validate-message-id: true": the service then refuses a
// Message-ID that it has seen.
//
// # What it does not do
//
// It does not check messages (the service does), keep a quota, send again, log or
// store. It knows nothing of events: [Succeeded] means out for delivery, and
// whether a mail arrived is reported through Event Grid. Give every call a
// context with a deadline: AnswerTimeout alone does not bound the upload.
//
// Sizes are bytes. All of the package is safe for concurrent use.
//
// # Sources
//
// The specifications 2023-03-31 and 2025-09-01 in Azure/azure-rest-api-specs,
// specification/communication/data-plane/Email; learn.microsoft.com, "Sign an
// HTTP request", "Service limits for Azure Communication Services" and "Email
// headers"; and what users have reported of the service where these are silent,
// which are the error codes, the wording of a 429 and the early 404.
package acs
