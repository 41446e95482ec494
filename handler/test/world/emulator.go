package world

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Emulator is the emulator of ACS Email as a process, and its JSON.
type Emulator struct {
	*Program
	// send is where the handler sends to, inbox where the messages are listed.
	Send, inbox string

	path string
	args []string
}

// Received is a message as the emulator's inbox tells it.
type Received struct {
	ID         string `json:"id"`
	From       string `json:"from"`
	Recipients struct {
		To, CC, BCC []Address
	} `json:"recipients"`
	Subject     string            `json:"subject"`
	Text        string            `json:"text"`
	HTML        string            `json:"html"`
	ReplyTo     []Address         `json:"replyTo"`
	Headers     map[string]string `json:"headers"`
	Attachments []struct {
		Name, ContentType, ContentID, SHA256 string
		Size                                 int64
	} `json:"attachments"`
}

// Address is a mailbox in a message.
type Address struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
}

// Arrival is one call to ACS, accepted or not.
type Arrival struct {
	At       time.Time `json:"at"`
	Accepted bool      `json:"accepted"`
	Status   int       `json:"status"`
}

var listening = regexp.MustCompile(`(?m)^ +(?:Emulator|Inbox) +http://(\S+)$`)

func startEmulator(tb testing.TB, path string, args ...string) *Emulator {
	tb.Helper()
	e := &Emulator{path: path, args: args}
	e.start(tb, "127.0.0.1:0", "127.0.0.1:0")
	return e
}

func (e *Emulator) start(tb testing.TB, send, inbox string) {
	tb.Helper()
	e.Program = Start(tb, nil, e.path, append([]string{"-listen", send, "-inbox", inbox}, e.args...)...)
	Await(tb, "the emulator", func(context.Context) bool { return len(listening.FindAllString(e.Stdout.String(), -1)) == 2 })
	at := listening.FindAllStringSubmatch(e.Stdout.String(), -1)
	e.Send, e.inbox = "http://"+at[0][1], "http://"+at[1][1]
}

// Restart starts an emulator that was killed, at the same addresses. It has
// forgotten everything.
func (e *Emulator) Restart(tb testing.TB) {
	tb.Helper()
	e.start(tb, strings.TrimPrefix(e.Send, "http://"), strings.TrimPrefix(e.inbox, "http://"))
}

// Messages are all that the emulator has taken over, the newest first.
func (e *Emulator) Messages(tb testing.TB) []Received {
	tb.Helper()
	var list struct{ Messages []Received }
	e.ask(tb, http.MethodGet, e.inbox+"/api/messages?limit=10000", "", &list)
	for i, m := range list.Messages {
		e.ask(tb, http.MethodGet, e.inbox+"/api/messages/"+m.ID, "", &list.Messages[i])
	}
	return list.Messages
}

// Message is the only one there is.
func (e *Emulator) Message(tb testing.TB) Received {
	tb.Helper()
	all := e.Messages(tb)
	if len(all) != 1 {
		tb.Fatalf("the emulator has %d messages, want 1", len(all))
	}
	return all[0]
}

// Arrivals are all calls to ACS, the oldest first.
func (e *Emulator) Arrivals(tb testing.TB) []Arrival {
	tb.Helper()
	var list struct{ Arrivals []Arrival }
	e.ask(tb, http.MethodGet, e.Send+"/api/arrivals", "", &list)
	return list.Arrivals
}

// Fault makes the next call fail.
func (e *Emulator) Fault(tb testing.TB, fault string) {
	tb.Helper()
	e.ask(tb, http.MethodPost, e.Send+"/api/faults", fault, nil)
}

// Heal ends all faults that were asked for.
func (e *Emulator) Heal(tb testing.TB) {
	tb.Helper()
	e.ask(tb, http.MethodDelete, e.Send+"/api/faults", "", nil)
}

func (e *Emulator) ask(tb testing.TB, method, url, body string, answer any) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		tb.Fatalf("%s %s: %s", method, url, res.Status)
	}
	if answer == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		tb.Fatal(err)
	}
}
