package acs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

const endpoint = "https://name.europe.communication.azure.com"

var message = &acs.Message{
	SenderAddress: "donotreply@example.com",
	To:            []acs.Address{{Address: "ann@example.org", DisplayName: "Ann"}},
	Subject:       "Hello",
	PlainText:     "Hello, Ann.",
}

// A managed identity, a login of the Azure CLI, or what else azidentity finds.
func ExampleNewClient() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := acs.NewClient(endpoint, credential, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client != nil)
	// Output: true
}

func ExampleClient_Send() {
	service := newService(accept)
	service.Start()
	defer service.Close()

	client, err := acs.NewClientFromConnectionString("endpoint="+service.URL+"/;accesskey=c2VjcmV0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	id := uuid.NewString() // store it before the message is sent
	message := &acs.Message{
		SenderAddress: "donotreply@example.com",
		To:            []acs.Address{{Address: "ann@example.org", DisplayName: "Ann"}},
		Subject:       "Hello",
		PlainText:     "Hello, Ann.",
		Attachments:   []acs.Attachment{{Name: "hello.txt", ContentType: "text/plain", Content: []byte("Hello, Ann.")}},
	}
	fmt.Println(message.Size(), "bytes")
	operation, err := client.Send(ctx, id, message)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(operation.Status, "ask again after", operation.RetryAfter)
	// Output:
	// 271 bytes
	// Running ask again after 3s
}

// The error says what may be done next.
func ExampleError() {
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
	_, err = client.Send(context.Background(), uuid.NewString(), message)
	refusal, _ := errors.AsType[*acs.Error](err)
	switch {
	case err == nil:
		fmt.Println("sent")
	case refusal.Accepted == acs.MayBeAccepted:
		fmt.Println("ask for the status before anything is sent again")
	case refusal.Temporary():
		fmt.Println("send it again in", refusal.RetryAfter)
	case refusal.Misconfigured():
		fmt.Println("stop, and tell the operator")
	default:
		fmt.Println("give the message up")
	}
	fmt.Println(err)
	// Output:
	// send it again in 1h0m36s
	// acs: send: HTTP 429 TooManyRequests, limit of the hour, not accepted
}

// The service sends after it has answered.
func ExampleClient_PollUntilDone() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"Failed","error":{"code":"EmailDroppedAllRecipientsSuppressed"}}`)
	}))
	defer service.Close()

	client, err := acs.NewClientFromConnectionString("endpoint="+service.URL+"/;accesskey=c2VjcmV0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	operation, err := client.PollUntilDone(ctx, "0f8fad5b-d9cb-469f-a165-70867728950e", nil)
	if err != nil {
		fmt.Println(err) // no answer within ten minutes, or none that will change
		return
	}
	fmt.Println(operation.Status)
	if operation.Error != nil {
		fmt.Println(operation.Error.Code)
	}
	// Output:
	// Failed
	// EmailDroppedAllRecipientsSuppressed
}

// sendSafely sends a message. After an unclear answer it asks the service first, and
// sends again only what the service does not know.
func sendSafely(ctx context.Context, client *acs.Client, id string, m *acs.Message) error {
	// The service refuses a second message with a Message-ID that it has seen.
	m.Headers = map[string]string{"Message-ID": "<" + id + "@example.com>", "x-ms-acsemail-validate-message-id": "true"}
	inDoubt := false
	for {
		_, err := client.Send(ctx, id, m)
		refusal, _ := errors.AsType[*acs.Error](err)
		switch {
		case err == nil, inDoubt && refusal.Repeated():
			return nil
		case ctx.Err() != nil, refusal.Accepted == acs.NotAccepted && !refusal.Temporary():
			return err
		}
		pause := max(refusal.RetryAfter, 10*time.Second)
		if refusal.Accepted == acs.MayBeAccepted {
			inDoubt = true
			asking, cancel := context.WithTimeout(ctx, 2*time.Minute)
			operation, err := client.PollUntilDone(asking, id, nil)
			cancel()
			switch {
			case operation.Status != "":
				return nil // the service knows the message
			case !errors.Is(err, acs.ErrNotFound):
				return err
			}
			pause = 0
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// The answer to a message is lost. The service has taken the message all the same.
func ExampleClient_Send_lostAnswer() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler) // hang up
		}
		fmt.Fprint(w, `{"status":"Succeeded"}`)
	}))
	defer service.Close()

	client, err := acs.NewClientFromConnectionString("endpoint="+service.URL+"/;accesskey=c2VjcmV0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	own := *message
	fmt.Println(sendSafely(context.Background(), client, uuid.NewString(), &own))
	// Output: <nil>
}
