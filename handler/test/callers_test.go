package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// A caller's way from its first key to its end, as its operator goes it.
func (p *product) testCallers(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	first := w.Key
	if !regexp.MustCompile(`^ph_` + w.Caller + `_1_[0-9a-f]{64}$`).MatchString(first) {
		t.Errorf("the key is %q", first)
	}
	if !regexp.MustCompile(`^endpoint=` + w.URL + `/;accesskey=[A-Za-z0-9+/]{43}=$`).MatchString(w.Connection) {
		t.Errorf("the connection string is %q", w.Connection)
	}
	plain := w.Caller + "-plain"
	if said := w.Operate(t, "callers", "add", plain, "--sender", "*@example.com", "--sender", "a@example.org",
		"--recipient-domain", "example.net", "--entra-app", "AAAAAAAA-1111-4111-8111-111111111111", "--entra-object", "bbbbbbbb-1111-4111-8111-111111111111",
		"--max-recipients", "3", "--max-request-bytes", "100000"); !regexp.MustCompile(`^ph_` + plain + `_1_[0-9a-f]{64}$`).MatchString(said) {
		t.Errorf("without --hmac: %q", said)
	}
	line := func(name string) string {
		for line := range strings.Lines(w.Operate(t, "callers", "list")) {
			if fields := strings.Fields(line); fields[0] == name {
				return strings.Join(fields[1:], " ")
			}
		}
		return ""
	}
	if got := line("NAME"); got != "VALID KEYS AGE LAST USE SENDERS RECIPIENT DOMAINS SENDS HMAC ENTRA ID PAUSED" {
		t.Errorf("the head of the list is %q", got)
	}
	if got := line(plain); got != "1 0d - *@example.com,a@example.org example.net yes false app:aaaaaaaa-1111-4111-8111-111111111111,object:bbbbbbbb-1111-4111-8111-111111111111 no" {
		t.Errorf("the list says %q", got)
	}

	w.expectTransfer(t, first)
	second, _, _ := strings.Cut(w.Operate(t, "callers", "rotate", w.Caller), "\n")
	third, _, _ := strings.Cut(w.Operate(t, "callers", "rotate", w.Caller), "\n")
	if got, want := line(w.Caller), "2,3 0d,0d -,- "+world.Sender+" * yes true - no"; got != want {
		t.Errorf("the list says %q, want %q", got, want)
	}
	w.expectKeys(t, map[string]bool{first: false, second: true, third: true})
	w.Operate(t, "callers", "retire", w.Caller)
	w.expectKeys(t, map[string]bool{first: false, second: false, third: true})
	w.Operate(t, "callers", "revoke", w.Caller, "--yes")
	w.expectKeys(t, map[string]bool{first: false, second: false, third: false})
	if got := line(w.Caller); got != "" {
		t.Errorf("the list still says %q", got)
	}
}

// expectTransfer says that callers leave without a secret, and come back unchanged.
func (w *deployment) expectTransfer(t *testing.T, key string) {
	t.Helper()
	exported := w.Operate(t, "callers", "export")
	if _, mac, _ := strings.Cut(key, "_1_"); strings.Contains(exported, mac) || !strings.Contains(exported, `"name": "`+w.Caller+`"`) {
		t.Errorf("exported: %s", exported)
	}
	file := filepath.Join(t.TempDir(), "callers.json")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := w.Operate(t, "callers", "import", file); !regexp.MustCompile(`(?m)^` + w.Caller + ` +unchanged `).MatchString(said) {
		t.Errorf("imported: %s", said)
	}
}

// expectKeys says which keys a handler that has just started lets in.
func (w *deployment) expectKeys(t *testing.T, keys map[string]bool) {
	t.Helper()
	w.Restart(t)
	for key, alive := range keys {
		a := w.Do(t, http.MethodGet, world.Operation("00000000-0000-4000-8000-000000000000"), nil, "Authorization", "Bearer "+key)
		if alive {
			a.Want(t, http.StatusNotFound, "not-found")
		} else {
			a.Want(t, http.StatusUnauthorized, "unauthenticated")
		}
	}
}

// What cannot be done ends with a code that scripts can read, and says why on standard
// error.
func (p *product) testWrongCommands(t *testing.T) {
	env := p.Settings("https://mail.example.com", "http://127.0.0.1:9", world.FreePort(t))
	add := []string{"callers", "add", "wrong", "--sender", world.Sender}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a sender that is none", []string{"callers", "add", "wrong", "--sender", "nobody"}, 1, `"nobody" is no address`},
		{"a domain that is none", append(add, "--recipient-domain", "exa mple"), 1, `"exa mple" is no domain`},
		{"an application that is none", append(add, "--entra-app", "posthorn"), 1, `"posthorn" is no id`},
		{"more recipients than there may be", append(add, "--max-recipients", "51"), 1, "at most 50"},
		{"a name with capitals", []string{"callers", "add", "Shop", "--sender", world.Sender}, 1, `"Shop" is no name`},
		{"rotate nobody", []string{"callers", "rotate", "nobody"}, 3, `There is no caller "nobody"`},
		{"retire nobody", []string{"callers", "retire", "nobody"}, 3, `There is no caller "nobody"`},
		{"revoke nobody", []string{"callers", "revoke", "nobody", "--yes"}, 3, `There is no caller "nobody"`},
		{"revoke without a word", []string{"callers", "revoke", "nobody"}, 2, "add --yes"},
		{"show nothing", []string{"messages", "show", "nothing"}, 3, `message with the id "nothing" waits`},
		{"a link that was never made", []string{"links", "revoke", "https://mail.example.com/files/20261231-abcdefghijklmnopqrstuvwxyz", "--yes"}, 3, "There is no such link."},
		{"a dead letter that is none", []string{"dead", "show", "nothing"}, 3, `No dead letter has the id "nothing"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.expectFailure(t, env, c.args, c.code, c.want)
		})
	}
	t.Run("storage that is away", func(t *testing.T) {
		away := slices.Concat(env, []string{fmt.Sprintf("POSTHORN_TABLE_ENDPOINT=https://account.table.localhost:%d", world.FreePort(t))})
		p.expectFailure(t, away, []string{"callers", "list"}, 4, "The list of callers could not be read")
	})
	t.Run("no identity", func(t *testing.T) {
		away := slices.Concat(env, []string{"POSTHORN_CREDENTIAL=azure-cli", "PATH=/nowhere"})
		p.expectFailure(t, away, []string{"callers", "list"}, 4, `"az login"`)
	})
	t.Run("a command to the handler", func(t *testing.T) {
		h := world.Run(t, env, p.HandlerFile, "dead", "list")
		if said := h.Stderr.String(); h.ExitCode(t) != 1 || !strings.HasPrefix(said, "posthorn: the handler only serves") || strings.Count(said, "\n") != 1 {
			t.Errorf("exit code %d, %s", h.ExitCode(t), said)
		}
	})
}

func (p *product) expectFailure(t *testing.T, env, args []string, code int, want string) {
	t.Helper()
	c := world.Run(t, env, p.OperateFile, args...)
	if got := c.ExitCode(t); got != code || c.Stdout.String() != "" {
		t.Errorf("exit code %d, want %d; standard output %q", got, code, c.Stdout.String())
	}
	said := c.Stderr.String()
	if !strings.HasPrefix(said, "posthorn: ") || !strings.Contains(said, want) || strings.Contains(said, world.MasterKey) {
		t.Errorf("want %q in %q", want, said)
	}
}
