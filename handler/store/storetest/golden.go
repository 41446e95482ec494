package storetest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/store"
)

// golden is a row in a file. The values of a row are by their type, then by their name.
type golden struct {
	Partition string               `json:"partition"`
	Row       string               `json:"row"`
	Bools     map[string]bool      `json:"bools,omitempty"`
	Int64s    map[string]int64     `json:"int64s,omitempty"`
	Strings   map[string]string    `json:"strings,omitempty"`
	Times     map[string]time.Time `json:"times,omitempty"`
	Texts     map[string]string    `json:"texts,omitempty"`  // []byte that is UTF-8
	Binary    map[string][]byte    `json:"binary,omitempty"` // any other []byte
}

// GoldenRow is the row that a file of testdata holds. written is the row of the same content
// as the code writes it today: the two must be alike. A version of the product reads what the
// one before it has stored, so a file that was released is kept, and read by a test of its own.
func GoldenRow(t *testing.T, file string, written store.Entity) store.Entity {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if now := goldenText(written); now != string(text) {
		t.Errorf("%s is not the row that is written now:\n%s", file, now)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	e := store.Entity{Partition: g.Partition, Row: g.Row, ETag: "golden", Values: map[string]any{}}
	fill(e.Values, g.Bools)
	fill(e.Values, g.Int64s)
	fill(e.Values, g.Strings)
	fill(e.Values, g.Times)
	fill(e.Values, g.Binary)
	for name, v := range g.Texts {
		e.Values[name] = []byte(v)
	}
	return e
}

func fill[V any](values map[string]any, of map[string]V) {
	for name, v := range of {
		values[name] = v
	}
}

func goldenText(e store.Entity) string {
	g := golden{
		Partition: e.Partition, Row: e.Row, Bools: map[string]bool{}, Int64s: map[string]int64{}, Strings: map[string]string{},
		Times: map[string]time.Time{}, Texts: map[string]string{}, Binary: map[string][]byte{},
	}
	for name, v := range e.Values {
		switch v := v.(type) {
		case bool:
			g.Bools[name] = v
		case int64:
			g.Int64s[name] = v
		case string:
			g.Strings[name] = v
		case time.Time:
			g.Times[name] = v
		case []byte:
			if utf8.Valid(v) {
				g.Texts[name] = string(v)
			} else {
				g.Binary[name] = v
			}
		}
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(g); err != nil {
		return err.Error()
	}
	return text.String()
}
