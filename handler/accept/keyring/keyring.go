// Package keyring keeps those who hold keys in a table: callers, and hooks.
//
// In: rows of a table, keys of requests, and the changes that the operator makes.
// Out: the list of holders, as fresh as its reader needs it; proof that this deployment has
// made a key; the days on which keys were used; a document that another deployment takes
// over. It knows no policy and no request: packages caller and hook do.
//
// No key is stored. A key is PREFIX_NAME_GENERATION_MAC. The MAC is the HMAC-SHA256 of name
// and generation under a master secret, so a stolen table opens nothing. The table says
// which generations are alive, at most two, so that a key is changed without a gap. The row
// of a holder that has ended stays, without a generation. A holder made anew under its name
// begins with the next one, so no key ever comes back to life.
package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Holder is what a caller and a hook have in common; both embed it. A row and an export
// have its JSON.
type Holder struct {
	Name        string  `json:"name"`
	Generations []int64 `json:"generations"` // of keys that are alive, ascending
	Last        int64   `json:"last"`        // generation of the newest key that was ever made
	Began       int64   `json:"began"`       // generation of the first key since it was made, or made anew
	// Made is when each key that is alive was made.
	Made map[int64]time.Time `json:"made,omitempty"`
	// Pause, if not nil, says that what the holder sent stays where it is.
	Pause *problem.Pause `json:"pause,omitempty"`

	etag store.ETag
}

// Alive says whether h has a key. One that was ended has none.
func (h *Holder) Alive() bool { return len(h.Generations) > 0 }

// holder makes every *T that embeds a Holder a Held.
func (h *Holder) holder() *Holder { return h }

// Held is a pointer to a caller or a hook.
type Held[T any] interface {
	*T
	Alive() bool
	holder() *Holder
}

// Kind is what callers and hooks differ in. T is the type of a caller or of a hook, and its
// JSON is all that is stored.
type Kind[T any] struct {
	Noun   string // caller or hook
	Prefix string // of its keys
	End    string // the operator's command that ends it: revoke or remove
	// Refuses says that new messages of a suspended holder are refused; otherwise they wait.
	Refuses bool
	// Normalise returns a T in its normal form. What cannot work beside those that are known is a
	// problem of kind InvalidRequest.
	Normalise func(known map[string]T, t T) (T, error)
	// Init, if not nil, sets what is not stored.
	Init func(*T)
	// Public, if not nil, takes out what does not leave the deployment.
	Public func(T) T
	// Merge, if not nil, returns what comes by an import with what stays of the one there.
	Merge func(there, comes T) T
	// Todo, if not nil, says what the operator must still do after an import; "" is nothing.
	Todo func(T) string
}

// Table is where holders are kept. See package store for the errors; a call that ends with
// ErrUnavailable may be repeated.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	List(ctx context.Context, partition string) ([]store.Entity, error)
}

// Keyring has the callers, or the hooks, of one deployment. It is safe for concurrent use.
type Keyring[T any, P Held[T]] struct {
	kind    Kind[T]
	table   Table
	masters Masters
	now     func() time.Time
	days    *lastUses // nil: no use is noted
	cache   *cache[T]
}

// New reads holders from t and proves their keys with masters. now is a local clock.
func New[T any, P Held[T]](kind Kind[T], t Table, masters Masters, now func() time.Time) *Keyring[T, P] {
	k := &Keyring[T, P]{kind: kind, table: t, masters: masters, now: now}
	k.cache = newCache(now, k.load)
	return k
}

func (k *Keyring[T, P]) plural() string { return k.kind.Noun + "s" }

// load reads all rows, with the ended holders.
func (k *Keyring[T, P]) load(ctx context.Context) (map[string]T, error) {
	rows, err := k.table.List(ctx, k.plural())
	if err != nil {
		return nil, k.unavailable(fmt.Errorf("list %s: %w", k.plural(), err))
	}
	known := make(map[string]T, len(rows))
	for _, row := range rows {
		t, err := decode[T](row)
		if err != nil {
			return nil, k.unavailable(fmt.Errorf("decode %s %s: %w", k.kind.Noun, row.Row, err))
		}
		P(&t).holder().etag = row.ETag
		if k.kind.Init != nil {
			k.kind.Init(&t)
		}
		known[row.Row] = t
	}
	return known, nil
}

