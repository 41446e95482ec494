package row

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	partition = "quota"
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
		"health": &c.Health, "queues": &c.Queues, "callers": &c.Callers, "pause": &c.Pause, "layout": &c.layout, "next": &c.next,
	}
}

func (c content) encode() (map[string]any, error) {
	values := map[string]any{"format": int64(format), "attempts": string(c.attempts), "usage": encodeUsage(c.Usage)}
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
	made, ok1 := e.Values["attempts"].(string)
	used, ok2 := e.Values["usage"].([]byte)
	if !ok1 || !ok2 {
		return content{}, corrupt(errors.New("a property is missing or of another type"))
	}
	c.attempts = attempts(made)
	if c.Usage, err = decodeUsage(used); err != nil {
		return content{}, corrupt(err)
	}
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

// encodeUsage is the time of the newest booking in ms, then of each booking the seconds
// since the one before and its tokens, all of them as varints.
func encodeUsage(u window.Usage) []byte {
	text := binary.AppendUvarint(make([]byte, 0, 16+4*len(u.Bookings)), uint64(u.Newest))
	before := window.Instant(0)
	for _, b := range u.Bookings {
		text = binary.AppendUvarint(binary.AppendUvarint(text, uint64(b.At-before)/1000), uint64(b.Tokens))
		before = b.At
	}
	return text
}

func decodeUsage(text []byte) (u window.Usage, err error) {
	number := func() (v uint64) {
		v, n := binary.Uvarint(text)
		if n <= 0 || v > math.MaxInt64/1000 {
			err, text = errors.New("its usage is cut off"), nil
			return 0
		}
		text = text[n:]
		return v
	}
	u.Newest, u.Bookings = window.Instant(number()), make([]window.Booking, 0, len(text)/2)
	for at := window.Instant(0); len(text) > 0; {
		at += window.Instant(number()) * 1000
		u.Bookings = append(u.Bookings, window.Booking{At: at, Tokens: int(number())})
	}
	return u, err
}
