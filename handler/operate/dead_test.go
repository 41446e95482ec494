package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

func deadLetter(id, caller, hook, reason string) spool.DeadLetter {
	return spool.DeadLetter{Entry: spool.Entry{ID: id, Line: spool.Line{Caller: caller}, Hook: hook}, At: noon, Reason: reason}
}

func TestASelectionOfDeadLettersMeansWhatItsFlagsSay(t *testing.T) {
	t.Parallel()
	all := []spool.DeadLetter{
		deadLetter("late", "shop", "", "The message waited until its deadline and was not sent."),
		deadLetter("refused", "shop", "", "ACS refused the message: no."),
		deadLetter("alert", "ops", "alerts", "ACS refused the message: no."),
	}
	for _, c := range []struct {
		name string
		s    deadSelection
		want string
	}{
		{"all", deadSelection{}, "late refused alert"},
		{"a caller's", deadSelection{Caller: "shop"}, "late refused"},
		{"a hook's", deadSelection{Hook: "alerts"}, "alert"},
		{"by id", deadSelection{IDs: []string{"late", "alert"}}, "late alert"},
		{"by id, of another caller", deadSelection{IDs: []string{"late"}, Caller: "ops"}, ""},
		{"by a reason, in any case", deadSelection{Reason: "acs REFUSED"}, "refused alert"},
		{"by a reason and a caller", deadSelection{Reason: "deadline", Caller: "ops"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range all {
				if got, want := c.s.wants(&all[i]), strings.Contains(" "+c.want+" ", " "+all[i].ID+" "); got != want {
					t.Errorf("%s: %t, want %t", all[i].ID, got, want)
				}
			}
		})
	}
}

// What is wrong with one dead letter keeps no other from its way; storage that is away
// ends all.
func TestADeadLetterThatStaysStopsNoOther(t *testing.T) {
	t.Parallel()
	lost := problem.New(problem.Gone, "What was kept of it is lost.")
	forbidden := problem.New(problem.Forbidden, "The policy says no.")
	for _, c := range []struct {
		name        string
		errs        map[string]error
		says, fails string
	}{
		{"all go", nil, "Put back 3 messages.", ""},
		{"one is lost", map[string]error{"a": lost}, "Put back 2 messages.", "1 message left: What was kept of it is lost."},
		{"two stay", map[string]error{"a": lost, "c": forbidden}, "Put back 1 message.", "2 messages left: 1 The policy says no.; 1 What was kept of it is lost."},
		{"storage is away", map[string]error{"a": problem.New(problem.Unavailable, "Away."), "b": problem.New(problem.Unavailable, "Away."), "c": problem.New(problem.Unavailable, "Away.")}, "Put back 0 messages.", "Away."},
		{"no problem", map[string]error{"a": errors.New("odd"), "b": errors.New("odd"), "c": errors.New("odd")}, "Put back 0 messages.", "odd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			all := []spool.DeadLetter{deadLetter("a", "shop", "", ""), deadLetter("b", "shop", "", ""), deadLetter("c", "shop", "", "")}
			err := eachOf(t.Context(), &console{said: &said}, job[spool.DeadLetter]{
				done: "Put back", skipReason: deadSkipReason,
				do: func(_ context.Context, d *spool.DeadLetter) error { return c.errs[d.ID] },
			}, all)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || strings.TrimSpace(said.String()) != c.says {
				t.Errorf("it says %q, and ends with %v", said.String(), err)
			}
		})
	}
}
