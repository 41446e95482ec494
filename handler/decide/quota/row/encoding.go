package row

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// ledgerRow is the row in each partition of the ledger: a partition takes 2,000 operations
	// a second, and nothing needs two rows at once.
	ledgerRow = "ledger"
	// format is raised when the meaning of a row changes, so that an older
	// instance refuses it instead of misreading it.
	format = 4
	// keptAttempts is how many writes a lost answer may lie back.
	keptAttempts = 32
)

// content is what a row says.
type content struct {
	window.State
	attempts attempts
	layout   Layout  // the one that the row is of
	next     *Layout // not nil: the row is closed, and this is where it leads
}

func (c content) clone() content {
	c.State = c.Clone()
	return c
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
func (c *content) parts() map[string]any {
	return map[string]any{
		"usage": &c.Usage, "health": &c.Health, "queues": &c.Queues, "callers": &c.Callers, "pause": &c.Pause,
		"layout": &c.layout, "next": &c.next,
	}
}

func (c content) encode() (map[string]any, error) {
	values := map[string]any{"format": int64(format), "attempts": string(c.attempts)}
	for name, part := range c.parts() {
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
func decode(e store.Entity) (c content, err error) {
	if version := e.Values["format"]; version != int64(format) {
		return content{}, fmt.Errorf("quota ledger has format %v, not %d", version, format)
	}
	made, found := e.Values["attempts"].(string)
	if !found {
		return content{}, corrupt(errors.New("attempts are missing"))
	}
	c.attempts = attempts(made)
	for name, part := range c.parts() {
		text, _ := e.Values[name].([]byte)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(part); err != nil {
			return content{}, corrupt(fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.layout.Shards < 1 || c.layout.Homes < c.layout.Shards {
		return content{}, corrupt(fmt.Errorf("its layout is %+v", c.layout))
	}
	if err := c.Check(); err != nil {
		return content{}, corrupt(err)
	}
	return c, nil
}

func corrupt(err error) error { return fmt.Errorf("quota ledger is corrupt: %w", err) }
