package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// FuzzValid holds Valid against encoding/json, which accepts more, and against
// itself in other chunks.
func FuzzValid(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(data, "jsontestsuite", "test_parsing", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil && len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := wire.Valid(t.Context(), bytes.NewReader(text))
		if err == nil && !json.Valid(text) {
			t.Error("accepted, but encoding/json does not")
		}
		if problem.Is(err, problem.InvalidMessage) != (err != nil && !problem.Is(err, problem.MalformedJSON)) {
			t.Error(err)
		}
		equal(t, wire.Valid(t.Context(), iotest.OneByteReader(bytes.NewReader(text))), err)
	})
}

// FuzzMessage holds Message against encoding/json: what is accepted has the same
// values there, and what was accepted is accepted again as encoding/json writes it.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(attached(`"QUJD\r\nREVG\/w=="`)))
	for pointer := range members {
		f.Add([]byte(bodyWith(pointer, `"\u00e9\n"`)))
		f.Add([]byte(bodyWith(pointer, `null`)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		contents := keep{}
		m, err := wire.Message(t.Context(), bytes.NewReader(body), contents)
		slow := keep{}
		m1, err1 := wire.Message(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), slow)
		equal(t, err1, err)
		equal(t, m1, m)
		equal(t, slow, contents)
		if err != nil {
			if !problem.Is(err, problem.MalformedJSON) && !problem.Is(err, problem.InvalidMessage) {
				t.Error(err)
			}
			return
		}
		if err := wire.Valid(t.Context(), bytes.NewReader(body)); err != nil {
			t.Errorf("a message, but not JSON: %v", err)
		}
		want, wantContents := unmarshal(t, body)
		equal(t, m, want)
		equal(t, contents, wantContents)
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.Message(t.Context(), bytes.NewReader(again), keep{}); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}

// unmarshal is Message by encoding/json.
func unmarshal(t *testing.T, body []byte) (*mail.Message, keep) {
	t.Helper()
	m := new(mail.Message)
	if err := json.Unmarshal(body, m); err != nil {
		t.Fatal(err)
	}
	var beside struct {
		Attachments []struct {
			ContentInBase64 *[]byte `json:"contentInBase64"`
		} `json:"attachments"`
	}
	if err := json.Unmarshal(body, &beside); err != nil {
		t.Fatal(err)
	}
	contents := keep{}
	for i, a := range beside.Attachments {
		if a.ContentInBase64 != nil {
			contents[i] = string(*a.ContentInBase64)
			m.Attachments[i].HasContent = true
		}
	}
	for _, list := range []any{&m.Attachments, &m.ReplyTo, &m.Recipients.To, &m.Recipients.CC, &m.Recipients.BCC, &m.Delivery.Tags} {
		if v := reflect.ValueOf(list).Elem(); v.Len() == 0 {
			v.SetZero()
		}
	}
	return m, contents
}
