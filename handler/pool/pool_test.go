package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/pool"
)

const piece = pool.PieceBytes

// guest is one that a test moves; its request ends when it is ended.
type guest struct {
	*pool.Guest
	name   string
	pieces int
	ended  bool
	whole  bool
	taking chan error // of a Take under way; nil without one
}

func enter(p *pool.Pool, name string) *guest {
	g := &guest{name: name}
	g.Guest = p.Enter(name, g)
	return g
}

// SetReadDeadline sets its connection's deadline: a time that is over ends it.
func (g *guest) SetReadDeadline(t time.Time) error {
	g.ended = t.Before(time.Now())
	return nil
}

// take is a Take that has ended when nothing moves any more, or goes on.
func (g *guest) take() error {
	g.taking = make(chan error, 1)
	go func() { g.taking <- g.Take(context.Background()) }()
	return g.ends()
}

var errWaits = errors.New("it waits")

func (g *guest) ends() error {
	synctest.Wait()
	select {
	case err := <-g.taking:
		if g.taking = nil; err == nil {
			g.pieces++
		}
		return err
	default:
		return errWaits
	}
}

func TestWhoIsSlowestEndsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(4*piece, time.Now)
		steady, stalled, dribbling, second := enter(p, "a"), enter(p, "b"), enter(p, "c"), enter(p, "d")
		for _, g := range []*guest{steady, stalled, dribbling, second} {
			_ = g.Came(50_000, false)
			if err := g.take(); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			time.Sleep(time.Second)
			_ = steady.Came(10_000, false)
			_ = second.Came(9_000, false)
			_ = dribbling.Came(1, false)
		}
		// A delivery of one packet, a fifth of a second after its headers.
		fresh := enter(p, "e")
		time.Sleep(200 * time.Millisecond)
		_ = fresh.Came(1_460, false)
		if err := fresh.take(); !errors.Is(err, errWaits) || !stalled.ended || dribbling.ended || steady.ended || second.ended {
			t.Fatalf("the stalled one must end: %v", err)
		}
		if err := stalled.Came(1, false); !errors.Is(err, pool.ErrSlow) {
			t.Errorf("what comes for it then: %v", err)
		}
		stalled.Leave()
		if err := fresh.ends(); err != nil {
			t.Errorf("with its piece: %v", err)
		}
		last := enter(p, "f")
		_ = last.Came(1_000, false)
		if err := last.take(); !errors.Is(err, errWaits) || !dribbling.ended || steady.ended || second.ended || fresh.ended {
			t.Errorf("the dribbling one must end: %v", err)
		}
		none := enter(p, "g")
		_ = none.Came(1, false)
		if err := none.take(); !errors.Is(err, pool.ErrSlow) || !none.ended {
			t.Errorf("the one that asks is slowest: %v", err)
		}
		none.Leave()
		dribbling.Leave()
		if err := last.ends(); err != nil {
			t.Error(err)
		}
	})
}

// A guest that sends a whole piece at once and then stops keeps out nobody who sends less.
func TestABurstBuysNoLongStay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		after time.Duration
		bytes int // of one who comes then
	}{
		{"a delivery of GitHub's", time.Second, 25_000},
		{"a small one", 2 * time.Second, 3_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := pool.New(2*piece, time.Now)
				one, two := enter(p, "a"), enter(p, "b")
				for _, g := range []*guest{one, two} {
					_ = g.Came(piece, false)
					if err := g.take(); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.after)
				next := enter(p, "c")
				_ = next.Came(c.bytes, false)
				if err := next.take(); !errors.Is(err, errWaits) || next.ended || one.ended == two.ended {
					t.Errorf("%v; ended: %t, of those before: %t, %t", err, next.ended, one.ended, two.ended)
				}
				one.Leave()
				two.Leave()
				if err := next.ends(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// One name, however many ask for it, leaves half to the others.
func TestOneNameLeavesHalfToTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(8*piece, time.Now)
		held := 0
		for i := range 100 {
			g := enter(p, "attacked")
			_ = g.Came(100-i, false)
			if err := g.take(); err == nil {
				held++
			} else if !errors.Is(err, pool.ErrSlow) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		other := enter(p, "other")
		for range 4 {
			_ = other.Came(1, false)
			if err := other.take(); err != nil {
				t.Error(err)
			}
		}
		if held != 4 || p.Held() != 8*piece {
			t.Errorf("%d hold a piece, %d bytes are held", held, p.Held())
		}
	})
}

// Who has all of its body is about to leave: it is waited for.
func TestWhoIsWholeIsNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(2*piece, time.Now)
		one, two, next := enter(p, "a"), enter(p, "b"), enter(p, "c")
		for _, g := range []*guest{one, two} {
			if err := g.take(); err != nil {
				t.Fatal(err)
			}
			_ = g.Came(1, true)
		}
		time.Sleep(time.Minute)
		_ = next.Came(1, false)
		if err := next.take(); !errors.Is(err, errWaits) || one.ended || two.ended || next.ended {
			t.Errorf("next: %v", err)
		}
		two.Leave()
		if err := next.ends(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := enter(p, "d")
		_ = late.Came(9, false)
		_ = next.Came(1, true)
		if err := late.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who does not wait longer: %v", err)
		}
		late.Leave()
		one.Leave()
		next.Leave()
		if p.Held() != 0 {
			t.Errorf("%d bytes are held", p.Held())
		}
	})
}

