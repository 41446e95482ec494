package host

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestARequestIsPassedOnAsItCame(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	resp, body := a.do(t, "POST", "/ECHO?a=1&a=2&b=%2F;x", "hello",
		"X-Azure-Functions-InvocationId", "forged", "X-Ms-Invocation-Id", "mine",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For", "10.0.0.1")
	if resp.StatusCode != http.StatusNotFound || body != "" {
		t.Errorf("the handler's own routes tell case apart: got %d %q", resp.StatusCode, body)
	}
	resp, body = a.do(t, "POST", "/echo?a=1&a=2&b=%2F;x", "hello",
		"X-Azure-Functions-InvocationId", "forged", "X-Ms-Invocation-Id", "mine",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For", "10.0.0.1")
	if resp.StatusCode != http.StatusOK || body != "hello" {
		t.Fatalf("got %d %q", resp.StatusCode, body)
	}
	u, _ := url.Parse(a.url)
	for name, want := range map[string]string{
		"Uri": "/echo?a=1&a=2&b=%2F;x", "Host": u.Host, "X-Ms-Invocation-Id": "mine", "X-Forwarded-For": "10.0.0.1",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := resp.Header.Get("Seen-" + name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if got := resp.Header.Values("Seen-X-Azure-Functions-Invocationid"); len(got) != 1 || !uuid.MatchString(got[0]) {
		t.Errorf("invocation id %q", got)
	}
	resp, _ = a.do(t, "POST", "/echo", "")
	if id := resp.Header.Get("Seen-X-Ms-Invocation-Id"); id == "" || id != resp.Header.Get("Seen-X-Azure-Functions-Invocationid") {
		t.Errorf("correlation %q", id)
	}
}

func TestOnlyRoutesOfTheAppAreServed(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	for _, c := range []struct {
		name, method, path string
		status             int
	}{
		{"known", "POST", "/echo", 200},
		{"wrong method", "GET", "/echo", 404},
		{"all methods when none is named", "PUT", "/discard", 200},
		{"unknown", "POST", "/other", 404},
		{"root", "GET", "/", 404},
		{"a segment more", "POST", "/echo/echo", 404},
		{"a parameter missing", "GET", "/exit", 404},
		{"a parameter empty", "GET", "/exit/", 404},
		{"a trigger by its name", "POST", "/sweep", 404},
		{"a timer by hand", "POST", "/admin/functions/sweep", 202},
		{"an HTTP function by hand", "POST", "/admin/functions/echo", 404},
		{"a timer asked for", "GET", "/admin/functions/sweep", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := a.status(t, c.method, c.path); got != c.status {
				t.Errorf("got %d, want %d", got, c.status)
			}
		})
	}
	t.Cleanup(func() { a.output.await(t, "swept\n", 1) }) // before the app is stopped
}

func TestBodiesStreamBothWays(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first" {
		t.Fatalf("before the end of the request: %q, %v", buf, err)
	}
	io.WriteString(conn, "4\r\nlast\r\n0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "last" {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestABodyPastTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	for _, c := range []struct {
		name           string
		length, stated int64
		status         int
	}{
		{"at the limit", MaxBodyBytes, MaxBodyBytes, 200},
		{"stated above", MaxBodyBytes + 1, MaxBodyBytes + 1, 413},
		{"chunked above", MaxBodyBytes + 1, -1, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/discard", io.LimitReader(zeros{}, c.length))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = c.stated
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("got %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestTheHandlerLearnsThatTheCallerIsGone(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	a.output.await(t, "waiting\n", 1)
	conn.Close()
	a.output.await(t, "caller gone\n", 1)
}

func TestTheThirdCrashEndsTheHost(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	for n := 1; n <= 2; n++ {
		a.status(t, "POST", "/exit/3")
		a.output.await(t, "started plain\n", n+1)
		if got := a.status(t, "POST", "/echo"); got != 200 {
			t.Fatalf("after crash %d: %d", n, got)
		}
	}
	a.status(t, "POST", "/exit/3")
	err := <-a.ended
	if !errors.Is(err, ErrTooManyCrashes) || !strings.Contains(err.Error(), "exit status 3: a warning first; ends with 3") {
		t.Errorf("ended with %v", err)
	}
	if out := a.output.String(); !strings.Contains(out, "[Warning] a warning first\n[Error] ends with 3\n") {
		t.Errorf("output %q", out)
	}
}

func TestExitCode0IsForEver(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	a.status(t, "POST", "/exit/0")
	eventually(t, "503", func() bool { return a.status(t, "POST", "/echo") == 503 })
	if n := strings.Count(a.output.String(), "started"); n != 1 {
		t.Errorf("started %d times", n)
	}
	a.stop()
	if err := <-a.ended; err != nil {
		t.Errorf("the host ended with %v", err)
	}
}

func TestExitCode200IsNoCrash(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	for n := range maxCrashes + 1 {
		a.status(t, "POST", "/exit/200")
		a.output.await(t, "started plain\n", n+2)
	}
	if got := a.status(t, "POST", "/echo"); got != 200 {
		t.Errorf("got %d", got)
	}
}

func TestAHandlerThatNeverListensIsACrash(t *testing.T) {
	t.Parallel()
	a := run(t, "deaf", 30, 1)
	if err := <-a.ended; !errors.Is(err, ErrTooManyCrashes) || !errors.Is(err, errBusy) {
		t.Errorf("ended with %v", err)
	}
	if n := strings.Count(a.output.String(), "started deaf\n"); n != maxCrashes {
		t.Errorf("started %d times", n)
	}
}

func TestAnEmptyAnswerHangsUntilTheHandlerIsKilled(t *testing.T) {
	t.Parallel()
	a := run(t, "empty answer", 1, 30)
	if got := a.status(t, "POST", "/admin/functions/sweep"); got != 202 {
		t.Fatal(got)
	}
	a.output.await(t, "swept\n", 1)
	a.output.await(t, "started empty answer\n", 2)
	if got := a.status(t, "POST", "/echo"); got != 200 {
		t.Errorf("got %d", got)
	}
}

func TestARequestPastFunctionTimeoutKillsTheHandler(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 1, 30)
	if got := a.status(t, "GET", "/wait"); got != http.StatusBadGateway {
		t.Errorf("got %d", got)
	}
	a.output.await(t, "started plain\n", 2)
}

func TestStopLeavesNoProcess(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs /proc")
	}
	a := run(t, "parent", 30, 30)
	a.output.await(t, "grandchild ", 1)
	pid := regexp.MustCompile(`grandchild (\d+)\n`).FindStringSubmatch(a.output.String())[1]
	a.stop()
	if err := <-a.ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	eventually(t, "the end of the grandchild", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
