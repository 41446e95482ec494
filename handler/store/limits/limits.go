// Package limits says what Azure Storage takes, so that every implementation of
// storage refuses the same things before a call, with the same error.
//
// A row, the span of a signed URL or a delay goes in, nil or an error comes out. The
// errors wrap no error of store: nothing happened, and the bug is in the program,
// not in storage. They name no key and no value. What a service checks and
// Azurite checks too is left to the service. Sizes are bytes where not said
// otherwise.
//
// Sources: "Understanding the Table service data model", "Create a user
// delegation SAS" and "Put Message" of the Azure Storage REST reference.
package limits

import (
	"cmp"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// KeyChars is the most that a partition or a row key may have; the service
	// allows 1 KiB and counts two bytes a character.
	KeyChars = 512
	// ValueBytes is for one string, at two bytes a character, or one []byte.
	ValueBytes = 64 << 10
	// EntityBytes is for a whole row, keys and names included.
	EntityBytes = 1 << 20
	// TransactionActions is for one transaction.
	TransactionActions = 100
	// TransactionBytes is for the whole request, headers of each action included.
	TransactionBytes = 4 << 20
	// EntityValues is 255 less the three that the service keeps for itself.
	EntityValues = 252

	// BlobBlocks is how many blocks a blob may have: blockblob.MaxBlocks.
	BlobBlocks = 50_000
	// WholeBytes is for a blob that is written and read in one piece, and so in
	// memory; the service takes 5,000 MiB. It is more than the largest request to ACS
	// that a setting allows, 100 MiB, which may have to wait as one such blob.
	WholeBytes = 128 << 20

	// DelegationKey is the longest that a user delegation key lives.
	DelegationKey = 7 * 24 * time.Hour
	// ClockError is how far an instance's clock may be from the service's.
	ClockError = 15 * time.Minute
	// KeyFresh is how long one delegation key signs, so that a revoked one does
	// not stay in use for a week.
	KeyFresh = time.Hour
	// LongestSigned is how far ahead a signed URL may end, whatever the age of the
	// key that signs it: Azure refuses a URL that outlives its key.
	LongestSigned = DelegationKey - ClockError - KeyFresh

	// LongestDelay is how long a queue hides a message at most.
	LongestDelay = 7 * 24 * time.Hour
	// ReceiveMessages is how many messages one call may take.
	ReceiveMessages = 32
	// MessageBytes is for one message before base64 makes 64 KiB of it.
	MessageBytes = 48 << 10
)

func isValueName(name string) bool {
	for i, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 255
}

// Entity says whether e can be stored.
func Entity(e store.Entity) error {
	_, err := entity(e)
	return err
}

// Transaction says whether actions can be one transaction: rows of one partition, each
// of them once.
func Transaction(actions []store.Action) error {
	if len(actions) == 0 || len(actions) > TransactionActions {
		return fmt.Errorf("transaction has %d actions: the range is 1 to %d", len(actions), TransactionActions)
	}
	const headers = 1 << 10 // of an action, beside its keys
	sent := 0
	rows := make(map[string]bool, len(actions))
	for _, a := range actions {
		e := a.Entity
		n, err := entity(e)
		if err != nil {
			return err
		}
		if e.Partition != actions[0].Entity.Partition || rows[e.Row] {
			return errors.New("transaction has rows of two partitions, or a row twice")
		}
		rows[e.Row] = true
		sent += headers + n
	}
	if sent > TransactionBytes {
		return fmt.Errorf("transaction has up to %d bytes, more than %d", sent, TransactionBytes)
	}
	return nil
}

// entity says whether e can be stored, and how many bytes of a request it is at most.
func entity(e store.Entity) (sent int, err error) {
	if err := Keys(e.Partition, e.Row); err != nil {
		return 0, err
	}
	if len(e.Values) > EntityValues {
		return 0, fmt.Errorf("row has %d values, more than %d", len(e.Values), EntityValues)
	}
	// The service's weights: 4 bytes a row, 8 a value, two a
	// character of keys and names.
	size := 4 + 2*(chars(e.Partition)+chars(e.Row))
	for name, v := range e.Values {
		n, err := value(name, v)
		if err != nil {
			return 0, err
		}
		size += 8 + 2*len(name) + n
		if _, binary := v.([]byte); !binary {
			n *= 3 // JSON escapes a character by six bytes at most
		}
		sent += 64 + 2*len(name) + n*4/3 // base64
	}
	if size > EntityBytes {
		return 0, fmt.Errorf("row has %d bytes, more than %d", size, EntityBytes)
	}
	return sent + 12*(chars(e.Partition)+chars(e.Row)), nil
}