// All are the holders that are alive, by name, freshly read.
func (k *Keyring[T, P]) All(ctx context.Context) ([]T, error) {
	known, err := k.load(ctx)
	return slices.DeleteFunc(k.byName(known), func(t T) bool { return !P(&t).Alive() }), err
}

func (k *Keyring[T, P]) byName(known map[string]T) []T {
	return slices.SortedFunc(maps.Values(known), func(a, b T) int { return strings.Compare(P(&a).holder().Name, P(&b).holder().Name) })
}

// Read is a holder that is alive, freshly read; NotFound without one.
func (k *Keyring[T, P]) Read(ctx context.Context, name string) (T, error) {
	known, err := k.load(ctx)
	return k.alive(known, name, err)
}

// Named is Read from the list in memory. While storage is away, the last list holds for Grace.
func (k *Keyring[T, P]) Named(ctx context.Context, name string) (T, error) {
	known, err := k.Known(ctx)
	return k.alive(known, name, err)
}

// Current is Named, but Unavailable where the list may have changed since it was read: for
// what leaves without a request.
func (k *Keyring[T, P]) Current(ctx context.Context, name string) (T, error) {
	known, err := k.cache.fresh(ctx)
	return k.alive(known, name, k.unavailable(err))
}

func (k *Keyring[T, P]) alive(known map[string]T, name string, err error) (T, error) {
	t := known[name]
	switch {
	case err != nil:
		return *new(T), err
	case !P(&t).Alive():
		return *new(T), k.missing(name)
	}
	return t, nil
}

func (k *Keyring[T, P]) missing(name string) error {
	return problem.New(problem.NotFound, "There is no %s %q.", k.kind.Noun, name)
}

// Known is the list by name, ended holders included, at most CacheLife old. While storage is
// away, it is at most Grace old.
func (k *Keyring[T, P]) Known(ctx context.Context) (map[string]T, error) {
	known, err := k.cache.known(ctx)
	return known, k.unavailable(err)
}

// Since is the list as it was after a moment. It is read once a second at most, so that may
// take as long.
func (k *Keyring[T, P]) Since(ctx context.Context, m Moment) (map[string]T, error) {
	known, err := k.cache.since(ctx, m)
	return known, k.unavailable(err)
}

// Moment is now.
func (k *Keyring[T, P]) Moment() Moment { return k.cache.moment() }

// CanReadNow says whether the list can be read at once.
func (k *Keyring[T, P]) CanReadNow() bool { return k.cache.rested() }

// NoteUses lets the days be noted on which keys are used. It is called before the first
// NoteUse, if at all.
func (k *Keyring[T, P]) NoteUses(log *slog.Logger) { k.days = newDays(k.table, k.now, log) }

// NoteUse says that a key has just been used. It waits for nothing.
func (k *Keyring[T, P]) NoteUse(ctx context.Context, id KeyID) { k.days.note(ctx, id) }

// LastUses is the day, at midnight UTC, on which each key was last used, freshly read. A key
// that is not in it was never used.
func (k *Keyring[T, P]) LastUses(ctx context.Context) (map[KeyID]time.Time, error) {
	last, err := k.days.last(ctx)
	return last, k.unavailable(err)
}

func (k *Keyring[T, P]) unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The list of "+k.plural()+" could not be read or written. Try again shortly.", err)
}

// partRunes keep one value of a row below its limit, whatever the characters are.
const partRunes = store.TextChars / 2

// encode cuts the JSON of t into as many values as it needs.
func (k *Keyring[T, P]) encode(t T) store.Entity {
	h := P(&t).holder()
	e := store.Entity{Partition: k.plural(), Row: h.Name, ETag: h.etag, Values: map[string]any{}}
	n := 0
	for part := range slices.Chunk([]rune(string(store.JSON(t))), partRunes) {
		e.Values["json"+strconv.Itoa(n)] = string(part)
		n++
	}
	return e
}

func decode[T any](e store.Entity) (t T, err error) {
	var text strings.Builder
	for n := 0; ; n++ {
		part, ok := e.Values["json"+strconv.Itoa(n)].(string)
		if !ok {
			return t, json.Unmarshal([]byte(text.String()), &t)
		}
		text.WriteString(part)
	}
}
