package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

type messagesCommands struct {
	List    listMessages    `cmd:"" help:"List queued messages."`
	Show    showMessage     `cmd:"" help:"Show why a message waits. Its content is not shown."`
	Drop    dropMessages    `cmd:"" help:"Cancel queued messages."`
	Release releaseMessages `cmd:"" help:"Send scheduled or delayed messages now, within the quota."`
}

// state is why a message waits.
type state string

// The states.
const (
	waiting   state = "waiting"   // for quota
	scheduled state = "scheduled" // for its sendAt
	backoff   state = "backoff"   // after a try that failed
	doubt     state = "doubt"     // ACS may have it, and is asked
	paused    state = "paused"    // it is due, and its caller or all sending is paused
	// unreadable is a row that does not say which message it is. It can be dropped only,
	// and its name is the row's.
	unreadable state = "unreadable"
)

// UnmarshalText reads what stands behind a flag.
func (s *state) UnmarshalText(text []byte) error {
	*s = state(text)
	if !slices.Contains([]state{waiting, scheduled, backoff, doubt, paused, unreadable}, *s) {
		return errors.New("a state is waiting, scheduled, backoff, doubt, paused or unreadable")
	}
	return nil
}

// view is what states depend on, beside the messages.
type view struct {
	now    time.Time
	all    bool            // sending is paused
	paused map[string]bool // callers
}

func (v view) stateOf(s *spool.Entry) state {
	switch {
	case s.Unreadable:
		return unreadable
	case s.Doubt != spool.NoDoubt:
		return doubt
	case s.NotBefore.After(v.now):
		return backoff
	case s.Line.Later && s.Due.After(v.now):
		return scheduled
	case v.all || v.paused[s.Line.Caller]:
		return paused
	}
	return waiting
}

// selection says which queued messages are meant.
type selection struct {
	IDs       []string      `arg:"" optional:"" name:"id" help:"Only these messages."`
	Caller    string        `placeholder:"NAME" help:"Only messages of this caller."`
	Hook      string        `placeholder:"NAME" help:"Only messages of this hook."`
	State     state         `placeholder:"STATE" help:"Only messages in this state."`
	OlderThan time.Duration `placeholder:"TIME" help:"Only messages due for longer, such as 2h30m."`
}

func (s selection) empty() bool {
	return len(s.IDs) == 0 && s.Caller == "" && s.Hook == "" && s.State == "" && s.OlderThan == 0
}

func (s selection) wants(m *spool.Entry, v view) bool {
	return (len(s.IDs) == 0 || slices.Contains(s.IDs, m.ID)) &&
		(s.Caller == "" || s.Caller == m.Line.Caller) &&
		(s.Hook == "" || s.Hook == m.Hook) &&
		(s.State == "" || s.State == v.stateOf(m)) &&
		(s.OlderThan == 0 || v.now.Sub(m.Due) > s.OlderThan)
}

// selected are the messages that s means, the longest due first. That nothing has an id
// of s is NotFound.
func (d deployment) selected(ctx context.Context, s selection) ([]queuedMessage, error) {
	v, err := d.view(ctx)
	if err != nil {
		return nil, err
	}
	var found []queuedMessage
	for entry, err := range d.Gateway.Spool.AllEntries(ctx) {
		if err != nil {
			return nil, err
		}
		if entry.Unreadable {
			entry.ID = entry.Key.Row
		}
		if s.wants(&entry, v) {
			found = append(found, queuedMessage{entry, v.stateOf(&entry)})
		}
	}
	for _, id := range s.IDs {
		if !slices.ContainsFunc(found, func(h queuedMessage) bool { return h.ID == id }) {
			return nil, problem.New(problem.NotFound, "No queued message has the id %q, or the flags exclude it.", id)
		}
	}
	slices.SortStableFunc(found, func(a, b queuedMessage) int { return a.Due.Compare(b.Due) })
	return found, nil
}

func (d deployment) view(ctx context.Context) (v view, err error) {
	callers, err := d.Callers.All(ctx)
	if err != nil {
		return v, err
	}
	v.paused = map[string]bool{}
	for _, c := range callers {
		v.paused[c.Name] = c.Pause != nil
	}
	pause, err := d.Gateway.Paused(ctx)
	if err != nil {
		return v, err
	}
	v.all = pause != nil
	v.now, err = d.Gateway.Records.Time(ctx)
	return v, err
}

// queuedMessage is a queued message in a list.
type queuedMessage struct {
	spool.Entry
	state state
}

// due is when nothing but quota stands in its way.
func (h queuedMessage) due() time.Time {
	if h.NotBefore.After(h.Due) {
		return h.NotBefore
	}
	return h.Due
}

func (h queuedMessage) priority() string {
	names := []string{"high", "normal", "bulk"}
	if h.Unreadable || h.Line.Class >= len(names) {
		return "-"
	}
	return names[h.Line.Class]
}

// messageRow has the same members for every message.
type messageRow struct {
	ID       string    `json:"id"`
	Caller   string    `json:"caller"`
	Hook     string    `json:"hook"`
	Priority string    `json:"priority"`
	State    string    `json:"state"`
	Due      time.Time `json:"due"`
	Tries    int       `json:"tries"`
	Bytes    int       `json:"bytes"`
}

