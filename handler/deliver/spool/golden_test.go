package spool

import (
	"reflect"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestTheEntryInStorageIsRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 30, 12, 0, 0, 123_000_000, time.UTC)
	line := Line{Shard: 3, Class: 2, Caller: "shop", Form: "contact", Later: true}
	want := Entry{
		Key: KeyFor(line, at, "name"), Line: line, Due: at, ID: "11111111-1111-4111-8111-111111111111", Version: `W/"1"`, Hook: "contact",
		Bytes: 7, Cost: 2, Share: 10, Cap: 50, FormCap: 20, Terms: "t", Sender: 1<<32 - 1, Tries: 1, Repeats: 2, NotBefore: at.Add(time.Minute),
		Doubt: NoAnswer, UnknownAnswers: 3, Ticket: 1<<63 - 1, Large: true,
	}
	e := storetest.GoldenRow(t, "testdata/entry.json", want.encode())
	got, err := decodeEntry(e)
	got.etag = ""
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, error %v; want %+v", got, err, want)
	}
}

func TestTheContentInStorageIsRead(t *testing.T) {
	t.Parallel()
	want := Message{Record: []byte(`{"ID":"1"}`), Message: &mail.Message{
		SenderAddress: "a@example.com", Recipients: mail.Recipients{To: []mail.Address{{Address: "b@example.com", DisplayName: "B"}}},
		Content: mail.Content{Subject: "ü", PlainText: "line\nline", HTML: "<b>x</b>"}, Language: "de", Redirected: true,
		Attachments: []mail.Attachment{
			{Name: "moved.bin", ContentType: "application/octet-stream"},
			{Name: "kept.bin", ContentType: "image/png", ContentID: "i", Content: []byte("\n 7"), Size: 3},
		},
	}}
	e := storetest.GoldenRow(t, "testdata/content.json", contentEntity(store.Key{Partition: "000-1-now-4e0ae0bf5a9d8b3c", Row: "1796040000123000-name"}, encodeMessage(want)))
	got, err := decodeMessage(joined(e))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, error %v; want %+v", got.Message, err, want.Message)
	}
}
