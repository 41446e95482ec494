package azurite

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

var (
	listens = regexp.MustCompile(`Azurite (Blob|Queue|Table) service is successfully listening at https://127\.0\.0\.1:(\d+)\n`)
	taken   = regexp.MustCompile(`EADDRINUSE.* 127\.0\.0\.1:(\d+)`)
)

// output reads what Azurite prints: where it listens, and why it fails.
type output struct {
	listening chan struct{} // closed when all services listen

	mu    sync.Mutex
	text  bytes.Buffer
	ports map[string]string
}

// outputBytes is what is kept of the output: enough for an exception of Node.js.
const outputBytes = 16 << 10

func newOutput() *output {
	return &output{listening: make(chan struct{}), ports: map[string]string{}}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > outputBytes {
		o.text.Next(o.text.Len() - outputBytes/2)
	}
	o.text.Write(p)
	if len(o.ports) == 3 {
		return len(p), nil
	}
	for _, m := range listens.FindAllSubmatch(o.text.Bytes(), -1) {
		o.ports[string(m[1])] = string(m[2])
	}
	if len(o.ports) == 3 {
		close(o.listening)
	}
	return len(p), nil
}

func (o *output) endpoint(service string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("https://devstoreaccount1.%s.localhost:%s", strings.ToLower(service), o.ports[service])
}

func (o *output) tables() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("https://127.0.0.1:%s/devstoreaccount1", o.ports["Table"])
}

// failure says why Azurite ended before it listened.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := taken.FindSubmatch(o.text.Bytes()); m != nil {
		return fmt.Errorf("port %s is taken: end the program that uses it, or choose another port", m[1])
	}
	return errors.New("Azurite ended before it was ready; it wrote:\n" + strings.TrimSpace(o.text.String()))
}
