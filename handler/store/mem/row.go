package mem

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// row is a row as it is kept: one text without pointers, since a map of boxed
// values takes three times as much and a collector's time besides. What comes out
// shares nothing with what went in, and is what a service would give back: times
// in UTC and in its unit of 100 ns, bytes that are never nil.
type row struct {
	write  int // names the version
	values string
}

// The kinds of values, as the first byte of each says.
const (
	stringValue = iota
	boolValue
	int64Value
	bytesValue
	timeValue
)

func (r row) etag() store.ETag { return store.ETag(`W/"` + strconv.Itoa(r.write) + `"`) }

// entity is the row as it is given out; at is its place.
func (r row) entity(at string) store.Entity {
	partition, name, _ := strings.Cut(at, "\x00")
	return store.Entity{Partition: partition, Row: name, ETag: r.etag(), Values: unpack(r.values)}
}

// pack takes what limits.Entity has accepted, and puts it behind b.
func pack(b []byte, values map[string]any) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for name, v := range values {
		b = appendText(b, name)
		switch v := v.(type) {
		case string:
			b = appendText(append(b, stringValue), v)
		case bool:
			b = append(b, boolValue, 0)
			if v {
				b[len(b)-1] = 1
			}
		case int64:
			b = binary.AppendVarint(append(b, int64Value), v)
		case []byte:
			b = appendText(append(b, bytesValue), v)
		case time.Time:
			b = binary.AppendVarint(append(b, timeValue), v.Unix())
			b = binary.AppendVarint(b, int64(v.Nanosecond()/100))
		}
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// unpack makes a map of what pack has made, which is whole by construction.
func unpack(values string) map[string]any {
	u := unpacker(values)
	all := make(map[string]any, u.uvarint())
	for u != "" {
		name := u.text()
		switch u.first() {
		case stringValue:
			all[name] = u.text()
		case boolValue:
			all[name] = u.first() == 1
		case int64Value:
			all[name] = u.varint()
		case bytesValue:
			all[name] = append([]byte{}, u.text()...)
		case timeValue:
			seconds := u.varint()
			all[name] = time.Unix(seconds, u.varint()*100).UTC()
		}
	}
	return all
}

// unpacker is what is still to be read. It reads a text without a copy, which
// binary.Uvarint does not: simulations spend much of their time here.
type unpacker string

func (u *unpacker) first() byte {
	b := (*u)[0]
	*u = (*u)[1:]
	return b
}

func (u *unpacker) uvarint() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := u.first()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

// varint is as in encoding/binary: the sign stands in the last bit.
func (u *unpacker) varint() int64 {
	n := u.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (u *unpacker) text() string {
	n := u.uvarint()
	text := string((*u)[:n])
	*u = (*u)[n:]
	return text
}
