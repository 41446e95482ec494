package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// fixture is a spool over storage in memory; fault befalls the next calls of op.
type fixture struct {
	*spool.Spool
	blobs   *mem.Container
	lines   *mem.Table
	wakeUps *mem.Queue
	op      mem.Op
	fault   mem.Outcome

	before func(mem.Op) mem.Outcome // what befalls any call; nil is nothing
}

func newFixture() *fixture {
	h := &fixture{}
	plan := func(op mem.Op, _ string) mem.Fault {
		if h.op == op {
			return mem.Fault{Outcome: h.fault}
		}
		if h.before != nil {
			return mem.Fault{Outcome: h.before(op)}
		}
		return mem.Fault{}
	}
	h.blobs, h.lines, h.wakeUps = mem.NewContainer(time.Now, plan), mem.NewTable(time.Now, plan), mem.NewQueue(time.Now, plan)
	h.Spool = spool.New(h.blobs, h.lines, mem.NewTable(time.Now, plan), h.wakeUps)
	return h
}

var start = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func entry(line spool.Line, order time.Time, id string) *spool.Entry {
	return &spool.Entry{Key: spool.KeyFor(line, order, id), Line: line, Due: order, ID: id, Version: "v", Cost: 1}
}

func message(subject string) spool.Message {
	return spool.Message{Record: []byte(`{"ID":"` + subject + `"}`), Message: &mail.Message{
		SenderAddress: "a@example.com", Content: mail.Content{Subject: subject, PlainText: "line\nline"}, Language: "de",
		Attachments: []mail.Attachment{
			{Name: "moved.bin", ContentType: "application/octet-stream"},
			{Name: "kept.bin", ContentType: "image/png", ContentID: "i", Content: []byte("\x00\n\xff")},
			{Name: "empty.txt", ContentType: "text/plain", Content: []byte{}},
		},
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMessageComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, most int
		large      bool
	}{
		"in one part":               {10, spool.SmallBytes, false},
		"in two parts":              {99_000, spool.SmallBytes, false},
		"large":                     {100_000, spool.SmallBytes, true},
		"larger than a table takes": {10, 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			comesBack(t, newFixture(), c.most, c.file, c.large)
		})
	}
}

func comesBack(t *testing.T, h *fixture, mostInTable, fileBytes int, large bool) {
	t.Helper()
	h.InTable(mostInTable)
	want, s := message("one"), entry(spool.Line{Caller: "shop"}, start, "r")
	want.Message.Attachments[1].Content = bytes.Repeat([]byte("\x00\n\xff 7"), fileBytes/5)
	for range 2 { // a repeat after a lost answer
		must(t, h.PutMessage(t.Context(), s, want))
		must(t, h.InsertEntry(t.Context(), s))
	}
	if blobs, _, err := h.blobs.List(t.Context(), "", "", 9); err != nil || len(blobs) == 1 != large || s.Large != large {
		t.Errorf("%d blobs, the entry says large: %t, %v", len(blobs), s.Large, err)
	}
	listed, err := h.ListEntries(t.Context(), s.Line, nil, 9)
	if err != nil || len(listed) != 1 || listed[0].Large != large {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	got, found, err := h.ReadMessage(t.Context(), &listed[0])
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if got.Message.Attachments[0].Content != nil || got.Message.Attachments[2].Content == nil {
		t.Error("what has moved and what is empty are not told apart")
	}
	got.Message.Attachments[1].Size = 0 // told anew
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got.Message, want.Message)
	}
	must(t, h.DeleteQueued(t.Context(), s))
	must(t, h.DeleteQueued(t.Context(), s))
	if _, found, err := h.ReadMessage(t.Context(), s); found || err != nil {
		t.Errorf("after it was deleted: %t, %v", found, err)
	}
	rows, err := h.lines.ListBefore(t.Context(), store.Key{}, "~", 9)
	if blobs, _, blobErr := h.blobs.List(t.Context(), "", "", 9); len(rows) != 0 || len(blobs) != 0 || errors.Join(err, blobErr) != nil {
		t.Errorf("left: rows %v, blobs %v, %v, %v", rows, blobs, err, blobErr)
	}
}

