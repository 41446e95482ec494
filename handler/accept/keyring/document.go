package keyring

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// Version is raised when an older program must not take a document over.
	Version = 1
	// MaxBytes bounds a document: a hook with templates has at most 100 kB, and a
	// deployment some hundred of them.
	MaxBytes = 64 << 20
)

// Document is all callers, or all hooks, of one deployment, without their secrets. It names
// the master secrets by marks, which open nothing.
type Document[T any] struct {
	Format  string   `json:"format"` // posthorn-callers or posthorn-hooks
	Version int      `json:"version"`
	Masters []string `json:"masters"` // their marks, the current one first
	Entries []T      `json:"entries"` // ended ones too, so that their keys stay dead
}

// Export writes all holders as a document, freshly read, and returns them by name.
func (k *Keyring[T, P]) Export(ctx context.Context, w io.Writer) ([]T, error) {
	known, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(known))
	for _, t := range k.byName(known) {
		all = append(all, k.public(t))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return all, e.Encode(Document[T]{"posthorn-" + k.plural(), Version, k.marks(), all})
}

func (k *Keyring[T, P]) public(t T) T {
	if k.kind.Public == nil {
		return t
	}
	return k.kind.Public(t)
}

// ReadDocument reads a document of untrusted origin. What is no such document, has unknown
// members or names a holder twice is a problem of kind InvalidRequest as a whole. An error of
// r comes back as it is.
func (k *Keyring[T, P]) ReadDocument(r io.Reader) (d Document[T], err error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return d, err
	case len(text) > MaxBytes:
		return d, wrong("The document is larger than %d bytes.", MaxBytes)
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return d, wrong("The document cannot be read: %s.", explain(err))
	}
	switch want := "posthorn-" + k.plural(); {
	case head.Format != want:
		return d, wrong("The document has the format %q. It must be %q, as \"posthorn %s export\" writes it.", head.Format, want, k.plural())
	case head.Version != Version:
		return d, wrong("The document has version %d, and this program reads version %d. Use the program that has written it, or a newer one.", head.Version, Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return d, wrong("The document cannot be read: %s.", explain(err))
	}
	seen := map[string]bool{}
	for i := range d.Entries {
		name := P(&d.Entries[i]).holder().Name
		if seen[name] {
			return d, wrong("The document has the name %q twice.", name)
		}
		seen[name] = true
	}
	return d, nil
}

// explain says what is wrong with JSON, without the words of Go.
func explain(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("it is no JSON from byte %d on, or ends too early", syntax.Offset)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("a %s cannot be the value of %s", kind.Value, strings.ReplaceAll(kind.Field, "Holder.", ""))
	}
	return string(bytes.TrimPrefix([]byte(err.Error()), []byte("json: ")))
}

func wrong(format string, args ...any) error {
	return problem.New(problem.InvalidRequest, format, args...)
}

// marks are names of master secrets that tell nothing of them.
func (k *Keyring[T, P]) marks() []string {
	marks := []string{}
	for _, mark := range k.masters.Derive("posthorn master mark 1") {
		marks = append(marks, hex.EncodeToString(mark[:8]))
	}
	return marks
}

// SameKeys says whether all keys of the deployment that wrote d are good here.
func (k *Keyring[T, P]) SameKeys(d Document[T]) bool {
	ours := k.marks()
	return len(d.Masters) > 0 && !slices.ContainsFunc(d.Masters, func(m string) bool { return !slices.Contains(ours, m) })
}
