package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// An operation id of the caller's own choice tells afterwards what is left.
const someID = "0e7c7a4e-7f5c-4a6a-9a3f-5d1c3b2a1900"

// expectNothing wants no trace of a message: no call to ACS, no file, no record.
func (w *deployment) expectNothing(t *testing.T, size int64, calls int) {
	t.Helper()
	if got := len(w.ACS.Arrivals(t)); got != calls {
		t.Errorf("ACS saw %d calls, want %d", got, calls)
	}
	if n := w.Blobs(t, size); n != 0 {
		t.Errorf("%d files are left", n)
	}
	w.Get(t, world.Operation(someID)).Want(t, http.StatusNotFound, "not-found")
}

// expectNext wants the same message to go at the next try.
func (w *deployment) expectNext(t *testing.T, message string, size int64) {
	t.Helper()
	w.MustSend(t, message, "Operation-Id", someID)
	if n := w.Blobs(t, size); n != 1 {
		t.Errorf("%d files are there after the next try, want 1", n)
	}
	w.ACS.Message(t)
}

// A connection that ends in the middle of a body, in each way that it can.
func (p *product) testCutOff(t *testing.T) {
	const size = fileBytes + 3
	w := newDeployment(t, p, world.Options{})
	whole := world.Message(world.Attached("a.zip", file(size)))
	half := whole[:len(whole)/2]
	head := w.head(someID)
	for _, c := range []struct{ name, request string }{
		{"of a known length", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(whole), half)},
		{"between chunks", fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, len(half), half)},
		{"within a chunk", fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", head, len(whole), half)},
		{"whole, but too short as JSON", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(half), half)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.halfClose(t, c.request).Want(t, http.StatusBadRequest, "malformed-json")
			w.expectNothing(t, size, 0)
			conn := w.dial(t, c.request)
			if err := errors.Join(conn.SetLinger(0), conn.Close()); err != nil { // a reset
				t.Fatal(err)
			}
		})
	}
	w.expectNothing(t, size, 0)
	w.expectNext(t, whole, size)
}

// A client that says that it has nothing more to say may still listen: it is told
// what became of its message, and can send it again.
func (p *product) testHalfClosed(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	small := world.Message()
	for i := range 5 {
		id := fmt.Sprintf("0e7c7a4e-7f5c-4a6a-9a3f-5d1c3b2a193%d", i)
		a := w.halfClose(t, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", w.head(id), len(small), small))
		if a.StatusCode != http.StatusAccepted && a.StatusCode < http.StatusBadRequest {
			t.Errorf("%s: %q", a.Status, a.Body)
		}
		w.MustSend(t, small, "Operation-Id", id)
		if n := len(w.ACS.Messages(t)); n != i+1 {
			t.Errorf("ACS has %d messages, want %d", n, i+1)
		}
	}
}

// head is the head of a request to send, without what says how long its body is.
func (w *deployment) head(id string) string {
	return fmt.Sprintf("POST /emails:send HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nOperation-Id: %s\r\n",
		strings.TrimPrefix(w.URL, "http://"), w.Key, id)
}

func (w *deployment) dial(t *testing.T, request string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func (w *deployment) halfClose(t *testing.T, request string) world.Answer {
	t.Helper()
	conn := w.dial(t, request)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return world.Read(t, res)
}

// post sends from a caller that need not stay for the answer.
func (w *deployment) post(ctx context.Context, body io.Reader, headers ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/emails:send", body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.Key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := w.Client.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// whenRead calls then when all before it has been read, and reads as empty.
type whenRead func()

func (then whenRead) Read([]byte) (int, error) {
	then()
	return 0, io.EOF
}

func (p *product) testGoneAway(t *testing.T) {
	const size = fileBytes + 4
	w := newDeployment(t, p, world.Options{Emulator: []string{"-slow", "4s"}}) // so that its caller is gone before
	whole := world.Message(world.Attached("a.zip", file(size)))
	ctx, leave := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader(whole[:len(whole)/2]), whenRead(leave), strings.NewReader(whole[len(whole)/2:]))
	if err := w.post(ctx, body, "Operation-Id", someID); !errors.Is(err, context.Canceled) {
		t.Fatalf("the upload ended with %v", err)
	}
	w.expectNothing(t, size, 0)
	w.expectNext(t, whole, size)

	// Once ACS may have the message, it is followed to its end.
	const late = "0e7c7a4e-7f5c-4a6a-9a3f-5d1c3b2a1901"
	ctx, leave = context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.post(ctx, strings.NewReader(world.Message(world.To("slow@example.net"))), "Operation-Id", late); !errors.Is(err, context.Canceled) {
			t.Errorf("the request ended with %v", err)
		}
	})
	world.Await(t, "the call to ACS", func(context.Context) bool { return len(w.ACS.Arrivals(t)) == 2 })
	leave()
	all.Wait()
	if d := w.Ended(t, world.Operation(late)); d.Status != "Succeeded" {
		t.Errorf("it has ended as %+v", d)
	}
}