func (r messageRow) columns() []string {
	return []string{r.ID, cmp.Or(r.Caller, "-"), cmp.Or(r.Hook, "-"), r.Priority, r.State, r.Due.Format(time.RFC3339), strconv.Itoa(r.Tries), strconv.Itoa(r.Bytes)}
}

func printList(c *console, l listing, all []queuedMessage) error {
	rows := make([]messageRow, len(all))
	for i, h := range all {
		rows[i] = messageRow{h.ID, h.Line.Caller, h.Hook, h.priority(), string(h.state), h.due(), h.Tries, h.Bytes}
	}
	return show(c, l, rows, "ID\tCALLER\tHOOK\tPRIORITY\tSTATE\tDUE\tTRIES\tBYTES", messageRow.columns)
}

type listMessages struct {
	selection
	listing
}

func (listMessages) Help() string {
	return "waiting: for quota. scheduled: for its sendAt. backoff: after a failed try. paused: by an operator or Posthorn. doubt: ACS may have the message, and is asked. unreadable: the row is damaged, and can only be dropped.\n\n" +
		examples("posthorn messages list --caller shop", "posthorn messages list --state backoff --older-than 1h --json")
}

func (cmd *listMessages) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.selected(ctx, cmd.selection)
	if err != nil {
		return err
	}
	return printList(c, cmd.listing, all)
}

type showMessage struct {
	ID     string `arg:"" help:"The message."`
	Caller string `placeholder:"NAME" help:"Only a message of this caller. Two callers may share an id."`
}

func (showMessage) Help() string {
	return examples("posthorn messages show 0f3c1b6e-52c5-4c1f-9c0e-6f1d2a7b8c9d")
}

func (cmd *showMessage) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.selected(ctx, selection{IDs: []string{cmd.ID}, Caller: cmd.Caller})
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Unreadable {
			return problem.New(problem.Internal, "The row is unreadable. It can only be dropped.")
		}
		lines, err := d.details(ctx, h)
		if err == nil {
			err = c.details(lines...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// details tell enough to decide, and nothing of what the message says.
func (d deployment) details(ctx context.Context, h queuedMessage) ([][2]string, error) {
	rec, m, err := d.Gateway.Held(ctx, &h.Entry)
	if err != nil {
		return nil, err
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	lines := [][2]string{
		{"id", h.ID}, {"caller", h.Line.Caller}, {"hook", h.Hook}, {"priority", h.priority()}, {"state", string(h.state)},
		{"accepted", when(rec.Created)}, {"due", when(h.due())}, {"expected", when(rec.Expected)}, {"deadline", when(rec.Deadline)},
		{"tries", strconv.Itoa(h.Tries)}, {"repeats after doubt", strconv.Itoa(h.Repeats)}, {"ACS operation", rec.OperationID},
	}
	return append(lines, outside(m)...), nil
}

// outside is what may be told of a message; nil is one whose content is lost.
func outside(m *mail.Message) [][2]string {
	if m == nil {
		return [][2]string{{"message", "lost"}}
	}
	to := m.Recipients
	return [][2]string{
		{"sender", m.SenderAddress}, {"recipients", fmt.Sprintf("%d, at %s", len(to.All()), strings.Join(to.Domains(), ", "))},
		{"attachments", strconv.Itoa(len(m.Attachments))}, {"bytes", strconv.Itoa(m.Bytes())},
	}
}

// bulk are the flags of what is done to many that wait.
type bulk struct {
	selection
	careful
}

// Validate wants it said which messages are meant.
func (b *bulk) Validate() error {
	if b.empty() && !b.All {
		return errors.New("select messages by id, --caller, --hook, --state, --older-than or --all")
	}
	return nil
}

// waitingJob is done to queued messages. A message that ACS may have by now is left.
func waitingJob(c *console, verb, done string, do func(context.Context, *spool.Entry) error) job[queuedMessage] {
	return job[queuedMessage]{
		verb: verb, done: done, none: "no such message is queued",
		of:   func(h queuedMessage) string { return string(h.state) + " of " + h.Line.Caller },
		list: func(all []queuedMessage) error { return printList(c, listing{}, all) },
		do:   func(ctx context.Context, h *queuedMessage) error { return do(ctx, &h.Entry) },
		skipReason: func(err error) string {
			if problem.Is(err, problem.TooLate) || problem.Is(err, problem.NotFound) {
				return "on the way to ACS, ended, or in doubt"
			}
			return ""
		},
	}
}

type dropMessages struct{ bulk }

func (dropMessages) Help() string {
	return examples("posthorn messages drop --caller shop --dry-run", "posthorn messages drop --caller shop --older-than 24h --yes")
}

func (cmd *dropMessages) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.selected(ctx, cmd.selection)
	if err != nil {
		return err
	}
	return confirmAndRun(ctx, c, cmd.careful, waitingJob(c, "Drop", "Dropped", d.Gateway.Drop), all)
}

type releaseMessages struct{ bulk }

func (releaseMessages) Help() string {
	return "Messages that are due, paused or in doubt stay unchanged.\n\n" +
		examples("posthorn messages release --caller shop --dry-run", "posthorn messages release --state backoff --yes")
}

func (cmd *releaseMessages) Run(ctx context.Context, c *console, d deployment) error {
	all, err := d.selected(ctx, cmd.selection)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(h queuedMessage) bool { return h.state != scheduled && h.state != backoff })
	return confirmAndRun(ctx, c, cmd.careful, waitingJob(c, "Release", "Released", d.Gateway.Release), all)
}