// Keys says whether a row can have these keys. The quote is excluded because a
// client doubles it and not every service undoes that.
func Keys(partition, row string) error {
	for _, key := range []string{partition, row} {
		switch {
		case key == "":
			return errors.New("row key is empty")
		case !utf8.ValidString(key) || !areInKeys(key):
			return errors.New("row key has a character that keys may not have")
		case chars(key) > KeyChars:
			return fmt.Errorf("row key has more than %d characters", KeyChars)
		}
	}
	return nil
}

// Range says whether rows may be listed from after a key to before a partition.
func Range(after store.Key, partition string) error {
	if after.Partition == "" && after.Row != "" {
		return errors.New("row key has no partition")
	}
	if after.Partition >= partition {
		return errors.New("range of rows ends before it begins")
	}
	return errors.Join(Keys(partition, "any"), Keys(cmp.Or(after.Partition, "any"), cmp.Or(after.Row, "any")))
}

// Rows says whether rows of a partition may be listed from after a row key to before another.
func Rows(partition, after, before string) error {
	if after >= before {
		return errors.New("range of rows ends before it begins")
	}
	return errors.Join(Keys(partition, before), Keys(partition, cmp.Or(after, "any")))
}

// areInKeys looks at the bytes of UTF-8, where U+0080 to U+009F are 0xC2 and the
// same byte again: every key of every call passes here.
func areInKeys(key string) bool {
	for i := range len(key) {
		switch c := key[i]; {
		case c < 0x20, c == 0x7f, c == '/', c == '\\', c == '#', c == '?', c == '\'':
			return false
		case c == 0xc2 && key[i+1] <= 0x9f:
			return false
		}
	}
	return true
}

func value(name string, v any) (size int, err error) {
	if !isValueName(name) || name == "PartitionKey" || name == "RowKey" || name == "Timestamp" {
		return 0, fmt.Errorf("%q cannot name a value of a row", name)
	}
	switch v := v.(type) {
	case bool:
		return 1, nil
	case int64:
		return 8, nil
	case time.Time:
		// The range of Edm.DateTime; the zero time.Time lies outside.
		if y := v.UTC().Year(); y < 1601 || y > 9999 {
			return 0, fmt.Errorf("time %s lies outside of the years 1601 to 9999", name)
		}
		return 8, nil
	case string:
		if !utf8.ValidString(v) {
			return 0, fmt.Errorf("string %s is not UTF-8", name)
		}
		size = 2 * chars(v)
	case []byte:
		size = len(v)
	default:
		return 0, fmt.Errorf("value %s has the type %T, which rows do not hold", name, v)
	}
	if size > ValueBytes {
		return 0, fmt.Errorf("value %s has %d bytes, more than %d", name, size, ValueBytes)
	}
	return size + 4, nil
}

func chars(s string) (n int) {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			for _, r := range s[i:] {
				n += utf16.RuneLen(r)
			}
			return i + n
		}
	}
	return len(s)
}

// Block says whether block n of a blob, counted from 0, can have so many bytes.
func Block(n, size int) error {
	if size == 0 {
		return errors.New("block is empty")
	}
	if n < 0 || n >= BlobBlocks {
		return fmt.Errorf("blob cannot have a block %d", n)
	}
	return nil
}

// Blocks says whether a blob can have so many blocks.
func Blocks(n int) error {
	if n < 0 || n > BlobBlocks {
		return fmt.Errorf("blob cannot have %d blocks", n)
	}
	return nil
}

// Whole says whether a blob of so many bytes can be written and read in one piece.
func Whole(size int64) error {
	if size < 0 || size > WholeBytes {
		return fmt.Errorf("blob has %d bytes, more than %d", size, int64(WholeBytes))
	}
	return nil
}

// Signed says whether a URL with such a span may be signed now.
func Signed(now, from, until time.Time) error {
	switch {
	case !until.After(now) || !until.After(from):
		return errors.New("signed URL would never be valid")
	case until.After(now.Add(LongestSigned)):
		return fmt.Errorf("signed URL would last beyond the %s that a delegation key allows", LongestSigned)
	}
	return nil
}

// Message says whether a message can be sent.
func Message(text string, delay time.Duration) error {
	if text == "" {
		return errors.New("message is empty")
	}
	if len(text) > MessageBytes {
		return fmt.Errorf("message has %d bytes, more than %d", len(text), MessageBytes)
	}
	return hidden(delay, 0)
}

// Receive says whether n messages can be received and hidden.
func Receive(n int, hide time.Duration) error {
	if n < 1 || n > ReceiveMessages {
		return fmt.Errorf("%d messages cannot be received: the range is 1 to %d", n, ReceiveMessages)
	}
	return hidden(hide, time.Second)
}

func hidden(d, least time.Duration) error {
	if d < least || d > LongestDelay {
		return fmt.Errorf("message cannot be hidden for %s: the range is %s to %s", d, least, LongestDelay)
	}
	return nil
}
