package host

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeMode makes the test binary run as a handler.
const fakeMode = "FAKE_HANDLER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeMode); mode != "" {
		fake(mode)
	}
	os.Exit(m.Run())
}

// fake is a handler that does as its routes say. It never returns.
func fake(mode string) {
	fmt.Println("started " + mode)
	if mode == "deaf" {
		select {}
	}
	if mode == "parent" {
		sleeper := exec.Command("sleep", "1000")
		if err := sleeper.Start(); err != nil {
			panic(err)
		}
		fmt.Println("grandchild", sleeper.Process.Pid)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			w.Header()["Seen-"+name] = values
		}
		w.Header().Set("Seen-Uri", r.RequestURI)
		w.Header().Set("Seen-Host", r.Host)
		w.Header().Set("Seen-Method", r.Method)
		var body []byte
		for buf := make([]byte, 1024); ; {
			n, err := r.Body.Read(buf)
			if n > 0 {
				fmt.Printf("read %s\n", buf[:n])
				body = append(body, buf[:n]...)
			}
			if err != nil {
				break
			}
		}
		w.Header().Set("Seen-Body", string(body))
	})
	mux.HandleFunc("/ECHO", func(w http.ResponseWriter, r *http.Request) { r.URL.Path = "/echo"; mux.ServeHTTP(w, r) })
	mux.HandleFunc("/discard", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("waiting")
		<-r.Context().Done()
		fmt.Println("caller gone")
	})
	mux.HandleFunc("/exit/once", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("ends once")
		if _, err := os.Stat("ended"); err == nil {
			return
		}
		if err := os.WriteFile("ended", nil, 0o600); err != nil {
			panic(err)
		}
		os.Exit(exitRestart)
	})
	mux.HandleFunc("/exit/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		fmt.Fprintln(os.Stderr, "a warning first")
		fmt.Fprintln(os.Stderr, "ends with", code)
		os.Exit(code)
	})
	mux.HandleFunc("POST /cleanup", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("swept")
		if mode == "empty answer" {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"Outputs":{},"Logs":[],"ReturnValue":null}`)
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), mux))
}

const fakeHostJSON = `{"version":"2.0","functionTimeout":"00:00:%02d",
"customHandler":{"description":{"defaultExecutablePath":"handler"},"enableProxyingHttpRequest":true,"initializationTimeout":"00:00:%02d"},
"extensions":{"http":{"routePrefix":""}}}`

// app is a running Host with a fake handler.
type app struct {
	url    string
	output *output
	ended  chan error // the result of Serve
	stop   func()
}

// run starts an app; seconds are those of functionTimeout and initializationTimeout.
func run(t *testing.T, mode string, functionTimeout, initialization int) *app {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "host.json"), fmt.Sprintf(fakeHostJSON, functionTimeout, initialization))
	for name, trigger := range map[string]string{
		"echo":    `"httpTrigger","route":"echo","methods":["post"]`,
		"discard": `"httpTrigger","route":"discard"`,
		"wait":    `"httpTrigger","route":"wait"`,
		"exit":    `"httpTrigger","route":"exit/{code}"`,
	} {
		write(t, filepath.Join(dir, name, "function.json"),
			`{"bindings":[{"direction":"in","name":"req","type":`+trigger+`},{"type":"http","direction":"out","name":"res"}]}`)
	}
	write(t, filepath.Join(dir, "cleanup", "function.json"),
		`{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"0 0 0 29 2 *"}]}`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "handler")); err != nil {
		t.Fatal(err)
	}
	a := &app{output: &output{}, ended: make(chan error, 1)}
	h, err := New(Config{Dir: dir, Env: []string{fakeMode + "=" + mode, "PATH=" + os.Getenv("PATH")}, Output: a.output, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		a.ended <- h.Serve(ctx, l)
		close(over)
	}()
	a.url = "http://" + l.Addr().String()
	a.stop = func() { cancel(); <-over }
	t.Cleanup(a.stop)
	return a
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do sends a request and returns the answer with its body read.
func (a *app) do(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

// status of a request that may fail on the way, then 0.
func (a *app) status(t *testing.T, method, path string) int {
	t.Helper()
	body := io.Reader(http.NoBody)
	if method == http.MethodPost {
		body = strings.NewReader("x") // or the host repeats it
	}
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// connect is for what no HTTP client sends.
func (a *app) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute)) // ends a test that would hang
	return conn
}

// raw sends text and returns the answer, without those of 100.
func (a *app) raw(t *testing.T, text string) *http.Response {
	t.Helper()
	conn := a.connect(t)
	io.WriteString(conn, text)
	for answers := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= 200 {
			return resp
		}
	}
}

// output collects lines and lets a test wait for one.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns once s has been written n times.
func (o *output) await(t *testing.T, s string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q %d times in the handler's output", s, n), func() bool { return strings.Count(o.String(), s) >= n })
}

// eventually polls, because what happens in another process tells nobody.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 2000 {
		if f() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never came: " + what)
}
