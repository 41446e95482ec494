package host

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What the handler sees is not what the caller sent.
func TestARequestIsPassedOnAsTheHostDoes(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	answer := a.raw(t, "post /ECHO?a=1&a=2&b=%2f%41%3a;x{} HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"+
		"X-Azure-Functions-InvocationId: forged\r\nX-Ms-Invocation-Id: mine\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"+
		"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: forged\r\nX-Forwarded-Proto: https\r\nForwarded: for=10.0.0.1\r\nX-Twice: a\r\nX-Twice: b\r\n\r\nhello")
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("got %s", answer.Status)
	}
	seen := func(name string) string { return strings.Join(answer.Header.Values("Seen-"+name), "|") }
	for name, want := range map[string]string{
		"Method": "POST", "Uri": "/ECHO?a=1&a=2&b=%2FA%3A;x%7B%7D", "Body": "hello",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "mail.example.com", "X-Forwarded-Proto": "http", "Forwarded": "", "X-Twice": "a, b",
		"Traceparent":        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"X-Ms-Invocation-Id": seen("X-Azure-Functions-InvocationId"),
	} {
		if got := seen(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := seen("Host"); !strings.HasPrefix(got, "127.0.0.1:") || got == strings.TrimPrefix(a.url, "http://") {
		t.Errorf("Host is %q", got)
	}
	if uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !uuid.MatchString(seen("X-Ms-Invocation-Id")) {
		t.Errorf("invocation id %q", seen("X-Ms-Invocation-Id"))
	}
}

func TestTheHostAnswersWhatPassesItsLimits(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	head := func(line string, headers ...string) string {
		return line + "\r\nHost: x\r\nContent-Length: 0\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	const fixed = len("Host: x\r\nContent-Length: 0\r\nX: \r\n")
	target := "POST /discard?" + strings.Repeat("a", MaxRequestLineBytes-len("POST /discard? HTTP/1.1\r\n"))
	many := strings.Split(strings.Repeat("X: y\r\n", MaxHeaders-2), "\r\n")[:MaxHeaders-2]
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"the longest line", head(target + " HTTP/1.1"), 200},
		{"a longer one", head(target + "a HTTP/1.1"), 414},
		{"the largest headers", head("POST /discard HTTP/1.1", "X: "+strings.Repeat("y", MaxHeaderBytes-fixed)), 200},
		{"larger ones", head("POST /discard HTTP/1.1", "X: "+strings.Repeat("y", MaxHeaderBytes-fixed+1)), 431},
		{"the most headers", head("POST /discard HTTP/1.1", many...), 200},
		{"more of them", head("POST /discard HTTP/1.1", append(many, "X: y")...), 431},
		{"a header that is not ASCII", head("POST /discard HTTP/1.1", "X: Jörg"), 400},
		{"a target that is not ASCII", head("POST /discard?x=ö HTTP/1.1"), 400},
		{"no host", "POST /discard HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := a.raw(t, c.request)
			text, err := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || err != nil || c.status != 200 && len(text) > 0 {
				t.Errorf("got %s %q, %v, want %d", answer.Status, text, err, c.status)
			}
		})
	}
}

func TestPathAndQueryAreEncodedAnew(t *testing.T) {
	t.Parallel()
	for came, want := range map[string]string{
		"/emails:send": "/emails:send", "/emails%3Asend": "/emails:send", "/%41%7e": "/A~", "/a%2Fb%2fc": "/a%252Fb%252fc",
		"/%c3%a9": "/%C3%A9", "/{x}|": "/%7Bx%7D%7C", "/a%20b%25": "/a%20b%25", "/a;b=c,d+e": "/a;b=c,d+e",
	} {
		if got := repath(came); got != want {
			t.Errorf("the path %s becomes %s, want %s", came, got, want)
		}
	}
	for came, want := range map[string]string{
		"": "", "api-version=2025-09-01": "api-version=2025-09-01", "a=%41&b=%2f%3A": "a=A&b=%2F%3A", "a=%c3%a9": "a=%C3%A9", "a={}|": "a=%7B%7D%7C", "a=%zz": "a=%25zz", "a=b+c%2b": "a=b+c%2B",
	} {
		if got := requery(came); got != want {
			t.Errorf("the query %s becomes %s, want %s", came, got, want)
		}
	}
}

// A handler that dies is followed by one that hears a request again, if that has no
// body. The caller of any other gets an empty 500.
func TestARequestWithoutABodyIsRepeated(t *testing.T) {
	t.Parallel()
	a := run(t, "plain", 30, 30)
	if resp, body := a.do(t, "POST", "/exit/200", "x"); resp.StatusCode != http.StatusInternalServerError || body != "" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	a.output.await(t, "started plain\n", 2)
	answered := make(chan int, 1)
	go func() { answered <- a.status(t, "GET", "/exit/once") }()
	a.output.await(t, "ends once\n", 2)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("got %d", got)
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
		{"a slash before", "POST", "//echo", 404},
		{"two behind", "POST", "/echo//", 404},
		{"a trigger by its name", "POST", "/cleanup", 404},
		{"a timer by hand", "POST", "/admin/functions/cleanup", 202},
		{"an HTTP function by hand", "POST", "/admin/functions/echo", 404},
		{"a timer asked for", "GET", "/admin/functions/cleanup", 404},
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

// A page on the web neither has its name point here nor posts from afar.
func TestNobodyElsesPageRunsATimer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"another name": func(r *http.Request) { r.Host = "evil.example:7071" },
		"another site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7071/admin/functions/cleanup", nil)
		change(r)
		w := httptest.NewRecorder()
		(&Host{}).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
}

// A body whose length nobody knows is passed on while it comes. Any other is read
// before the handler hears of it.
func TestBodiesOfUnknownLengthAreStreamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, head, first, last string
		streamed                bool
	}{
		{"chunked", "Transfer-Encoding: chunked", "5\r\nfirst\r\n", "4\r\nlast\r\n0\r\n\r\n", true},
		{"with a length", "Content-Length: 9", "first", "last", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := run(t, "plain", 30, 30)
			conn := a.connect(t)
			io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: x\r\n"+c.head+"\r\n\r\n"+c.first)
			if c.streamed {
				a.output.await(t, "read first\n", 1)
			}
			io.WriteString(conn, c.last)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Seen-Body"); got != "firstlast" {
				t.Errorf("got %q", got)
			}
			if !c.streamed {
				a.output.await(t, "read firstlast\n", 1)
			}
		})
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
		{"at the limit", MaxRequestBodyBytes, MaxRequestBodyBytes, 200},
		{"stated above", MaxRequestBodyBytes + 1, MaxRequestBodyBytes + 1, 500},
		{"chunked above", MaxRequestBodyBytes + 1, -1, 500},
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
	if got := a.status(t, "POST", "/admin/functions/cleanup"); got != 202 {
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
	if got := a.status(t, "GET", "/wait"); got != http.StatusInternalServerError {
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
