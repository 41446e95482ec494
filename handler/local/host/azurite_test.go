package host

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/queue"
)

// On a real queue a message that always fails is called maxDequeueCount times and
// then stands in the poison queue, as it was.
func TestAMessageThatAlwaysFailsEndsAsPoisonOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	name := strings.ToLower(rand.Text())
	open := func(name string) *queue.Queue {
		q, err := queue.Open(azure.Queue, name, azure.Credential, &azqueue.ClientOptions{ClientOptions: azure.Options})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q, poisoned := open(name), open(name+"-poison")
	got := calls{err: problem.New(problem.Unavailable, "x")}
	h := newTestHost(got.handler("mail"))
	h.settings.queues.hiddenAfterFail = 0
	if err := q.Send(t.Context(), `{"id":"4711"}`, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.poll(ctx, function{name: "mail", binding: "msg"}, q, poisoned)
	}()
	var found []store.Message
	for tick := time.NewTicker(20 * time.Millisecond); len(found) == 0; {
		var err error
		if found, err = poisoned.Receive(ctx, 1, time.Minute); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	cancel()
	<-ended
	if found[0].Text != `{"id":"4711"}` || len(got.all) != h.settings.queues.maxDequeueCount {
		t.Errorf("poison %q after %d calls, want %d", found[0].Text, len(got.all), h.settings.queues.maxDequeueCount)
	}
	for i, metadata := range got.metadata {
		if count := string(metadata["DequeueCount"]); count != strconv.Quote(strconv.Itoa(i+1)) {
			t.Errorf("call %d says that it is number %s", i+1, count)
		}
	}
}
