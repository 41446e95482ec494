package acs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

// doubt checks an error of a Send that got no answer.
func doubt(t *testing.T, err error, want acs.Acceptance, text string) *acs.Error {
	t.Helper()
	e, ok := errors.AsType[*acs.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if e.Accepted != want || e.StatusCode != 0 || e.Error() != "acs: send: "+text+", "+want.String() {
		t.Errorf("got %q (%v), want %q, %v", e.Error(), e.Unwrap(), text, want)
	}
	return e
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = keyClient(t, "http://"+l.Addr().String(), nil).Send(t.Context(), id, hello())
	if e := doubt(t, err, acs.NotAccepted, "connection refused"); e.Wrote != 0 || !e.Temporary() {
		t.Errorf("wrote %d, temporary %t", e.Wrote, e.Temporary())
	}
}

func TestNameThatCannotBeResolved(t *testing.T) {
	t.Parallel()
	nowhere := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "name.example.com", IsNotFound: true}}
	}}}
	_, err := keyClient(t, "https://name.example.com", withTransport(nowhere)).Send(t.Context(), id, hello())
	if e := doubt(t, err, acs.NotAccepted, "the host's name cannot be resolved"); e.Wrote != 0 {
		t.Errorf("wrote %d", e.Wrote)
	}
}

func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := newService(accept)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshake
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, hello())
	if e := doubt(t, err, acs.NotAccepted, "the certificate is not valid"); e.Wrote != 0 || e.Temporary() || !e.Misconfigured() {
		t.Errorf("wrote %d, temporary %t, misconfigured %t", e.Wrote, e.Temporary(), e.Misconfigured())
	}
}

func TestPlainServerBehindHTTPS(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	_, err := keyClient(t, strings.Replace(s.URL, "http:", "https:", 1), nil).Send(t.Context(), id, hello())
	doubt(t, err, acs.NotAccepted, "the connection failed")
}

func TestAnswerLostAfterTheWholeMessage(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*acs.Message{"small": hello(), "large": large()} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { hangUp(t, w) })
		_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, m)
		if e := doubt(t, err, acs.MayBeAccepted, "the connection failed"); e.Wrote != m.Size() || !e.Temporary() {
			t.Errorf("%s: wrote %d", name, e.Wrote)
		}
		if seen := s.requests(); len(seen) != 1 || int64(len(seen[0].body)) != m.Size() {
			t.Errorf("%s: got %d requests", name, len(seen))
		}
	}
}

func TestConnectionLostWithinTheMessage(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 100_000)
		hangUp(t, w)
	}))
	t.Cleanup(s.Close)
	m := large()
	_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, m)
	if e := doubt(t, err, acs.NotAccepted, "the connection failed"); e.Wrote == 0 || e.Wrote >= m.Size() {
		t.Errorf("wrote %d of %d", e.Wrote, m.Size())
	}
}

// hangUp closes the connection without an answer.
func hangUp(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestRefusalBeforeTheMessageIsRead(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(say(413, ""))
	t.Cleanup(s.Close)
	_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, large())
	// Whether the answer or the end of the connection is met first is chance.
	if e, ok := errors.AsType[*acs.Error](err); !ok || e.Accepted != acs.NotAccepted {
		t.Errorf("got %v", err)
	}
}

func TestContextThatIsCanceledWhileTheServiceThinks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := keyClient(t, s.URL, nil).Send(ctx, id, hello())
	doubt(t, err, acs.MayBeAccepted, "canceled")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := keyClient(t, s.URL, nil).Send(ctx, id, hello())
	if e := doubt(t, err, acs.NotAccepted, "no answer in time"); e.Wrote != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wrote %d, %v", e.Wrote, e.Unwrap())
	}
	if len(s.requests()) != 0 {
		t.Error("a request was made")
	}
}

func TestDeadlineWithEveryAmountTaken(t *testing.T) {
	t.Parallel()
	size := hello().Size()
	tests := []struct {
		name string
		take int64
		want acs.Acceptance
	}{
		{"nothing", 0, acs.NotAccepted},
		{"one byte", 1, acs.NotAccepted},
		{"all but the last byte", size - 1, acs.NotAccepted},
		{"all", size, acs.MayBeAccepted},
		{"all and the end", size + 1, acs.MayBeAccepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := keyClient(t, "https://name.example.com", withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
					io.CopyN(io.Discard, iotest.OneByteReader(r.Body), tt.take)
					<-r.Context().Done()
					return nil, r.Context().Err()
				})))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := c.Send(ctx, id, hello())
				e := doubt(t, err, tt.want, "no answer in time")
				if e.Wrote != min(tt.take, size) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("wrote %d, %v", e.Wrote, e.Unwrap())
				}
			})
		})
	}
}

func TestServiceThatDoesNotAnswerInTime(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := keyClient(t, s.URL, &acs.ClientOptions{AnswerTimeout: 10 * time.Millisecond}).Send(ctx, id, hello())
	doubt(t, err, acs.MayBeAccepted, "no answer in time")
	if ctx.Err() != nil {
		t.Error("it was the context that ended")
	}
}