// step is what one guest does, after a pause.
type step struct{ ms, who, what, name, bytes int }

// Whatever guests do: the pool is never passed, nor is a name's half; nobody waits for
// nothing; nobody is ended while there is room; and at the end all was given back.
func TestTheModelOfThePool(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		pieces := rapid.IntRange(2, 9).Draw(rt, "pieces")
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				rapid.IntRange(0, 2000).Draw(rt, "ms"), rapid.IntRange(0, 99).Draw(rt, "who"), rapid.IntRange(0, 3).Draw(rt, "what"),
				rapid.IntRange(0, 2).Draw(rt, "name"), rapid.IntRange(1, piece).Draw(rt, "bytes"),
			}
		}), 1, 80).Draw(rt, "steps")
		var fault error
		synctest.Test(t, func(*testing.T) {
			m := &model{Pool: pool.New(int64(pieces)*piece, time.Now), pieces: pieces}
			for _, s := range steps {
				if fault == nil {
					fault = errors.Join(m.do(s), m.check())
				}
			}
			for len(m.in) > 0 { // who waits goes when what it waits for has come
				m.leave(max(0, slices.IndexFunc(m.in, func(g *guest) bool { return g.taking == nil })))
				fault = errors.Join(fault, m.check())
			}
		})
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}

// model is what must be so of a pool and its guests.
type model struct {
	*pool.Pool
	pieces int
	in     []*guest
}

func (m *model) leave(i int) {
	m.in[i].Leave()
	m.in = slices.Delete(m.in, i, i+1)
}

func (m *model) do(s step) error {
	time.Sleep(time.Duration(s.ms) * time.Millisecond)
	i := s.who % (len(m.in) + 1)
	if i == len(m.in) {
		m.in = append(m.in, enter(m.Pool, strconv.Itoa(s.name)))
		return nil
	}
	g := m.in[i]
	switch {
	case g.taking != nil: // it only waits
	case s.what == 0:
		m.leave(i)
	case s.what == 1 && !g.ended:
		g.whole = s.bytes%9 == 0
		return g.Came(s.bytes, g.whole)
	case !g.whole:
		held, own := m.held()
		was := g.ended
		if err := g.take(); held < m.pieces && own[g.name] < m.pieces/2 && !was && err != nil {
			return fmt.Errorf("with room: %w", err)
		}
	}
	return nil
}

func (m *model) held() (all int, of map[string]int) {
	of = map[string]int{}
	for _, g := range m.in {
		if g.taking != nil {
			_ = g.ends()
		}
		all += g.pieces
		of[g.name] += g.pieces
	}
	return all, of
}

func (m *model) check() error {
	all, of := m.held()
	if all > m.pieces || m.Held() != int64(all)*piece {
		return fmt.Errorf("%d pieces are held of %d; the pool says %d bytes", all, m.pieces, m.Held())
	}
	waiting, coming := 0, 0
	for _, g := range m.in {
		if of[g.name] > m.pieces/2 {
			return fmt.Errorf("%s holds %d of %d", g.name, of[g.name], m.pieces)
		}
		if g.taking != nil {
			waiting++
		}
		if g.ended || g.whole {
			coming += g.pieces
		}
	}
	if waiting > coming {
		return fmt.Errorf("%d wait, and %d pieces come back", waiting, coming)
	}
	return nil
}
