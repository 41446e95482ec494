// Package caller says who calls and what the caller may do.
//
// In: the headers of a request. Out: a Caller with its Policy, and for a request
// signed in ACS's way the SHA-256 that its body must have. It reads the table of
// callers and keeps it as roster does; who is not in it but proves that it may be, has
// it read anew. It changes the table only for the operator (Add, Rotate, Revoke, Import);
// package usage notes there when keys are used. It writes no answers: api/rest does,
// and it knows no keys of Entra ID: package entra does.
//
// No key is stored. A key is ph_NAME_GENERATION_MAC, where MAC is the HMAC-SHA256
// of name and generation under a master secret, so a stolen table opens nothing.
// The table holds for each caller its policy and which generations are alive, at
// most two, so that a caller can change its key without a gap. The row of a revoked
// caller stays, without a generation: one made anew under its name begins with the
// next, so that no key ever comes back to life.
package caller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/roster"
	"github.com/posthorn/posthorn/handler/accept/usage"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// CacheLife is how long a policy is believed.
	CacheLife = roster.Life
	// MaxGenerations may be alive at once: the old key and the new one.
	MaxGenerations = 2

	partition = "callers"
)

// Caller is one known sender of requests.
type Caller struct {
	Name        string
	Generations []int64 // alive, ascending
	Policy      Policy
	// Pause, if not nil, says that what the caller sent stays where it is.
	Pause *problem.Pause
	// Made is when each key that is alive was; of keys made long ago it is not known.
	Made map[int64]time.Time

	last       int64 // generation that was ever given out
	production bool
	etag       store.ETag
}

