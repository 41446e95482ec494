package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// The row.
const (
	partition = "quota"
	// format is raised when the meaning of a row changes, so that an older
	// instance refuses it instead of misreading it.
	format = 4
	// keptAttempts is how many writes a lost answer may lie back.
	keptAttempts = 32
)

// ledger is the content of a row.
type ledger struct {
	usage    usage
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
	b.use, b.usage = b.use.clone(), b.usage.clone()
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

// parts are the properties of a row that are JSON.
func (b *ledger) parts() map[string]any {
	return map[string]any{
		"health": &b.health, "desks": &b.desks, "use": &b.use, "layout": &b.layout, "next": &b.next, "pause": &b.pause,
	}
}

func (b ledger) encode() (map[string]any, error) {
	values := map[string]any{"format": int64(format), "attempts": string(b.attempts), "usage": b.usage.encode()}
	for name, part := range b.parts() {
		text, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("write quota ledger: %w", err)
		}
		values[name] = text
	}
	return values, nil
}

// decode refuses whatever encode cannot have written: a misread row would let too many
// calls through.
func decode(e store.Entity) (b ledger, err error) {
	if version := e.Values["format"]; version != int64(format) {
		return ledger{}, fmt.Errorf("quota ledger has format %v, not %d", version, format)
	}
	made, ok1 := e.Values["attempts"].(string)
	used, ok2 := e.Values["usage"].([]byte)
	if !ok1 || !ok2 {
		return ledger{}, errors.New("quota ledger is corrupt: a property is missing or of another type")
	}
	b.attempts = attempts(made)
	if b.usage, err = decodeUsage(used); err != nil {
		return ledger{}, err
	}
	for name, part := range b.parts() {
		text, _ := e.Values[name].([]byte)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(part); err != nil {
			return ledger{}, fmt.Errorf("quota ledger is corrupt: %s: %w", name, err)
		}
	}
	if b.layout.Shards < 1 || b.layout.Homes < b.layout.Shards {
		return ledger{}, fmt.Errorf("quota ledger is corrupt: its layout is %+v", b.layout)
	}
	for caller, counts := range b.use.Callers {
		if len(counts) != capBuckets {
			return ledger{}, fmt.Errorf("quota ledger is corrupt: %d buckets of use by %q", len(counts), caller)
		}
	}
	return b, nil
}
