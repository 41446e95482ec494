package store

import (
	"bytes"
	"encoding/json"
)

// TextChars is how many characters one string of a row has at most; limits.ValueBytes.
const TextChars = 32 << 10

// JSON is v as a row keeps it: without the escapes that HTML wants, which make six bytes
// of a name's one. v is of types that always encode.
func JSON(v any) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte{'\n'})
}
