package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lastWords is how many lines of stderr the host quotes when a handler crashes.
const lastWords = 3

// child is one run of the handler.
type child struct {
	cmd      *exec.Cmd
	port     int
	url      *url.URL
	started  time.Time
	stderr   *stderr
	exited   chan struct{} // closed when the process has been reaped
	recycled chan string   // a reason to kill it and start another
}

// start runs the handler on a port in a process group of its own.
func start(s settings, c Config, port int) (*child, error) {
	errs := &stderr{to: c.Output}
	cmd := exec.Command(s.executable) //nolint:noctx // it is killed as the host kills: by its group
	cmd.Dir = c.Dir
	cmd.Env = append(slices.Clone(c.Env),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+strconv.Itoa(port),
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+newID(),
		"FUNCTIONS_HTTPWORKER_PORT="+strconv.Itoa(port),
		"FUNCTIONS_HTTPWORKER_ID="+newID(),
		"FUNCTIONS_APP_ROOT_PATH="+c.Dir,
	)
	cmd.Stdout = &lines{emit: func(line []byte) { c.Output.Write(append(line, '\n')) }} //nolint:errcheck // a log has nowhere to complain to
	cmd.Stderr = &lines{emit: errs.add}
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = time.Second // source: WorkerProcess.cs, Dispose
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the handler cannot be started: %w", err)
	}
	k := &child{
		cmd:      cmd,
		port:     port,
		url:      &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		started:  time.Now(),
		stderr:   errs,
		exited:   make(chan struct{}),
		recycled: make(chan string, 1),
	}
	go func() {
		cmd.Wait() //nolint:errcheck // verdict reads the state
		close(k.exited)
	}()
	return k, nil
}

// recycle asks for another run of the handler; every request in this one dies.
func (k *child) recycle(reason string) {
	select {
	case k.recycled <- reason:
	default: // it is being recycled already
	}
}

// kill ends the group at once, without a signal that the handler could catch,
// and waits for the end.
func (k *child) kill() {
	killGroup(k.cmd.Process)
	<-k.exited
}

// verdict says what the exit of a child means.
func (k *child) verdict() error {
	code := k.cmd.ProcessState.ExitCode()
	switch code {
	case 0:
		return errClosed
	case exitRestart:
		return nil
	}
	return fmt.Errorf("%s: %s", k.cmd.ProcessState, k.stderr.last())
}

func freePort() (int, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("no TCP port")
	}
	return a.Port, nil
}

// stderr marks every line as the host would log it. Source: WorkerProcess.cs,
// ParseErrorMessageAndLog, with useStdErrorStreamForErrorsOnly at its default.
type stderr struct {
	to io.Writer

	mu    sync.Mutex
	words []string // the last few lines
}

func (s *stderr) add(line []byte) {
	mark := "[Error] "
	if bytes.Contains(bytes.ToLower(line), []byte("warn")) {
		mark = "[Warning] "
	}
	fmt.Fprintf(s.to, "%s%s\n", mark, line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, string(line))
	s.words = s.words[max(0, len(s.words)-lastWords):]
}

func (s *stderr) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.words, "; ")
}

// lines cuts what is written to it into lines without their ends. A last line
// without an end is not emitted, as in the host.
type lines struct {
	emit func(line []byte) // must not keep line
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.emit(bytes.TrimSuffix(slices.Clone(line), []byte("\r")))
		l.rest = rest
	}
}
