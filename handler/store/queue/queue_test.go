package queue_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/queue"
)

// service keeps the last request and answers as it is told.
type service struct {
	status  int
	answer  string
	request string
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.request = r.Method + " " + r.URL.RawQuery + " " + string(body)
	return &http.Response{StatusCode: s.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.answer)), Request: r}, nil
}

func open(t *testing.T, s *service) *queue.Queue {
	t.Helper()
	q, err := queue.Open("https://account.queue.core.windows.net", "jobs", azuritetest.Credential{}, &azqueue.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: s},
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestMessagesAreBase64AndNeverExpire(t *testing.T) {
	t.Parallel()
	s := &service{status: http.StatusCreated}
	if err := open(t, s).Send(t.Context(), `{"a":1}`, 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	const want = "POST messagettl=-1&visibilitytimeout=2 " + xml.Header + "<QueueMessage><MessageText>eyJhIjoxfQ==</MessageText></QueueMessage>"
	if s.request != want {
		t.Errorf("request %s, want %s", s.request, want)
	}
}

func TestMessageOfAnotherProgramComesAsItIs(t *testing.T) {
	t.Parallel()
	s := &service{status: http.StatusOK, answer: `<QueueMessagesList><QueueMessage><MessageId>id</MessageId>` +
		`<InsertionTime>Mon, 23 Nov 2026 14:05:06 GMT</InsertionTime><ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime>` +
		`<PopReceipt>pop</PopReceipt><TimeNextVisible>Mon, 23 Nov 2026 14:06:06 GMT</TimeNextVisible>` +
		`<DequeueCount>3</DequeueCount><MessageText>{not base64}</MessageText></QueueMessage></QueueMessagesList>`}
	got, err := open(t, s).Receive(t.Context(), 1, time.Minute)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d messages, error %v", len(got), err)
	}
	want := store.Message{
		ID: "id", PopReceipt: "pop", Text: "{not base64}", Foreign: true, DequeueCount: 3,
		InsertedAt: time.Date(2026, time.November, 23, 14, 5, 6, 0, time.UTC),
		ExpiresAt:  time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC),
		VisibleAt:  time.Date(2026, time.November, 23, 14, 6, 6, 0, time.UTC),
	}
	if got[0] != want {
		t.Errorf("message %+v, want %+v", got[0], want)
	}
}
