// Package transfer is the form in which callers and hooks go from one deployment to
// another, without their secrets.
//
// In: entries, or a document of untrusted origin. Out: JSON of a versioned form, or entries
// of which each has a name of its own. What an entry says is for caller and hook to judge.
// A document names the master secrets of its deployment by marks, which open nothing, so
// that whoever takes it over knows whether the keys that were given out stay good.
package transfer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// Version is raised when an older program must not take a document over.
	Version = 1
	// MaxBytes bounds a document: a hook with templates has at most 100 kB, and a
	// deployment some hundred of them.
	MaxBytes = 64 << 20
)

// Named is an entry.
type Named interface{ EntryName() string }

// Document is all callers, or all hooks, of one deployment.
type Document[E Named] struct {
	Format  string   `json:"format"` // posthorn-callers or posthorn-hooks
	Version int      `json:"version"`
	Masters []string `json:"masters"` // their marks, the current one first
	Entries []E      `json:"entries"`
}

// FormatOf is that of callers or of hooks.
func FormatOf(kind string) string { return "posthorn-" + kind }

// Write writes entries as a document.
func Write[E Named](w io.Writer, kind string, masters [][]byte, entries []E) error {
	if entries == nil {
		entries = []E{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(Document[E]{FormatOf(kind), Version, Marks(masters), entries})
}

// Read reads a document. One that is no such document, that has members which this program
// does not know, or that names an entry twice, is a problem of kind InvalidRequest as a
// whole. An error of r comes back as it is.
func Read[E Named](r io.Reader, kind string) (Document[E], error) {
	var d Document[E]
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
	switch {
	case head.Format != FormatOf(kind):
		return d, wrong("The document has the format %q. It must be %q, as \"posthorn %s export\" writes it.", head.Format, FormatOf(kind), kind)
	case head.Version != Version:
		return d, wrong("The document has version %d, and this program reads version %d. Use the program that has written it, or a newer one.", head.Version, Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return d, wrong("The document cannot be read: %s.", explain(err))
	}
	seen := map[string]bool{}
	for _, e := range d.Entries {
		if seen[e.EntryName()] {
			return d, wrong("The document has the name %q twice.", e.EntryName())
		}
		seen[e.EntryName()] = true
	}
	return d, nil
}

// explain says what is wrong with JSON, without the words of Go.
func explain(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("it is no JSON from byte %d on, or ends too early", syntax.Offset)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("a %s cannot be the value of %s", kind.Value, kind.Field)
	}
	return string(bytes.TrimPrefix([]byte(err.Error()), []byte("json: ")))
}

func wrong(format string, args ...any) error {
	return problem.New(problem.InvalidRequest, format, args...)
}

// Marks are names of master secrets that tell nothing of them.
func Marks(masters [][]byte) []string {
	marks := make([]string, len(masters))
	for i, master := range masters {
		h := hmac.New(sha256.New, master)
		h.Write([]byte("posthorn master mark 1"))
		marks[i] = hex.EncodeToString(h.Sum(nil)[:8])
	}
	return marks
}

// SameKeys says whether all keys of a deployment with these marks are good under masters.
func SameKeys(marks []string, masters [][]byte) bool {
	ours := Marks(masters)
	return len(marks) > 0 && !slices.ContainsFunc(marks, func(m string) bool { return !slices.Contains(ours, m) })
}

// Outcome is what became, or would become, of an entry.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Unchanged Outcome = "unchanged"
	Changed   Outcome = "changed"
	Refused   Outcome = "refused"
)

// Result is what became of one entry, and why, or what is left to do.
type Result struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Note    string  `json:"note"`
}

// Options say how entries are taken over.
type Options struct {
	Replace bool // those that differ from what is there
	DryRun  bool // say what would be done, and do nothing
}

// Refuse is the result for an entry that cannot be taken over. ok is false if err is no
// fault of the entry, but of storage.
func Refuse(name string, err error) (r Result, ok bool) {
	p := problem.Of(err)
	said := []string{p.Detail}
	for _, f := range p.Violations {
		said = append(said, f.Pointer+": "+f.Detail)
	}
	switch p.Kind {
	case problem.InvalidRequest, problem.InvalidMessage, problem.Forbidden, problem.NotFound:
		return Result{name, Refused, strings.Join(said, " ")}, true
	}
	return Result{}, false
}

// All takes entries over one by one, each for itself. An error of one that Refuse does not
// take ends it, with the results so far.
func All[E Named](entries []E, one func(E) (Result, error)) (results []Result, err error) {
	for _, e := range entries {
		result, err := one(e)
		if err != nil {
			var refused bool
			if result, refused = Refuse(e.EntryName(), err); !refused {
				return results, err
			}
		}
		results = append(results, result)
	}
	return results, nil
}

// Keys says what is wrong with the generations of an entry, the last one given out included.
// An entry without any had its end.
func Keys(generations []int64, last int64, atMost int) error {
	ascending := slices.IsSorted(generations) && len(slices.Compact(slices.Clone(generations))) == len(generations)
	switch {
	case len(generations) > atMost, !ascending, len(generations) > 0 && generations[0] < 1,
		len(generations) > 0 && generations[len(generations)-1] > last, last < 1, last > maxGeneration:
		return wrong("Its generations must be at most %d numbers from 1 on, ascending, and none above last.", atMost)
	}
	return nil
}

// Made keeps the times of keys that are alive: a row has no room for any number of others.
func Made(made map[int64]time.Time, generations []int64) map[int64]time.Time {
	alive := maps.Clone(made)
	maps.DeleteFunc(alive, func(g int64, _ time.Time) bool { return !slices.Contains(generations, g) })
	return alive
}

// maxGeneration leaves room for rotations: a key's generation is read with 32 bits.
const maxGeneration = 1 << 30