func TestAMessageThatIsDamagedIsNotRead(t *testing.T) {
	t.Parallel()
	h, s := newFixture(), entry(spool.Line{Caller: "shop"}, start, "r")
	h.InTable(0)
	must(t, h.PutMessage(t.Context(), s, message("one")))
	key := s.Key
	name := key.Partition + "/" + key.Row
	whole, err := h.blobs.Read(t.Context(), name)
	must(t, err)
	for what, data := range map[string][]byte{
		"empty": {}, "cut off in the head": whole[:20], "cut off in a file": whole[:len(whole)-1],
		"longer than it says": append(slices.Clone(whole), 'x'), "of another format": []byte(`{"format":2}` + "\n"),
	} {
		must(t, h.blobs.Delete(t.Context(), name))
		must(t, h.blobs.Put(t.Context(), name, data))
		if _, found, err := h.ReadMessage(t.Context(), s); found || !problem.Is(err, problem.Internal) {
			t.Errorf("%s: found %t, %v", what, found, err)
		}
	}
}

// Whatever the order of arrival, a line is read in the order of its keys, and
// lines do not mix.
func TestALineIsReadInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newFixture()
		lines := []spool.Line{
			{Shard: 0, Class: 1, Caller: "shop"}, {Shard: 0, Class: 1, Caller: "shop", Later: true},
			{Shard: 0, Class: 1, Caller: "bank"}, {Domain: mail.ManagedDomain, Shard: 0, Class: 1, Caller: "shop"}, {Shard: 0, Class: 0, Caller: "shop"}, {Shard: 12, Class: 1, Caller: "shop"},
		}
		want := map[spool.Line][]string{}
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 999), 0, 60).Draw(rt, "arrivals") {
			line := lines[n%len(lines)]
			s := entry(line, start.Add(time.Duration(n)*time.Minute), strconv.Itoa(1000+i))
			if err := h.InsertEntry(context.Background(), s); err != nil {
				rt.Fatal(err)
			}
			want[line] = append(want[line], s.Key.Row)
		}
		for _, line := range lines {
			slices.Sort(want[line])
			n := rapid.IntRange(1, 70).Draw(rt, "n")
			got, err := h.ListEntries(context.Background(), line, nil, n)
			if err != nil {
				rt.Fatal(err)
			}
			var rows []string
			for _, s := range got {
				rows = append(rows, s.Key.Row)
				if s.Line != line {
					rt.Errorf("an entry of %+v in %+v", s.Line, line)
				}
			}
			if first := want[line][:min(n, len(want[line]))]; !slices.Equal(rows, first) {
				rt.Errorf("line %+v is %v, want %v", line, rows, first)
			}
		}
		heads, err := h.ListHeads(context.Background())
		if err != nil || len(heads) != len(want) {
			rt.Errorf("%d lines, %v; want %d", len(heads), err, len(want))
		}
		for _, head := range heads {
			if head.Key.Row != want[head.Line][0] {
				rt.Errorf("the head of %+v is %s, want %s", head.Line, head.Key.Row, want[head.Line][0])
			}
		}
	})
}

func TestWhatChangesOfAnEntryIsKept(t *testing.T) {
	t.Parallel()
	h, line := newFixture(), spool.Line{Shard: 3, Class: 2, Caller: "shop", Form: "contact", Later: true}
	s := entry(line, start, "r")
	s.Bytes, s.Cost, s.Share, s.Cap, s.FormCap = 7, 2, 10, 50, 20
	s.Hook, s.Terms, s.Sender, s.Ticket = "contact", "t", 1<<32-1, 1<<63-1
	must(t, h.InsertEntry(t.Context(), s))
	must(t, h.InsertEntry(t.Context(), s))
	read, _, err := h.ReadEntry(t.Context(), s.Key)
	must(t, err)
	s = &read
	s.Tries, s.Repeats, s.UnknownAnswers, s.Doubt, s.Version, s.NotBefore, s.Large = 1, 2, 3, spool.FailureAnswer, "w", start.Add(time.Minute), true
	for field, v := range reflect.ValueOf(*s).Fields() {
		if unkept := []string{"Class", "Unreadable", "content"}; v.IsZero() != slices.Contains(unkept, field.Name) {
			t.Errorf("%s is %v", field.Name, v)
		}
	}
	must(t, h.UpdateEntry(t.Context(), s))
	got, found, err := h.ReadEntry(t.Context(), s.Key)
	if err != nil || !found || !reflect.DeepEqual(&got, s) {
		t.Errorf("got %+v, %t, %v; want %+v", got, found, err, s)
	}
	must(t, h.DeleteEntry(t.Context(), s))
	must(t, h.UpdateEntry(t.Context(), s)) // it does not come back
	if has, err := h.HasEntry(t.Context(), s.Key); has || err != nil {
		t.Errorf("after it was forgotten: %t, %v", has, err)
	}
}

