package mem

import (
	"encoding/binary"
	"io"
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

// unpack makes a map of what pack has made.
func unpack(values string) map[string]any {
	u := unpacker{strings.NewReader(values), values}
	n, _ := binary.ReadUvarint(u)
	all := make(map[string]any, n)
	for u.Len() > 0 {
		name := u.text()
		switch kind, _ := u.ReadByte(); kind {
		case stringValue:
			all[name] = u.text()
		case boolValue:
			v, _ := u.ReadByte()
			all[name] = v == 1
		case int64Value:
			all[name] = u.number()
		case bytesValue:
			all[name] = append([]byte{}, u.text()...)
		case timeValue:
			seconds := u.number()
			all[name] = time.Unix(seconds, u.number()*100).UTC()
		}
	}
	return all
}

// unpacker reads what is whole by construction, so that no read fails.
type unpacker struct {
	*strings.Reader
	all string
}

func (u unpacker) number() int64 {
	n, _ := binary.ReadVarint(u)
	return n
}

func (u unpacker) text() string {
	n, _ := binary.ReadUvarint(u)
	at := len(u.all) - u.Len()
	_, _ = u.Seek(int64(n), io.SeekCurrent)
	return u.all[at : at+int(n)]
}