func TestDeadlineWhileWaitingForAConnection(t *testing.T) {
	t.Parallel()
	arrived, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-finish
		accept(w, r)
	})
	c := keyClient(t, s.URL, &acs.ClientOptions{MaxConns: 1})
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := c.Send(context.Background(), id, hello()); err != nil {
			t.Error(err)
		}
	})
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := c.Send(ctx, id, hello())
	close(finish)
	first.Wait()
	if e := doubt(t, err, acs.NotAccepted, "no answer in time"); e.Wrote != 0 {
		t.Errorf("wrote %d", e.Wrote)
	}
}

func TestAnswerThatCameIsNotLost(t *testing.T) {
	t.Parallel()
	answer := func(r *http.Request, body io.Reader) *http.Response {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{"Retry-After": {"3"}}, Body: io.NopCloser(body), Request: r}
	}
	tests := []struct {
		name   string
		answer func(*http.Request, context.CancelFunc) *http.Response
	}{
		{"the context ends with the answer", func(r *http.Request, cancel context.CancelFunc) *http.Response {
			cancel()
			return answer(r, strings.NewReader(`{"id":"`+id+`","status":"Running"}`))
		}},
		{"the context ends within the answer", func(r *http.Request, cancel context.CancelFunc) *http.Response {
			cancel()
			return answer(r, io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(context.Canceled)))
		}},
		{"the connection ends within the answer", func(r *http.Request, _ context.CancelFunc) *http.Response {
			return answer(r, iotest.ErrReader(io.ErrUnexpectedEOF))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := keyClient(t, "https://name.example.com", withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
				return tt.answer(r, cancel), nil
			})))
			op, err := c.Send(ctx, id, hello())
			if want := (acs.Operation{ID: id, Status: acs.Running, RetryAfter: 3 * time.Second}); err != nil || op != want {
				t.Errorf("got %+v, %v", op, err)
			}
		})
	}
}

func TestRefusalThatBreaksOffIsARefusal(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("x-ms-error-code", "BadRequest")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":{`)
	})
	_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, hello())
	if err == nil || err.Error() != "acs: send: HTTP 400 BadRequest, not accepted" {
		t.Errorf("got %v", err)
	}
}

func TestAnswerIsReadNoFurtherThanItsBound(t *testing.T) {
	t.Parallel()
	endless := &counting{Reader: rand.NewChaCha8([32]byte{})}
	c := keyClient(t, "https://name.example.com", withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: http.StatusBadGateway, Header: http.Header{}, Body: io.NopCloser(io.LimitReader(endless, 1<<24))}, nil
	})))
	_, err := c.Send(t.Context(), id, hello())
	if e, ok := errors.AsType[*acs.Error](err); !ok || e.StatusCode != http.StatusBadGateway || endless.read > acs.MaxAnswerBytes {
		t.Errorf("read %d bytes, got %v", endless.read, err)
	}
}

// counting counts what is read of it.
type counting struct {
	io.Reader
	read int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func TestTransportThatSaysNothing(t *testing.T) {
	t.Parallel()
	c := keyClient(t, "https://name.example.com", withTransport(transportFunc(func(*http.Request) (*http.Response, error) { return nil, nil })))
	_, err := c.Send(t.Context(), id, hello())
	doubt(t, err, acs.NotAccepted, "the connection failed")
	if _, err = c.Status(t.Context(), id); err == nil || err.Error() != "acs: status: the connection failed" {
		t.Errorf("got %v", err)
	}
}

// Every try has a body of its own: azcore's would be shared by two connections.
func TestBodiesOfTwoTriesAreApart(t *testing.T) {
	t.Parallel()
	var first io.Reader
	c := keyClient(t, "https://name.example.com", withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
		first = r.Body
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		start := make([]byte, 10)
		io.ReadFull(first, start[:5])
		content, _ := io.ReadAll(again)
		io.ReadFull(first, start[5:])
		if int64(len(content)) != r.ContentLength || !bytes.HasPrefix(content, start) {
			t.Errorf("read %q and %q", content, start)
		}
		return nil, io.ErrUnexpectedEOF
	})))
	_, err := c.Send(t.Context(), id, hello())
	if e := doubt(t, err, acs.MayBeAccepted, "the connection failed"); e.Wrote != hello().Size() {
		t.Errorf("wrote %d", e.Wrote)
	}
}

// Not parallel: the listener belongs to the whole of azcore.
func TestLogsOfAzcoreHoldNothingOfTheMessage(t *testing.T) {
	var mu sync.Mutex
	var lines strings.Builder
	azlog.SetListener(func(_ azlog.Event, text string) {
		mu.Lock()
		defer mu.Unlock()
		lines.WriteString(text)
	})
	t.Cleanup(func() { azlog.SetListener(nil) })
	s := serve(t, say(400, `{"error":{"code":"BadRequest","message":"ann@example.org"}}`, "Content-Type", "application/json"))
	o := new(acs.ClientOptions)
	o.Logging.IncludeBody = true
	if _, err := keyClient(t, s.URL, o).Send(t.Context(), id, hello()); err == nil {
		t.Error("no error")
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(lines.String(), id) {
		t.Error("the operation id is not in the log")
	}
	for _, secret := range []string{"ann@example.org", "Hello", "Signature", key} {
		if strings.Contains(lines.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
