package record

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/store/expire"
)

// A message that its caller did not name has an id that Posthorn makes: a UUID of version
// 8. Its first 16 bits are the last day, in days since 1970, on which its record is needed.
// The next 16 bits check the rest: an id of another maker passes as one of ours once in
// 100,000 times, and then costs a read more. Its operation id carries the day the same way.
const (
	day = 24 * time.Hour
	// firstDay and lastDay bound the days that an id may carry: 2000 to 2125.
	firstDay, lastDay = 10_957, 56_978
)

// idMargin is what a made id lives longer than the record needs: the clock of an
// instance, which makes the id, may be wrong.
const idMargin = time.Hour

// OperationID is ACS's name for the message of a caller's id, and the key of its record. Two
// callers may choose the same id: ACS must see two.
func OperationID(caller, id string) string {
	u := derived("operation", caller, id)
	if d, made := dayOf(id); made {
		stamp(&u, d)
	}
	return u.String()
}

// DerivedID makes an id of a purpose and two strings, the first of which has no NUL.
func DerivedID(purpose, a, b string) string {
	u := derived(purpose, a, b)
	return u.String()
}

// derived is a UUID of version 8 (RFC 9562 section 5.8) that does not pass as a made one.
func derived(purpose, a, b string) uuid.UUID {
	u := uuid.NewHash(sha256.New(), uuid.Nil, []byte("posthorn "+purpose+"\x00"+a+"\x00"+b), 8)
	if _, made := dayOf(u.String()); made {
		u[2] ^= 1
	}
	return u
}

// MakeID makes the id of a message that its caller did not name, and that may be sent until
// last. random is a text that no other message has.
func (b *Store) MakeID(random string, last time.Time) string {
	u := derived("id", "", random)
	stamp(&u, b.lastDay(last))
	return u.String()
}

// lastDay is when the record of a message that may be sent until last is needed for the
// last time.
func (b *Store) lastDay(last time.Time) uint16 { return dayNumber(last.Add(b.history + idMargin)) }

func dayNumber(t time.Time) uint16 { return uint16(t.Unix() / int64(day/time.Second)) }

func stamp(u *uuid.UUID, d uint16) {
	binary.BigEndian.PutUint16(u[:2], d)
	binary.BigEndian.PutUint16(u[2:4], check(*u))
}

func check(u uuid.UUID) uint16 {
	h := sha256.Sum256(append(u[:2:2], u[4:]...))
	return binary.BigEndian.Uint16(h[:2])
}

// dayOf is the day that a made id, or its operation id, carries.
func dayOf(id string) (d uint16, made bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 8 {
		return 0, false
	}
	d = binary.BigEndian.Uint16(u[:2])
	return d, d >= firstDay && d < lastDay && binary.BigEndian.Uint16(u[2:4]) == check(u)
}

// dateOf names the table of a day.
func dateOf(d uint16) string { return startOf(d).Format(expire.DateForm) }

func startOf(d uint16) time.Time { return time.Unix(int64(d)*int64(day/time.Second), 0).UTC() }

// Until is when the record of a message goes, whatever becomes of the message; false if
// that depends on it.
func (r *Record) Until() (time.Time, bool) {
	d, made := dayOf(r.ID)
	return startOf(d + 1), made && !r.Lasting
}

// table is where a record stands: in the table of the day that its id carries, or in the
// lasting one.
func (b *Store) table(operation string, lasting bool) Table {
	if d, made := dayOf(operation); made && !lasting {
		return b.tables.Day(dateOf(d))
	}
	return b.tables.Lasting
}
