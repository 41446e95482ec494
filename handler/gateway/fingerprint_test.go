package gateway

import (
	"reflect"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
)

func fullMessage() *mail.Message {
	return &mail.Message{
		SenderAddress: "a", Content: mail.Content{Subject: "b", PlainText: "c", HTML: "d"},
		Recipients:  mail.Recipients{To: []mail.Address{{Address: "e", DisplayName: "f"}}, CC: []mail.Address{{Address: "g"}}, BCC: []mail.Address{{Address: "h"}}},
		Attachments: []mail.Attachment{{Name: "i", ContentType: "j", ContentID: "k", Placement: "l", UploadID: "m"}},
		ReplyTo:     []mail.Address{{Address: "n"}}, Headers: map[string]string{"o": "p"},
		Delivery: mail.Delivery{SendAt: "q", WhenBusy: "r", Deadline: "s", Priority: "t", LinkExpiresAfter: "u", Tags: []mail.Tag{{Name: "v", Value: "w"}}},
		Language: "x",
	}
}

// notMeant are fields that say how a message came, not what it is.
var notMeant = map[string]bool{"HasContent": true, "Size": true, "Redirected": true}

// Each field that is changed by itself changes the fingerprint, also one that the
// types will have some day.
func TestEveryFieldIsInTheFingerprint(t *testing.T) {
	t.Parallel()
	seen := map[string]string{fingerprint(fullMessage()): "nothing"}
	m := fullMessage()
	changed := func(path string) {
		if other, ok := seen[fingerprint(m)]; ok {
			t.Errorf("a change of %s looks like one of %s", path, other)
		}
		seen[fingerprint(m)] = path
	}
	eachField(reflect.ValueOf(m).Elem(), "", changed)
	if want := 24; len(seen) < want {
		t.Errorf("only %d fields were changed, not %d", len(seen), want)
	}
}

// eachField changes one value below v at a time, tells of it and puts it back.
func eachField(v reflect.Value, path string, changed func(path string)) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	change := func(to reflect.Value) {
		v.Set(to)
		changed(path)
		v.Set(old)
	}
	switch v.Kind() {
	case reflect.String:
		change(reflect.ValueOf(v.String() + "?").Convert(v.Type()))
	case reflect.Bool:
		change(reflect.ValueOf(!v.Bool()))
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !notMeant[name] && v.Field(i).Type() != reflect.TypeFor[[]byte]() {
				eachField(v.Field(i), path+"."+name, changed)
			}
		}
	case reflect.Slice:
		change(reflect.Append(reflect.MakeSlice(v.Type(), 0, 2), v.Index(0), reflect.New(v.Type().Elem()).Elem()))
		eachField(v.Index(0), path+"[0]", changed)
	case reflect.Map:
		change(reflect.ValueOf(map[string]string{"o": "p?"}))
		change(reflect.ValueOf(map[string]string{"o?": "p"}))
	case reflect.Array:
		change(reflect.ValueOf([32]byte{31: 1}))
	default:
		panic("no rule for " + path)
	}
}

// What a text ends with is not what the next one begins with.
func TestTextsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	a, b := fullMessage(), fullMessage()
	a.Content.Subject, a.Content.PlainText = "one two", ""
	b.Content.Subject, b.Content.PlainText = "one", " two"
	if fingerprint(a) == fingerprint(b) {
		t.Error("subject and text are told apart by nothing")
	}
	a, b = fullMessage(), fullMessage()
	a.Recipients.To, a.Recipients.CC = []mail.Address{{Address: "e"}, {Address: "g"}}, nil
	b.Recipients.To, b.Recipients.CC = []mail.Address{{Address: "e"}}, []mail.Address{{Address: "g"}}
	if fingerprint(a) == fingerprint(b) {
		t.Error("to and cc are told apart by nothing")
	}
}