// ACS may have a message although its answer is lost, and may not have it
// although it failed. The gateway finds out, and sends nothing twice.
func (p *product) testNoAnswer(t *testing.T) {
	const size = fileBytes + 5
	own := &product{p.Anew(t)} // a failing ACS closes the ledger
	// Longer than the questions about an operation take, shorter than ACS may.
	w := newDeployment(t, own, world.Options{Settings: []string{"POSTHORN_REQUEST_TIMEOUT=8s"}})
	for i, c := range []struct {
		to       string
		accepted bool
	}{{"timeout", true}, {"lost", true}, {"malformed", true}, {"500", false}, {"503", false}} {
		id := fmt.Sprintf("0e7c7a4e-7f5c-4a6a-9a3f-5d1c3b2a191%d", i)
		edits := []func(map[string]any){world.Refusing, world.To(c.to + "@example.net")}
		if !c.accepted {
			edits = append(edits, world.Attached("a.zip", file(size)))
		}
		a := w.sendOnceOpen(t, world.Message(edits...), "Operation-Id", id)
		if !c.accepted {
			a.Want(t, http.StatusBadGateway, "acs-failed")
			if d := w.Get(t, world.Operation(id)).Document(t); d.Status != "Failed" || d.Error.Code != "AcsFailed" {
				t.Errorf("%s: the record says %+v", c.to, d)
			}
			continue
		}
		if d := w.Ended(t, world.Operation(id)); a.StatusCode != http.StatusAccepted || d.Status != "Succeeded" {
			t.Errorf("%s: %s %s, then %+v", c.to, a.Status, a.Body, d)
		}
	}
	if calls, messages := len(w.ACS.Arrivals(t)), len(w.ACS.Messages(t)); calls != 5 || messages != 3 {
		t.Errorf("ACS saw %d calls and has %d messages, want 5 and 3", calls, messages)
	}
	if n := w.Blobs(t, size); n != 0 {
		t.Errorf("%d files of messages that did not go are left", n)
	}
}

// sendOnceOpen sends what would rather be refused than wait, until the ledger lets
// it go.
func (w *deployment) sendOnceOpen(t *testing.T, message string, headers ...string) (a world.Answer) {
	t.Helper()
	world.Await(t, "the ledger to open", func(context.Context) bool {
		a = w.Send(t, message, headers...)
		return a.StatusCode != http.StatusTooManyRequests
	})
	return a
}

func (p *product) testRefusals(t *testing.T) {
	const size = fileBytes + 6
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	refused := world.Message(world.To("400@example.net"), world.Attached("a.zip", file(size)))
	for range 2 { // the second is told what the first was
		a := w.Send(t, refused, "Operation-Id", someID)
		a.Want(t, http.StatusUnprocessableEntity, "refused-by-acs")
		if code := a.Header.Get("X-Ms-Error-Code"); code != "BadRequest" {
			t.Errorf("the code is %s", code)
		}
	}
	if d := w.Get(t, world.Operation(someID)).Document(t); d.Status != "Failed" || d.Error.Code != "BadRequest" {
		t.Errorf("the record says %+v", d)
	}
	const other = "0e7c7a4e-7f5c-4a6a-9a3f-5d1c3b2a1920"
	w.Send(t, world.Message(world.To("401@example.net"), world.Attached("a.zip", file(size))), "Operation-Id", other).Want(t, http.StatusBadGateway, "acs-misconfigured")
	if d := w.Get(t, world.Operation(other)).Document(t); d.Status != "Failed" || d.Error.Code != "AcsMisconfigured" {
		t.Errorf("the record says %+v", d)
	}
	if calls, messages, files := len(w.ACS.Arrivals(t)), len(w.ACS.Messages(t)), w.Blobs(t, size); calls != 2 || messages != 0 || files != 0 {
		t.Errorf("ACS saw %d calls and has %d messages, %d files are left; want 2, 0 and 0", calls, messages, files)
	}
}