// Terms names what c may do: it changes with the policy.
func (c Caller) Terms() string {
	text, _ := json.Marshal(c.Policy) // strings and numbers: it always encodes
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Table is where callers are kept. See package store for the errors; a call that
// ends with ErrUnavailable may be repeated.
type Table interface {
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	List(ctx context.Context, partition string) ([]store.Entity, error)
}

// Registry knows the callers of one deployment. It is safe for concurrent use.
type Registry struct {
	table      Table
	masters    Masters
	production bool
	now        func() time.Time
	tokens     Tokens      // nil: none are taken
	used       *usage.Days // nil: no use is noted

	list *roster.Roster[Caller]
}

// NewRegistry reads callers from t and proves their keys with masters. In
// production an empty list of recipient domains means all of them. now is a
// local clock.
func NewRegistry(t Table, masters Masters, production bool, now func() time.Time) *Registry {
	r := &Registry{table: t, masters: masters, production: production, now: now}
	r.list = roster.New(now, r.load)
	return r
}

// load reads all rows, those of revoked callers too: they have no generation, and
// so no key.
func (r *Registry) load(ctx context.Context) (map[string]Caller, error) {
	rows, err := r.table.List(ctx, partition)
	if err != nil {
		return nil, unavailable(fmt.Errorf("list callers: %w", err))
	}
	known := make(map[string]Caller, len(rows))
	for _, row := range rows {
		c, err := decode(row)
		if err != nil {
			return nil, unavailable(err)
		}
		c.production = r.production
		known[c.Name] = c
	}
	return known, nil
}

// Callers lists the callers by name, freshly read.
func (r *Registry) Callers(ctx context.Context) ([]Caller, error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(byName(known), func(c Caller) bool { return len(c.Generations) == 0 }), nil
}

func byName(known map[string]Caller) []Caller {
	return slices.SortedFunc(maps.Values(known), func(a, b Caller) int { return strings.Compare(a.Name, b.Name) })
}

// Secrets are what `callers add` and `callers rotate` print once.
type Secrets struct {
	Key       string // for Authorization: Bearer
	AccessKey string // for ACS's SDKs; empty unless the policy allows HMAC
}

func checkName(name string) error {
	if !isName(name) {
		return problem.New(problem.InvalidRequest, "%q is no name for a caller: use 1 to 32 of a-z, 0-9 and -, with no - at either end.", name)
	}
	return nil
}

// Add makes a caller. A name that is taken is a problem of kind InvalidRequest.
func (r *Registry) Add(ctx context.Context, name string, p Policy) (Secrets, error) {
	if err := checkName(name); err != nil {
		return Secrets{}, err
	}
	p, err := p.normalised()
	if err != nil {
		return Secrets{}, err
	}
	if err := r.free(ctx, name, p); err != nil {
		return Secrets{}, err
	}
	c := Caller{Name: name, Policy: p}
	c.next(r.now())
	e, err := encode(c)
	if err != nil {
		return Secrets{}, err
	}
	_, err = r.table.Insert(ctx, e)
	if errors.Is(err, store.ErrExists) {
		return r.revive(ctx, c)
	}
	if err != nil {
		return Secrets{}, unavailable(fmt.Errorf("add caller: %w", err))
	}
	return r.secrets(c), nil
}

// revive makes a caller anew under the name of a revoked one.
func (r *Registry) revive(ctx context.Context, c Caller) (Secrets, error) {
	taken := false
	err := r.change(ctx, c.Name, true, func(stored *Caller) {
		if taken = len(stored.Generations) > 0; taken {
			return
		}
		stored.Policy, stored.Pause = c.Policy, nil
		stored.next(r.now())
		c = *stored
	})
	if taken {
		return Secrets{}, problem.New(problem.InvalidRequest, "A caller %q is there already. Rotate its key, set its policy, or revoke it first.", c.Name)
	}
	if err != nil {
		return Secrets{}, err
	}
	return r.secrets(c), nil
}

// SetPolicy gives a caller another policy. Its keys stay.
func (r *Registry) SetPolicy(ctx context.Context, name string, p Policy) error {
	p, err := p.normalised()
	if err != nil {
		return err
	}
	if err := r.free(ctx, name, p); err != nil {
		return err
	}
	return r.change(ctx, name, false, func(c *Caller) { c.Policy = p })
}

// Rotate gives a caller a new key. The one before it stays alive until the next
// Rotate, or until Retire.
func (r *Registry) Rotate(ctx context.Context, name string) (Secrets, error) {
	var c Caller
	err := r.change(ctx, name, false, func(stored *Caller) {
		stored.next(r.now())
		c = *stored
	})
	if err != nil {
		return Secrets{}, err
	}
	return r.secrets(c), nil
}

// next gives c another key.
func (c *Caller) next(now time.Time) {
	c.last++
	c.Generations = append(c.Generations, c.last)
	if n := len(c.Generations); n > MaxGenerations {
		c.Generations = c.Generations[n-MaxGenerations:]
	}
	made := map[int64]time.Time{c.last: now.UTC().Truncate(time.Second)}
	for _, g := range c.Generations {
		if at, known := c.Made[g]; known {
			made[g] = at
		}
	}
	c.Made = made
}

// Retire ends all keys of a caller but the newest.
func (r *Registry) Retire(ctx context.Context, name string) error {
	return r.change(ctx, name, false, func(c *Caller) {
		c.Generations = c.Generations[len(c.Generations)-1:]
	})
}

// Revoke ends a caller with all its keys.
func (r *Registry) Revoke(ctx context.Context, name string) error {
	return r.change(ctx, name, false, func(c *Caller) { c.Generations, c.Made, c.Policy, c.Pause = nil, nil, Policy{}, nil })
}

// Pause lets what a caller sent stay where it is, everywhere within CacheLife. Its new
// messages wait too or, with refuse, are refused. reason is shown to the caller. A caller
// that is paused already gets the new reason. Errors: NotFound, InvalidRequest,
// Unavailable.
func (r *Registry) Pause(ctx context.Context, name, reason string, refuse bool) error {
	pause, err := problem.NewPause(reason, refuse, r.now())
	if err != nil {
		return err
	}
	return r.change(ctx, name, false, func(c *Caller) { c.Pause = pause })
}

// Suspend pauses a caller for reason, so that its new messages are refused, unless it is
// paused or revoked already. Errors: InvalidRequest, Unavailable.
func (r *Registry) Suspend(ctx context.Context, name, reason string) error {
	pause, err := problem.NewPause(reason, true, r.now())
	if err != nil {
		return err
	}
	pause.Auto = true
	err = r.change(ctx, name, false, func(c *Caller) {
		if c.Pause == nil {
			c.Pause = pause
		}
	})
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// Resume ends the pause of a caller, if there is one. What waits goes on within twice
// CacheLife. Errors are Pause's.
func (r *Registry) Resume(ctx context.Context, name string) error {
	return r.change(ctx, name, false, func(c *Caller) { c.Pause = nil })
}

// change rewrites the row of a caller, or with revoked that of a revoked one too.
func (r *Registry) change(ctx context.Context, name string, revoked bool, f func(*Caller)) error {
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	c, ok := known[name]
	if !ok || len(c.Generations) == 0 && !revoked {
		return problem.New(problem.NotFound, "There is no caller %q.", name)
	}
	f(&c)
	e, err := encode(c)
	if err != nil {
		return err
	}
	e.ETag = c.etag
	if _, err := r.table.Replace(ctx, e); err != nil {
		if errors.Is(err, store.ErrChanged) {
			return problem.New(problem.InvalidRequest, "The caller %q was changed at the same time. Look at it, then try again.", name)
		}
		return unavailable(fmt.Errorf("change caller: %w", err))
	}
	return nil
}

func (r *Registry) secrets(c Caller) Secrets {
	g := c.Generations[len(c.Generations)-1]
	s := Secrets{Key: r.masters.Key(c.Name, g)}
	if c.Policy.HMAC {
		s.AccessKey = r.masters.AccessKey(c.Name, g)
	}
	return s
}

// Key is that key of a caller which has been alive the longest; "" if none is. An
// operator who uses it makes no newer key look as if its clients had changed over to it.
func (r *Registry) Key(c Caller) string {
	if len(c.Generations) == 0 {
		return ""
	}
	return r.masters.Key(c.Name, c.Generations[0])
}

func encode(c Caller) (store.Entity, error) {
	generations, err := json.Marshal(c.Generations)
	if err != nil {
		return store.Entity{}, fmt.Errorf("encode generations: %w", err)
	}
	e := store.Entity{Partition: partition, Row: c.Name, Values: map[string]any{
		"policy": string(store.JSON(c.Policy)), "generations": string(generations), "last": c.last,
	}}
	if len(c.Made) > 0 {
		made, err := json.Marshal(c.Made)
		if err != nil {
			return store.Entity{}, fmt.Errorf("encode dates: %w", err)
		}
		e.Values["made"] = string(made)
	}
	if c.Pause != nil {
		pause, err := json.Marshal(c.Pause)
		if err != nil {
			return store.Entity{}, fmt.Errorf("encode pause: %w", err)
		}
		e.Values["pause"] = string(pause)
	}
	return e, nil
}

func decode(e store.Entity) (Caller, error) {
	c := Caller{Name: e.Row, etag: e.ETag}
	policy, _ := e.Values["policy"].(string)
	if err := json.Unmarshal([]byte(policy), &c.Policy); err != nil {
		return Caller{}, fmt.Errorf("decode policy of caller %s: %w", e.Row, err)
	}
	generations, _ := e.Values["generations"].(string)
	if err := json.Unmarshal([]byte(generations), &c.Generations); err != nil {
		return Caller{}, fmt.Errorf("decode generations of caller %s: %w", e.Row, err)
	}
	c.last, _ = e.Values["last"].(int64)
	if made, ok := e.Values["made"].(string); ok {
		if err := json.Unmarshal([]byte(made), &c.Made); err != nil {
			return Caller{}, fmt.Errorf("decode dates of caller %s: %w", e.Row, err)
		}
	}
	if pause, ok := e.Values["pause"].(string); ok {
		if err := json.Unmarshal([]byte(pause), &c.Pause); err != nil {
			return Caller{}, fmt.Errorf("decode pause of caller %s: %w", e.Row, err)
		}
	}
	return c, nil
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The list of callers could not be read or written. Try again shortly.", err)
}
