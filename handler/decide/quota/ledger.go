package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// The row.
const (
	partition = "quota"
	// format is raised when the meaning of a row changes, so that an older
	// instance refuses it instead of misreading it. Format 1 had a log only.
	format = 2
	// pausedFormat is that of a row that is paused, which an older instance refuses.
	pausedFormat = 3
	// keptAttempts is how many writes a lost answer may lie back.
	keptAttempts = 32
)

// ledger is the content of a row.
type ledger struct {
	tally    tally
	attempts attempts
	health   health
	desks    []desk // the row's own shard's first
	use      use
	layout   layout  // the one that the row is of
	next     *layout // not nil: the row is closed, and this is where it leads
	pause    *problem.Pause
}

func (b ledger) clone() ledger {
	b.desks = slices.Clone(b.desks)
	for i := range b.desks {
		b.desks[i] = b.desks[i].clone()
	}
	b.use, b.tally = b.use.clone(), b.tally.own()
	return b
}

func (b ledger) sign(id string) ledger {
	b.attempts = b.attempts.with(id)
	return b
}

// attempts are the ids of the last writes, newest last, as the row has them.
type attempts string

func (a attempts) with(id string) attempts {
	if a == "" {
		return attempts(id)
	}
	for n := strings.Count(string(a), " ") + 1; n >= keptAttempts; n-- {
		a = a[strings.IndexByte(string(a), ' ')+1:]
	}
	return a + attempts(" "+id)
}

func (a attempts) has(id string) bool {
	for made := range strings.SplitSeq(string(a), " ") {
		if made == id {
			return true
		}
	}
	return false
}

func (b ledger) encode() (map[string]any, error) {
	values := map[string]any{
		"format":       int64(format),
		"attempts":     string(b.attempts),
		"backoffUntil": int64(b.health.BackoffUntil),
	}
	if err := b.tally.encode(values); err != nil {
		return nil, err
	}
	well := b.health
	well.BackoffUntil = 0
	parts := [...]struct {
		name    string
		value   any
		nothing bool // said without a look at it: most rows have none of these
		text    string
	}{
		{"health", b.health, reflect.ValueOf(well).IsZero(), "{}"},
		{"desks", b.desks, len(b.desks) == 0, "null"},
		{"next", b.next, b.next == nil, "null"},
		{"layout", b.layout, false, ""},
	}
	for _, part := range parts {
		text := []byte(part.text)
		if !part.nothing {
			var err error
			if text, err = json.Marshal(part.value); err != nil {
				return nil, fmt.Errorf("write quota ledger: %w", err)
			}
		}
		values[part.name] = text
	}
	values["use"] = b.use.encode()
	if b.pause != nil {
		text, err := json.Marshal(b.pause)
		if err != nil {
			return nil, fmt.Errorf("write quota ledger: %w", err)
		}
		values["pause"], values["format"] = text, int64(pausedFormat)
	}
	return values, nil
}

// decode refuses whatever encode cannot have written: a misread log would let
// too many calls through.
func decode(e store.Entity) (ledger, error) {
	version, ok1 := e.Values["format"].(int64)
	made, ok2 := e.Values["attempts"].(string)
	backoff, ok3 := e.Values["backoffUntil"].(int64)
	switch {
	case !ok1 || !ok2 || !ok3:
		return ledger{}, errors.New("quota ledger is corrupt: a property is missing or of another type")
	case version < 1 || version > pausedFormat:
		return ledger{}, fmt.Errorf("quota ledger has format %d, not %d", version, format)
	case backoff < 0:
		return ledger{}, fmt.Errorf("quota ledger is corrupt: backoffUntil is %d", backoff)
	}
	b := ledger{attempts: attempts(made)}
	var err error
	if b.tally, err = decodeTally(e.Values); err != nil {
		return ledger{}, err
	}
	parts := map[string]any{"health": &b.health, "desks": &b.desks, "use": &b.use, "layout": &b.layout, "next": &b.next}
	if version == pausedFormat {
		parts["pause"] = &b.pause
	}
	for name, part := range parts {
		text, ok := e.Values[name].([]byte)
		if !ok && version == 1 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(part); err != nil {
			return ledger{}, fmt.Errorf("quota ledger is corrupt: %s: %w", name, err)
		}
	}
	b.health.BackoffUntil = instant(backoff)
	if version == 1 {
		b.layout = layout{Shards: 1, Homes: 1}
	}
	if _, isLog := b.tally.(log); isLog == b.layout.Rings || b.layout.Shards < 1 || b.layout.Homes < b.layout.Shards {
		return ledger{}, fmt.Errorf("quota ledger is corrupt: its layout is %+v", b.layout)
	}
	for caller, counts := range b.use.Callers {
		if len(counts) != capBuckets {
			return ledger{}, fmt.Errorf("quota ledger is corrupt: %d buckets of use by %q", len(counts), caller)
		}
	}
	return b, nil
}

func decodeTally(values map[string]any) (tally, error) {
	if text, ok := values["rings"].([]byte); ok {
		return decodeRings(text)
	}
	text, ok := values["log"].([]byte)
	if !ok {
		return nil, errors.New("quota ledger is corrupt: its log is missing or of another type")
	}
	return decodeLog(text)
}
