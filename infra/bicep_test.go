package infra

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/test/require"
)

// compiler is one process of the Bicep compiler that BICEP names, or that is on PATH. It is
// asked by JSON-RPC, since a process for each question would take seconds each. Source: `bicep
// jsonrpc` of github.com/Azure/bicep, docs/experimental/jsonrpc-command.md.
type compiler struct {
	mu  sync.Mutex
	ids int
	in  io.Writer
	out *bufio.Reader
}

func newCompiler(t *testing.T) *compiler {
	t.Helper()
	path := os.Getenv("BICEP")
	if path == "" {
		var err error
		if path, err = exec.LookPath("bicep"); err != nil {
			require.Missing(t, require.Bicep)
		}
	}
	cmd := exec.CommandContext(t.Context(), path, "jsonrpc", "--stdio")
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil || inErr != nil || outErr != nil {
		t.Fatal(err, inErr, outErr)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &compiler{in: in, out: bufio.NewReader(out)}
}

// call asks once, and reads the answer into result.
func (c *compiler) call(t *testing.T, method string, params, result any) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids++
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.ids, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "Content-Length: %d\r\n\r\n%s", len(text), text); err != nil {
		t.Fatal(err)
	}
	head, err := textproto.NewReader(c.out).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.Atoi(head.Get("Content-Length"))
	if err != nil {
		t.Fatal(err)
	}
	answer := struct{ Result, Error any }{Result: result}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.out, body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error != nil {
		t.Fatalf("%s: %v, %v", method, err, answer.Error)
	}
}

// compile returns the template of a file, and what the compiler and its linter say of it.
func (c *compiler) compile(t *testing.T, file string) (template string, said []string) {
	t.Helper()
	var r struct {
		Contents    string
		Diagnostics []struct{ Source, Level, Code, Message string }
	}
	c.call(t, "bicep/compile", map[string]string{"path": file}, &r)
	for _, d := range r.Diagnostics {
		said = append(said, fmt.Sprintf("%s: %s %s: %s", d.Source, d.Level, d.Code, d.Message))
	}
	return r.Contents, said
}
