package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

const (
	// SmallBytes is the most that a message has, as it is stored, whose content stands in the
	// table of its entry. A row may have ten times as much; but what is large costs a table
	// more than a blob.
	SmallBytes = 100_000
	// contentPrefix begins the row keys of contents. Those of entries begin with a digit, and
	// so are less than afterEntries: no list of entries reads a content.
	contentPrefix, afterEntries = "c-", "c"
)

// InTable lets the content of messages of at most so many bytes stand in the table, in
// place of SmallBytes. What is stored already stays where it is.
func (s *Spool) InTable(most int) *Spool {
	s.most = most
	return s
}

// PutMessage stores the message of an entry before the entry. InsertEntry stores what is
// small. It may be repeated. An error is Unavailable, and the message may then be there.
func (s *Spool) PutMessage(ctx context.Context, entry *Entry, m Message) error {
	data := encodeMessage(m)
	if entry.Large = len(data) > s.most; !entry.Large {
		entry.content = data
		return nil
	}
	err := s.blobs.Put(ctx, blobName(entry.Key), data)
	if errors.Is(err, store.ErrExists) {
		err = nil // no other message has this key
	}
	return unavailable("store a queued message", err)
}

// ReadMessage reads the message of an entry. found is false if it is gone. An error is
// Unavailable, or Internal for a message that cannot be read.
func (s *Spool) ReadMessage(ctx context.Context, entry *Entry) (m Message, found bool, err error) {
	if entry.Large {
		return s.ReadBlob(ctx, entry.Key)
	}
	data, err := readContent(ctx, s.lines, entry.Key)
	if errors.Is(err, store.ErrMissing) && entry.Unreadable { // it does not say where its message is
		return s.ReadBlob(ctx, entry.Key)
	}
	return opened(data, err)
}

// ReadBlob reads a message that has a blob, as ReadMessage does.
func (s *Spool) ReadBlob(ctx context.Context, k store.Key) (m Message, found bool, err error) {
	data, err := s.blobs.Read(ctx, blobName(k))
	return opened(data, err)
}

// DeleteBlob deletes the blob of a message, if there is one. It may be repeated.
func (s *Spool) DeleteBlob(ctx context.Context, k store.Key) error {
	return unavailable("delete a queued message", unlessMissing(s.blobs.Delete(ctx, blobName(k))))
}

func opened(data []byte, err error) (m Message, found bool, _ error) {
	if errors.Is(err, store.ErrMissing) {
		return Message{}, false, nil
	}
	if err != nil {
		return Message{}, false, unavailable("read a queued message", err)
	}
	m, err = decodeMessage(data)
	return m, err == nil, problem.Wrap(problem.Internal, "A message that waits cannot be read.", err)
}

func blobName(k store.Key) string { return k.Partition + "/" + k.Row }

// partName names a part of a content, which is more than one value of a row holds.
func partName(n int) string { return fmt.Sprintf("part%d", n) }

func contentEntity(k store.Key, data []byte) store.Entity {
	values := map[string]any{}
	for n := 0; len(data) > 0; n++ {
		part := data[:min(len(data), limits.ValueBytes)]
		values[partName(n)], data = part, data[len(part):]
	}
	return store.Entity{Partition: k.Partition, Row: contentPrefix + k.Row, Values: values}
}

func readContent(ctx context.Context, t Table, k store.Key) (data []byte, err error) {
	e, _, err := t.Get(ctx, k.Partition, contentPrefix+k.Row)
	return joined(e), err
}

// joined are the parts of a content.
func joined(e store.Entity) (data []byte) {
	for n := range len(e.Values) {
		part, _ := e.Values[partName(n)].([]byte)
		data = append(data, part...)
	}
	return data
}

// insertRow inserts a row, in one transaction with its content, nil for none. That the row is
// there already is no error: no other message has its key.
func insertRow(ctx context.Context, t Table, e store.Entity, content []byte) error {
	actions := []store.Action{store.Insert(e)}
	if content != nil {
		actions = append(actions, store.Insert(contentEntity(store.Key{Partition: e.Partition, Row: e.Row}, content)))
	}
	_, err := t.Transact(ctx, actions...)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// deleteRow deletes a row, and its content unless the message is large.
func deleteRow(ctx context.Context, t Table, k store.Key, large bool) error {
	actions := []store.Action{store.Delete(k.Partition, k.Row, "")}
	if !large {
		actions = append(actions, store.Delete(k.Partition, contentPrefix+k.Row, ""))
	}
	_, err := t.Transact(ctx, actions...)
	if errors.Is(err, store.ErrMissing) && !large { // one of the two may be there
		_, rowErr := t.Transact(ctx, actions[0])
		_, contentErr := t.Transact(ctx, actions[1])
		err = errors.Join(unlessMissing(rowErr), unlessMissing(contentErr))
	}
	return unlessMissing(err)
}
