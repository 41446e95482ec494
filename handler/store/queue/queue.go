// Package queue keeps small messages in one queue of Azure Queue Storage.
//
// Texts go in, to be seen at once or after a delay; messages come out, hidden for
// a while from everyone else, until they are deleted. Delivery is at least once
// and in no promised order. Texts travel as base64 because that is what the
// Functions host expects (host.json, extensions.queues.messageEncoding), and they
// never expire. A queue that does not exist is created at its first use.
//
// What a message means, when it is put back and when it is given up are the
// user's. It sets no retries: the client's options do, and a Send that is repeated
// after a lost answer leaves two messages.
//
// Source: Queue service REST API, as azqueue v1.0.1 speaks it.
package queue

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// Queue is one queue. It is safe for concurrent use.
type Queue struct {
	client *azqueue.QueueClient
}

// Open connects to the queue called name at an account's queue endpoint, such as
// https://ACCOUNT.queue.core.windows.net. It makes no call.
func Open(endpoint, name string, cred azcore.TokenCredential, opts *azqueue.ClientOptions) (*Queue, error) {
	if err := sdk.CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	service, err := azqueue.NewServiceClient(endpoint, cred, opts)
	if err != nil {
		return nil, sdk.Translate("open queue", err)
	}
	return &Queue{client: service.NewQueueClient(name)}, nil
}

// Create makes the queue; that it exists is no error.
func (q *Queue) Create(ctx context.Context) error {
	_, err := q.client.Create(ctx, nil)
	if sdk.Code(err) == "QueueAlreadyExists" {
		return nil
	}
	return sdk.Translate("create queue", err)
}

// Send puts a message into the queue, to be seen after delay. After ErrUnavailable
// it may be there.
func (q *Queue) Send(ctx context.Context, text string, delay time.Duration) error {
	if err := limits.Message(text, delay); err != nil {
		return err
	}
	return sdk.Do(ctx, "send message", q.Create, func(ctx context.Context) error {
		_, err := q.client.EnqueueMessage(ctx, base64.StdEncoding.EncodeToString([]byte(text)), &azqueue.EnqueueMessageOptions{
			TimeToLive:        new(int32(-1)),
			VisibilityTimeout: seconds(delay),
		})
		return err
	})
}

// Receive takes at most n messages that can be seen and hides them. After
// ErrUnavailable some may be hidden, unseen by anyone, until their time is over.
func (q *Queue) Receive(ctx context.Context, n int, hide time.Duration) ([]store.Message, error) {
	if err := limits.Receive(n, hide); err != nil {
		return nil, err
	}
	var found azqueue.DequeueMessagesResponse
	err := sdk.Do(ctx, "receive messages", q.Create, func(ctx context.Context) (err error) {
		found, err = q.client.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{
			NumberOfMessages:  new(int32(n)),
			VisibilityTimeout: seconds(hide),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	messages := make([]store.Message, 0, len(found.Messages))
	for _, m := range found.Messages {
		text, err := base64.StdEncoding.DecodeString(*m.MessageText)
		if err != nil {
			text = []byte(*m.MessageText)
		}
		messages = append(messages, store.Message{
			ID: *m.MessageID, PopReceipt: *m.PopReceipt,
			Text: string(text), Foreign: err != nil,
			DequeueCount: *m.DequeueCount,
			InsertedAt:   m.InsertionTime.UTC(), ExpiresAt: m.ExpirationTime.UTC(), VisibleAt: m.TimeNextVisible.UTC(),
		})
	}
	return messages, nil
}

// Hide changes when a message that was received can be seen again: d from now, 0
// for at once. The receipt is worth nothing afterwards. ErrMissing as for Delete.
func (q *Queue) Hide(ctx context.Context, m store.Message, d time.Duration) error {
	// An update without the text would empty the message.
	text := m.Text
	if !m.Foreign {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return sdk.Do(ctx, "hide message", q.Create, func(ctx context.Context) error {
		_, err := q.client.UpdateMessage(ctx, m.ID, m.PopReceipt, text, &azqueue.UpdateMessageOptions{VisibilityTimeout: seconds(d)})
		return err
	})
}

// Delete removes a message that was received. ErrMissing if it is gone, or if
// someone has received it since, whose it is now.
func (q *Queue) Delete(ctx context.Context, id, popReceipt string) error {
	return sdk.Do(ctx, "delete message", q.Create, func(ctx context.Context) error {
		_, err := q.client.DeleteMessage(ctx, id, popReceipt, nil)
		return err
	})
}

// seconds rounds up, so that nothing is seen early.
func seconds(d time.Duration) *int32 {
	return new(int32((d + time.Second - 1) / time.Second))
}