func (p *product) testACSDown(t *testing.T) {
	const size = fileBytes + 7
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	w.MustSend(t, world.Message())
	w.ACS.Kill(t)
	whole := world.Message(world.Refusing, world.Attached("a.zip", file(size)))
	w.Send(t, whole, "Operation-Id", someID).Want(t, http.StatusBadGateway, "acs-failed")
	if d := w.Get(t, world.Operation(someID)).Document(t); d.Status != "Failed" || d.Error.Code != "AcsFailed" {
		t.Errorf("the record says %+v", d)
	}
	if n := w.Blobs(t, size); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if a := w.Get(t, "/readyz"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), `"acs":"failed"`) {
		t.Errorf("%s: %s", a.Status, a.Body)
	}
	w.ACS.Restart(t)
	w.sendOnceOpen(t, whole, "Operation-Id", someID)
	if n := w.Blobs(t, size); n != 1 {
		t.Errorf("%d files are there after the next try, want 1", n)
	}
	w.ACS.Message(t)
}

// SIGKILL at the worst moments: while a body arrives, and while ACS has the
// message and has not said so.
func (p *product) testKilled(t *testing.T) {
	const size = fileBytes + 8
	w := newDeployment(t, p, world.Options{})
	whole := world.Message(world.Attached("a.zip", file(size)))
	body := io.MultiReader(strings.NewReader(whole[:len(whole)/2]), whenRead(func() { w.Handler.Kill(t) }), strings.NewReader(whole[len(whole)/2:]))
	if err := w.post(t.Context(), body, "Operation-Id", someID); err == nil {
		t.Error("a handler that is no more has answered")
	}
	w.Restart(t)
	w.expectNothing(t, size, 0)
	w.expectNext(t, whole, size)

	doubtful, key := world.Message(world.To("timeout@example.net")), []string{"Idempotency-Key", "canary-killed"}
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.post(t.Context(), strings.NewReader(doubtful), key...); err == nil {
			t.Error("a handler that is no more has answered")
		}
	})
	world.Await(t, "the message in ACS", func(context.Context) bool { return len(w.ACS.Messages(t)) == 2 })
	w.Handler.Kill(t)
	all.Wait()
	w.Restart(t)
	for range 3 {
		if d := w.MustSend(t, doubtful, key...); d.Status != "Running" {
			t.Errorf("a repeat is told %+v", d)
		}
	}
	if calls := len(w.ACS.Arrivals(t)); calls != 2 {
		t.Errorf("ACS saw %d calls, want 2", calls)
	}
}

// 429 of ACS closes the ledger for all instances, for as long as ACS says.
func (p *product) testACSBusy(t *testing.T) {
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	w.ACS.Fault(t, `{"kind":"429","count":1,"retryAfterSeconds":6}`)
	a := w.Send(t, world.Message(world.Refusing))
	a.Want(t, http.StatusTooManyRequests, "acs-busy")
	if wait := a.Header.Get("Retry-After"); wait != "6" {
		t.Errorf("Retry-After is %s", wait)
	}
	w.Send(t, world.Message(world.Refusing)).Want(t, http.StatusTooManyRequests, "over-quota")
	if calls := len(w.ACS.Arrivals(t)); calls != 1 {
		t.Errorf("ACS saw %d calls, want 1", calls)
	}
	w.sendOnceOpen(t, world.Message(world.Refusing))
	w.ACS.Message(t)
}

func (p *product) testStorageAway(t *testing.T) {
	const size = fileBytes + 9
	w := newDeployment(t, p, world.Options{})
	before := w.MustSend(t, world.Message(world.Attached("a.zip", file(size))))
	link := strings.TrimPrefix(anyAddress.FindString(w.ACS.Message(t).Text), w.URL)

	p.StopStorage(t)
	later := world.Message(world.Attached("a.zip", file(size+1)))
	w.Send(t, later, "Operation-Id", someID).Want(t, http.StatusServiceUnavailable, "unavailable")
	w.Get(t, world.Operation(before.ID)).Want(t, http.StatusServiceUnavailable, "unavailable")
	if a := w.Get(t, link); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.Body), "<html") {
		t.Errorf("the link: %s %s", a.Status, a.Body)
	}
	if a := w.Get(t, "/readyz"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), `"tables":"failed"`) {
		t.Errorf("%s: %s", a.Status, a.Body)
	}
	fresh := &deployment{w.Another(t)}
	fresh.Send(t, later).Want(t, http.StatusServiceUnavailable, "unavailable")

	p.StartStorage(t)
	for _, w := range []*deployment{w, fresh} {
		if d := w.Ended(t, world.Operation(before.ID)); d.Status != "Succeeded" {
			t.Errorf("after the outage the record says %+v", d)
		}
	}
	w.expectFile(t, w.Get(t, link).Header.Get("Location"), file(size))
	if n := w.Blobs(t, size+1); n != 0 {
		t.Errorf("%d files are left of the outage", n)
	}
	w.MustSend(t, later, "Operation-Id", someID)
	fresh.MustSend(t, later)
	if n := len(w.ACS.Messages(t)); n != 3 {
		t.Errorf("ACS has %d messages, want 3", n)
	}
}
