// Package gatewaytest builds a gateway over storage in memory and an ACS of a
// test's making, for the tests of gateway and of api/rest. The record, the
// ledger and the move of attachments in it are the real ones.
package gatewaytest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/clock"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Harness is a gateway over storage in memory and an ACS of the test's making. It
// is made inside a synctest bubble, so its clock is the bubble's.
type Harness struct {
	*gateway.Gateway
	ACS     *ACS
	Files   *mem.Container
	Content *mem.Container
	Queues  *mem.Table
	WakeUps *mem.Queue
	Lists   *Lists
	Clock   *clock.Clock // storage's
	Log     *bytes.Buffer
	// LastingRecords, Days and Links are tables: of records, and of links.
	LastingRecords, Links *mem.Table
	Days                  *mem.Series
	// IndexAway keeps storage from the index of messages.
	IndexAway atomic.Bool

	letters *mem.Table // the dead ones

	mu    sync.Mutex
	fault func(op mem.Op, key string) mem.Fault
}

// MaxRequestBytes is the largest request that ACS takes here.
const MaxRequestBytes = 4000

// New makes a Harness with these limits for sending.
func New(t *testing.T, limits quota.Limits) *Harness {
	t.Helper()
	h := &Harness{Lists: &Lists{}, ACS: &ACS{Known: map[string]string{}}, Log: &bytes.Buffer{}}
	plan := func(op mem.Op, key string) mem.Fault {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.fault == nil {
			return mem.Fault{}
		}
		return h.fault(op, key)
	}
	h.Files, h.Content, h.WakeUps = mem.NewContainer(time.Now, plan), mem.NewContainer(time.Now, plan), mem.NewQueue(time.Now, plan)
	table := func() *mem.Table { return mem.NewTable(time.Now, plan) }
	h.Queues, h.letters = table(), table()
	h.LastingRecords, h.Links, h.Days = table(), table(), mem.NewSeries(time.Now, plan)
	records := record.Tables{Lasting: h.LastingRecords, Days: h.Days, Day: func(date string) record.Table { return h.Days.Table(date) }}
	random := rand.NewChaCha8([32]byte{1})
	var ids sync.Mutex
	newID := func() string {
		ids.Lock()
		defer ids.Unlock()
		return fmt.Sprintf("00000000-0000-4000-8000-%012x", random.Uint64()>>16)
	}
	ledgers, server := table(), clock.New(time.Now)
	h.Clock = server
	public, _ := url.Parse("https://mail.example.com")
	g, err := gateway.New(gateway.Config{
		Check: check.New(), Records: record.New(records, time.Now, newID).Sharing(server),
		Sends:          gateway.NewSends(ledgers, limits, time.Now, newID, quota.Options{Clock: server}),
		StatusRequests: gateway.NewStatusRequests(ledgers, quota.CustomDomainStatus, time.Now, newID, server),
		Offload: offload.New(offload.Config{
			Blobs: h.Files, Uploads: h.Files, Links: h.Links, PublicURL: public, DefaultLanguage: "en", Now: time.Now, Rand: random,
		}),
		Spool: spool.New(h.Content, h.Queues, h.letters, h.WakeUps),
		ACS:   h.ACS, Authority: h.Lists, MaxACSRequestBytes: MaxRequestBytes, MaxCalls: 64, RequestTimeout: 100 * time.Second,
		Reputation: reputation.New(reputation.Config{
			Table: table(), Callers: &h.Lists.Suspended, Hooks: &h.Lists.Suspended, Percent: 5, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}),
		Now: time.Now, NewID: newID, Log: slog.New(slog.NewTextHandler(h.Log, nil)),
		Tracer: tracenoop.NewTracerProvider().Tracer(""), Meter: metricnoop.NewMeterProvider().Meter(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Gateway = g
	return h
}

// Contents is how many messages are stored in the spool: in rows, and in blobs.
func (h *Harness) Contents(t *testing.T) int {
	t.Helper()
	blobs, _, err := h.Content.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(blobs) + len(h.contentRows(t, h.Queues)) + len(h.contentRows(t, h.letters))
}

func (h *Harness) contentRows(t *testing.T, table *mem.Table) []store.Entity {
	t.Helper()
	rows, err := table.ListBefore(t.Context(), store.Key{}, "~", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(rows, func(e store.Entity) bool { return !strings.HasPrefix(e.Row, "c-") })
}

// SpoilContents deletes all stored messages of the spool or, if text is not empty, puts it in
// their place.
func (h *Harness) SpoilContents(t *testing.T, text string) {
	t.Helper()
	blobs, _, err := h.Content.List(t.Context(), "", "", 1000)
	for _, b := range blobs {
		err = errors.Join(err, h.Content.Delete(t.Context(), b.Name))
		if text != "" {
			err = errors.Join(err, h.Content.Put(t.Context(), b.Name, []byte(text)))
		}
	}
	for _, table := range []*mem.Table{h.Queues, h.letters} {
		for _, e := range h.contentRows(t, table) {
			change := store.Delete(e.Partition, e.Row, "")
			if text != "" {
				e.Values["part0"] = []byte(text)
				change = store.Replace(e)
			}
			_, changeErr := table.Transact(t.Context(), change)
			err = errors.Join(err, changeErr)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// KeepIndex gives the gateway an index of messages that no fault of the harness reaches. A
// test outlives its writes by a second.
func (h *Harness) KeepIndex() {
	days := mem.NewSeries(time.Now, func(mem.Op, string) mem.Fault {
		if h.IndexAway.Load() {
			return mem.Fault{Outcome: mem.Refused}
		}
		return mem.Fault{}
	})
	tables := history.Tables{Days: days, Day: func(date string) history.Table { return days.Table(date) }}
	h.History = history.New(tables, record.DefaultHistory, slog.New(slog.DiscardHandler))
}

// Slow makes each call of op, or every call if op is "", take d before it arrives.
func (h *Harness) Slow(op mem.Op, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = func(got mem.Op, _ string) mem.Fault {
		if op == "" || op == got {
			return mem.Fault{Before: d}
		}
		return mem.Fault{}
	}
}

// Failing makes calls of op fail, or all calls if op is "".
func (h *Harness) Failing(op mem.Op, o mem.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = func(got mem.Op, _ string) mem.Fault {
		if op == "" || op == got {
			return mem.Fault{Outcome: o}
		}
		return mem.Fault{}
	}
}

// Befall lets fault decide what befalls each call to storage.
func (h *Harness) Befall(fault func(op mem.Op, key string) mem.Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}

// See lets see know of each call to storage, which is one at a time.
func (h *Harness) See(see func(op mem.Op, key string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = func(op mem.Op, key string) mem.Fault {
		see(op, key)
		return mem.Fault{}
	}
}

// Working ends all faults.
func (h *Harness) Working() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = nil
}

// Play is the Functions host for a while: it calls Dispatch for every wake-up
// message that can be seen, looking every 5 s, and Watch every minute.
func (h *Harness) Play(t *testing.T, length time.Duration) {
	t.Helper()
	end := time.Now().Add(length)
	for i := 0; time.Now().Before(end); i++ {
		if i%12 == 0 {
			if err := h.Watch(t.Context()); err != nil {
				t.Logf("watch: %v", err)
			}
		}
		messages, err := h.WakeUps.Receive(t.Context(), 16, 10*time.Minute)
		if err != nil {
			t.Logf("receive: %v", err)
		}
		for _, m := range messages {
			if err := h.wakeUp(t.Context(), m.Text); err != nil {
				t.Logf("dispatch: %v", err)
				continue
			}
			if err := h.WakeUps.Delete(t.Context(), m.ID, m.PopReceipt); err != nil {
				t.Logf("delete: %v", err)
			}
		}
		time.Sleep(5 * time.Second)
	}
}

// wakeUp is a call of the dispatch function.
func (h *Harness) wakeUp(ctx context.Context, text string) error {
	if mark, is := spool.ParseCleanUp(text); is {
		return h.GoOnCleaningUp(ctx, mark)
	}
	domain, shard, err := spool.ParseWakeUp(text)
	if err != nil {
		return err
	}
	return h.Dispatch(ctx, domain, shard)
}

// Visible counts the blobs that can be read.
func (h *Harness) Visible(t *testing.T) int {
	t.Helper()
	h.Working()
	list, _, err := h.Files.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Lists are what the operator has listed. Who is not in them may do all that Shop may.
type Lists struct {
	mu      sync.Mutex
	callers map[string]caller.Caller
	gone    map[string]bool // callers, and hooks after a slash
	away    bool

	Suspended Suspended // for their reputation
}

// Suspended are names, with the reason.
type Suspended struct{ sync.Map }

// Suspend implements reputation.Pauser.
func (s *Suspended) Suspend(_ context.Context, name, reason string) error {
	s.Store(name, reason)
	return nil
}

// Set lists a caller as it is now.
func (l *Lists) Set(c caller.Caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.callers == nil {
		l.callers = map[string]caller.Caller{}
	}
	l.callers[c.Name] = c
}

// Remove takes out a caller or, if it begins with a slash, a hook.
func (l *Lists) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone == nil {
		l.gone = map[string]bool{}
	}
	l.gone[name] = true
}

// Away says whether nobody can read the lists.
func (l *Lists) Away(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// Sender implements gateway.Authority.
func (l *Lists) Sender(_ context.Context, name, hook string) (caller.Caller, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c, listed := l.callers[name]; {
	case l.away:
		return caller.Caller{}, problem.New(problem.Unavailable, "The lists are away.")
	case l.gone[name], hook != "" && l.gone["/"+hook]:
		return caller.Caller{}, problem.New(problem.Forbidden, "It is in no list.")
	case listed:
		return c, nil
	default:
		c = Shop
		c.Name = name
		return c, nil
	}
}

// Shop may send from and to everywhere.
var Shop = caller.Caller{Holder: keyring.Holder{Name: "shop"}, Policy: caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}}}

// Small is a message without attachments.
func Small(subject string) string {
	return `{"senderAddress":"donotreply@example.com","content":{"subject":"` + subject + `","plainText":"Hello"},"recipients":{"to":[{"address":"ann@example.com"}]}}`
}

// Refusing is a message that would rather be refused than wait.
func Refusing(body string) string {
	return strings.TrimSuffix(body, "}") + `,"delivery":{"whenBusy":"refuse"}}`
}

// Large has an attachment that does not fit.
func Large() string {
	content := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("posthorn"), 600))
	return strings.TrimSuffix(Small("large"), "}") + `,"attachments":[{"name":"a.bin","contentType":"application/octet-stream","contentInBase64":"` + content + `"}]}`
}

// DeadMessage finds a dead letter by its message's id, and the message. The message is
// nil if its content is lost. The error is NotFound if there is none.
func DeadMessage(ctx context.Context, g *gateway.Gateway, id string) (spool.DeadLetter, *mail.Message, error) {
	all, err := g.Dead(ctx)
	if err != nil {
		return spool.DeadLetter{}, nil, err
	}
	for _, d := range all {
		if d.ID != id {
			continue
		}
		stored, _, err := g.Spool.ReadDeadLetter(ctx, &d)
		if problem.Is(err, problem.Internal) {
			err = nil
		}
		return d, stored.Message, err
	}
	return spool.DeadLetter{}, nil, problem.New(problem.NotFound, "No dead letter has that id.")
}

// DeadMessage finds a dead letter of this gateway.
func (h *Harness) DeadMessage(ctx context.Context, id string) (spool.DeadLetter, *mail.Message, error) {
	return DeadMessage(ctx, h.Gateway, id)
}