func TestARowThatIsDamagedIsMarked(t *testing.T) {
	t.Parallel()
	line := spool.Line{Shard: 3, Class: 2, Caller: "shop"}
	for name, text := range map[string]any{
		"no JSON":       "{",
		"no text":       int64(7),
		"no id":         `{"line":{"caller":"shop"},"due":"2026-11-23T12:00:00Z"}`,
		"no caller":     `{"line":{},"id":"r","due":"2026-11-23T12:00:00Z"}`,
		"no time":       `{"line":{"caller":"shop"},"id":"r"}`,
		"no whole time": `{"line":{"caller":"shop"},"id":"r","due":"2026-11-23"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, k := newFixture(), entry(line, start, "r").Key
			_, err := h.lines.Insert(t.Context(), store.Entity{Partition: k.Partition, Row: k.Row, Values: map[string]any{"entry": text}})
			must(t, err)
			if _, _, err := h.ReadEntry(t.Context(), k); !problem.Is(err, problem.Internal) {
				t.Errorf("read alone: %v", err)
			}
			all, err := h.ListEntries(t.Context(), line, nil, 9)
			if want := []spool.Entry{{Key: k, Unreadable: true}}; err != nil || !reflect.DeepEqual(all, want) {
				t.Errorf("listed as %+v, %v", all, err)
			}
		})
	}
}

func TestStraysAreMessagesWithoutARow(t *testing.T) {
	t.Parallel()
	h := newFixture()
	h.InTable(0)
	const n = 40
	var want []string
	for i := range n {
		line := spool.Line{Shard: i % 3, Class: i % 2, Caller: "shop"}
		s := entry(line, start.Add(time.Duration(i)*time.Minute), fmt.Sprintf("%02d", i))
		must(t, h.PutMessage(t.Context(), s, message(s.ID)))
		switch i % 5 {
		case 0, 1, 2: // in its line, with others around it
			must(t, h.InsertEntry(t.Context(), s))
		case 3:
			must(t, h.InsertEntry(t.Context(), s))
			must(t, h.MoveToDeadLetters(t.Context(), spool.DeadLetter{Entry: *s, At: start, Reason: "r"}))
		default:
			if i < 30 {
				want = append(want, s.ID)
			}
		}
		other := entry(line, start.Add(time.Duration(i)*time.Minute), "row only")
		must(t, h.InsertEntry(t.Context(), other))
	}
	var got []string
	err := orphans(t, h, start.Add(30*time.Minute), func(_ context.Context, k store.Key) error {
		got = append(got, k.Row[len(k.Row)-2:])
		return errors.New("one that cannot be removed")
	})
	if err == nil {
		t.Error("the error of a stray is not told")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("strays are %v, want %v", got, want)
	}
}

func TestTheDeadAreListedUntilTheyExpire(t *testing.T) {
	t.Parallel()
	for _, mostInTable := range []int{0, spool.SmallBytes} {
		t.Run(fmt.Sprint(mostInTable, " bytes in the table"), func(t *testing.T) {
			t.Parallel()
			h := newFixture()
			h.InTable(mostInTable)
			deadUntilTheyExpire(t, h)
		})
	}
}

func deadUntilTheyExpire(t *testing.T, h *fixture) {
	t.Helper()
	line := spool.Line{Class: 1, Caller: "shop", Later: true}
	for i := range 3 {
		s := entry(line, start.Add(time.Duration(i)*time.Minute), strconv.Itoa(i))
		must(t, h.PutMessage(t.Context(), s, message(s.ID)))
		must(t, h.InsertEntry(t.Context(), s))
		d := spool.DeadLetter{Entry: *s, At: start.Add(time.Duration(i) * 24 * time.Hour), Reason: "why " + s.ID}
		must(t, h.MoveToDeadLetters(t.Context(), d))
		must(t, h.MoveToDeadLetters(t.Context(), d))
	}
	if heads, err := h.ListEntries(t.Context(), line, nil, 10); err != nil || len(heads) != 0 {
		t.Errorf("still in line: %v, %v", heads, err)
	}
	list, err := h.ListDeadLetters(t.Context(), nil, 2)
	if err != nil || len(list) != 2 || list[1].Reason != "why 1" || list[1].Line != line || list[1].Key != entry(line, start.Add(time.Minute), "1").Key {
		t.Fatalf("list %+v, %v", list, err)
	}
	rest, err := h.ListDeadLetters(t.Context(), &list[1], 2)
	if err != nil || len(rest) != 1 || rest[0].ID != "2" {
		t.Errorf("the rest is %+v, %v", rest, err)
	}
	if m, found, err := h.ReadDeadLetter(t.Context(), &list[0]); !found || err != nil || m.Message.Content.Subject != "0" {
		t.Errorf("the message of a dead letter: %+v, %t, %v", m, found, err)
	}
	must(t, h.DiscardDeadLetter(t.Context(), &list[0]))
	must(t, h.DiscardDeadLetter(t.Context(), &list[0]))
	for _, c := range []struct {
		at   time.Time
		want int
	}{{start.Add(spool.DeadLetterLife), 0}, {start.Add(spool.DeadLetterLife + 24*time.Hour), 1}, {start.Add(2 * spool.DeadLetterLife), 1}} {
		if n, err := h.ExpireDeadLetters(t.Context(), c.at); err != nil || n != c.want {
			t.Errorf("at %v %d expired, %v; want %d", c.at, n, err, c.want)
		}
	}
	if _, found, err := h.ReadDeadLetter(t.Context(), &list[1]); found || err != nil {
		t.Errorf("the message of one that expired: %t, %v", found, err)
	}
}

func TestAWakeUpMessageWakesItsShard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newFixture()
		must(t, h.SendWakeUp(t.Context(), mail.ManagedDomain, 17, 90*time.Second))
		must(t, h.SendWakeUp(t.Context(), mail.CustomDomain, 0, -time.Second))
		must(t, h.SendWakeUp(t.Context(), mail.CustomDomain, 5, 30*24*time.Hour)) // comes early, and is sent on
		type shard struct {
			domain mail.DomainKind
			number int
		}
		seen := map[shard]time.Duration{}
		begun := time.Now()
		for range 10 * 24 {
			messages, err := h.wakeUps.Receive(t.Context(), 10, time.Hour)
			must(t, err)
			for _, m := range messages {
				domain, number, err := spool.ParseWakeUp(m.Text)
				must(t, err)
				seen[shard{domain, number}] = time.Since(begun)
				must(t, h.wakeUps.Delete(t.Context(), m.ID, m.PopReceipt))
			}
			time.Sleep(time.Hour)
		}
		if want := map[shard]time.Duration{
			{mail.CustomDomain, 0}: 0, {mail.ManagedDomain, 17}: time.Hour, {mail.CustomDomain, 5}: 6 * 24 * time.Hour,
		}; !reflect.DeepEqual(seen, want) {
			t.Errorf("seen at %v, want %v", seen, want)
		}
		for _, text := range []string{"", "shard", "shard 1", " shard 1", "Custom shard 1", "custom shard", "custom shard ", "custom shard x", "managed shard -1", "custom shard 1 ", `{"shard":1}`} {
			if domain, number, err := spool.ParseWakeUp(text); err == nil {
				t.Errorf("%q is a wake-up message of %v shard %d", text, domain, number)
			}
		}
	})
}

func TestStorageOutOfReach(t *testing.T) {
	t.Parallel()
	line := spool.Line{Caller: "shop"}
	for name, c := range map[string]struct {
		op   mem.Op
		call func(context.Context, *fixture, *spool.Entry) error
	}{
		"put": {mem.Put, func(ctx context.Context, h *fixture, s *spool.Entry) error {
			return h.InTable(0).PutMessage(ctx, s, message("x"))
		}},
		"open": {mem.Get, func(ctx context.Context, h *fixture, s *spool.Entry) error {
			_, _, err := h.ReadMessage(ctx, s)
			return err
		}},
		"open a blob": {mem.Read, func(ctx context.Context, h *fixture, s *spool.Entry) error {
			_, _, err := h.ReadBlob(ctx, s.Key)
			return err
		}},
		"drop":  {mem.Delete, func(ctx context.Context, h *fixture, s *spool.Entry) error { return h.DeleteBlob(ctx, s.Key) }},
		"enter": {mem.Transact, func(ctx context.Context, h *fixture, s *spool.Entry) error { return h.InsertEntry(ctx, s) }},
		"keep":  {mem.Replace, func(ctx context.Context, h *fixture, s *spool.Entry) error { return h.UpdateEntry(ctx, s) }},
		"leave": {mem.Transact, func(ctx context.Context, h *fixture, s *spool.Entry) error { return h.DeleteQueued(ctx, s) }},
		"heads": {mem.List, func(ctx context.Context, h *fixture, _ *spool.Entry) error {
			_, err := h.ListEntries(ctx, line, nil, 1)
			return err
		}},
		"lines": {mem.List, func(ctx context.Context, h *fixture, _ *spool.Entry) error { _, err := h.ListHeads(ctx); return err }},
		"entry": {mem.Get, func(ctx context.Context, h *fixture, s *spool.Entry) error {
			_, _, err := h.ReadEntry(ctx, s.Key)
			return err
		}},
		"dead": {mem.Transact, func(ctx context.Context, h *fixture, s *spool.Entry) error {
			return h.MoveToDeadLetters(ctx, spool.DeadLetter{Entry: *s, At: start})
		}},
		"wake": {mem.Send, func(ctx context.Context, h *fixture, _ *spool.Entry) error {
			return h.SendWakeUp(ctx, mail.CustomDomain, 1, 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture()
			h.op, h.fault = c.op, mem.Refused
			if err := c.call(t.Context(), h, entry(line, start, "r")); !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whichever answer is lost on the way of a small message, repeating brings the message on,
// and its row and its content are never apart.
func TestAnAnswerThatIsLostDividesNoMessage(t *testing.T) {
	t.Parallel()
	for _, fault := range []mem.Outcome{mem.Refused, mem.Lost, mem.Repeated} {
		for failing := range 7 {
			t.Run(fmt.Sprintf("call %d, %d", failing, fault), func(t *testing.T) {
				t.Parallel()
				h, s := newFixture(), entry(spool.Line{Caller: "shop"}, start, "r")
				calls := -1
				h.before = func(op mem.Op) mem.Outcome {
					if calls++; calls == failing && op != mem.List {
						return fault
					}
					return mem.Done
				}
				again := func(do func() error) {
					t.Helper()
					if do() != nil {
						must(t, do())
					}
				}
				must(t, h.PutMessage(t.Context(), s, message("one")))
				again(func() error { return h.InsertEntry(t.Context(), s) })
				m, found, err := h.ReadMessage(t.Context(), s)
				if err != nil {
					m, found, err = h.ReadMessage(t.Context(), s)
				}
				if !found || err != nil || m.Message.Content.Subject != "one" {
					t.Fatalf("in its line: %+v, %t, %v", m, found, err)
				}
				d := spool.DeadLetter{Entry: *s, At: start, Reason: "r"}
				again(func() error { return h.MoveToDeadLetters(t.Context(), d) })
				h.before = nil
				if m, found, err := h.ReadDeadLetter(t.Context(), &d); !found || err != nil || m.Message.Content.Subject != "one" {
					t.Errorf("as a dead letter: %+v, %t, %v", m, found, err)
				}
				if rows, err := h.lines.ListBefore(t.Context(), store.Key{}, "~", 9); len(rows) != 0 || err != nil {
					t.Errorf("left in the line: %v, %v", rows, err)
				}
			})
		}
	}
}

// What one of two deletes has left goes with the next: a program of an older version, or a
// person, may have taken the other away.
func TestHalfOfAMessageIsDeleted(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "c-"} {
		h, s := newFixture(), entry(spool.Line{Caller: "shop"}, start, "r")
		must(t, h.PutMessage(t.Context(), s, message("one")))
		must(t, h.InsertEntry(t.Context(), s))
		must(t, h.lines.Delete(t.Context(), s.Key.Partition, prefix+s.Key.Row, ""))
		heads, err := h.ListHeads(t.Context())
		if want := map[string]int{"": 0, "c-": 1}[prefix]; len(heads) != want || err != nil {
			t.Errorf("heads %v, %v, want %d", heads, err, want)
		}
		must(t, h.DeleteQueued(t.Context(), s))
		if rows, err := h.lines.ListBefore(t.Context(), store.Key{}, "~", 9); len(rows) != 0 || err != nil {
			t.Errorf("left: %v, %v", rows, err)
		}
	}
}
