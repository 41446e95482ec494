package test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// emulator is the emulator of ACS Email as a process, and its JSON.
type emulator struct {
	*program
	// send is where the handler sends to, inbox where the messages are listed.
	send, inbox string

	path string
	args []string
}

// received is a message as the emulator's inbox tells it.
type received struct {
	ID         string `json:"id"`
	From       string `json:"from"`
	Recipients struct {
		To, CC, BCC []address
	} `json:"recipients"`
	Subject     string            `json:"subject"`
	Text        string            `json:"text"`
	HTML        string            `json:"html"`
	ReplyTo     []address         `json:"replyTo"`
	Headers     map[string]string `json:"headers"`
	Attachments []struct {
		Name, ContentType, ContentID, SHA256 string
		Size                                 int64
	} `json:"attachments"`
}

type address struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
}

// arrival is one call to ACS, accepted or not.
type arrival struct {
	Accepted bool `json:"accepted"`
	Status   int  `json:"status"`
}

var listening = regexp.MustCompile(`(?m)^ +(?:Emulator|Inbox) +http://(\S+)$`)

func startEmulator(tb testing.TB, path string, args ...string) *emulator {
	tb.Helper()
	e := &emulator{path: path, args: args}
	e.start(tb, "127.0.0.1:0", "127.0.0.1:0")
	return e
}

func (e *emulator) start(tb testing.TB, send, inbox string) {
	tb.Helper()
	e.program = start(tb, nil, e.path, append([]string{"-listen", send, "-inbox", inbox}, e.args...)...)
	await(tb, "the emulator", func(context.Context) bool { return len(listening.FindAllString(e.stdout.String(), -1)) == 2 })
	at := listening.FindAllStringSubmatch(e.stdout.String(), -1)
	e.send, e.inbox = "http://"+at[0][1], "http://"+at[1][1]
}

// restart starts an emulator that was killed, at the same addresses. It has
// forgotten everything.
func (e *emulator) restart(tb testing.TB) {
	tb.Helper()
	e.start(tb, strings.TrimPrefix(e.send, "http://"), strings.TrimPrefix(e.inbox, "http://"))
}

// messages are all that the emulator has taken over, the newest first.
func (e *emulator) messages(tb testing.TB) []received {
	tb.Helper()
	var list struct{ Messages []received }
	e.ask(tb, http.MethodGet, e.inbox+"/api/messages?limit=10000", "", &list)
	for i, m := range list.Messages {
		e.ask(tb, http.MethodGet, e.inbox+"/api/messages/"+m.ID, "", &list.Messages[i])
	}
	return list.Messages
}

// message is the only one there is.
func (e *emulator) message(tb testing.TB) received {
	tb.Helper()
	all := e.messages(tb)
	if len(all) != 1 {
		tb.Fatalf("the emulator has %d messages, want 1", len(all))
	}
	return all[0]
}

func (e *emulator) arrivals(tb testing.TB) []arrival {
	tb.Helper()
	var list struct{ Arrivals []arrival }
	e.ask(tb, http.MethodGet, e.send+"/api/arrivals", "", &list)
	return list.Arrivals
}

// fault makes the next call fail.
func (e *emulator) fault(tb testing.TB, fault string) {
	tb.Helper()
	e.ask(tb, http.MethodPost, e.send+"/api/faults", fault, nil)
}

func (e *emulator) ask(tb testing.TB, method, url, body string, answer any) {
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
