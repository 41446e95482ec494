package acs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

// A message is sent once; the error says what may be done next.
func ExampleClient_Send() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3636")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":{"code":"TooManyRequests","message":"PerSubscriptionPerHourLimitExceeded - Please try again after 3636 seconds."}}`)
	}))
	defer service.Close()

	client, err := acs.NewClientFromConnectionString("endpoint="+service.URL+"/;accesskey=c2VjcmV0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	message := &acs.Message{
		SenderAddress: "donotreply@example.com",
		To:            []acs.Address{{Address: "ann@example.org", DisplayName: "Ann"}},
		Subject:       "Hello",
		PlainText:     "Hello, Ann.",
		Attachments:   []acs.Attachment{{Name: "hello.txt", ContentType: "text/plain", Content: []byte("Hello, Ann.")}},
	}
	fmt.Println(message.Size(), "bytes")

	_, err = client.Send(context.Background(), "0f8fad5b-d9cb-469f-a165-70867728950e", message)
	refusal, _ := errors.AsType[*acs.Error](err)
	switch {
	case err == nil:
		fmt.Println("sent")
	case refusal.Accepted == acs.MayBeAccepted:
		fmt.Println("ask for the status")
	case refusal.Temporary():
		fmt.Println("send it again in", refusal.RetryAfter)
	default:
		fmt.Println("give up")
	}
	fmt.Println(err)
	// Output:
	// 271 bytes
	// send it again in 1h0m36s
	// acs: send: HTTP 429 TooManyRequests, limit of the hour, not accepted
}

// The service sends after it has answered. Ask for the status until it is terminal, and
// seldom: the service counts these requests too.
func ExampleClient_Status() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":"0f8fad5b-d9cb-469f-a165-70867728950e","status":"Failed","error":{"code":"EmailDroppedAllRecipientsSuppressed"}}`)
	}))
	defer service.Close()

	client, err := acs.NewClientFromConnectionString("endpoint="+service.URL+"/;accesskey=c2VjcmV0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var operation acs.Operation
	for !operation.Status.Terminal() {
		time.Sleep(operation.RetryAfter)
		operation, err = client.Status(context.Background(), "0f8fad5b-d9cb-469f-a165-70867728950e")
		if errors.Is(err, acs.ErrNotFound) {
			operation.RetryAfter = 10 * time.Second // it is not known yet
		} else if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(operation.Status)
	if operation.Error != nil {
		fmt.Println(operation.Error.Code)
	}
	// Output:
	// Failed
	// EmailDroppedAllRecipientsSuppressed
}
