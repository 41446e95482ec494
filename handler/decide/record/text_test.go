package record_test

import (
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

// texts are strings that JSON writes as they are, and such as it must quote, by
// names that one can read.
func texts() map[string]string {
	all := map[string]string{
		"empty": "", "an order": `order "7" x`, "a path": `C:\new\table`, "a quote at the end": `7"`, "a backslash at the end": `7\`,
		"a member more": `7","caller":"other`, "a NUL": "a\x00b", "an escape": "a\x1bb", "a line break": "a\nb", "a delete": "a\x7fb",
		"an umlaut": "Bücher", "a smiley": "a😀b", "a line separator": "a\u2028b", "HTML": "<a href='x'>&amp;</a>",
	}
	for c := byte(' '); c <= '~'; c++ {
		all["character "+strconv.QuoteRune(rune(c))] = "a" + string(c) + "b"
		all["character "+strconv.QuoteRune(rune(c))+" alone"] = string(c)
	}
	return all
}

// Whatever the id and the caller of a message are, its record can be read back,
// repeated and ended.
func TestEveryTextIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, text := range texts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				c := record.Record{ID: text, Caller: text, Fingerprint: text}
				r := mustClaim(t, b.ours, c)
				if there, replay, err := b.theirs.Claim(t.Context(), c); err != nil || !replay || !there.UnderWay() {
					t.Errorf("a repeat while it is under way: %+v, %v", there, err)
				}
				must(t, b.ours.MarkSending(t.Context(), r))
				must(t, b.ours.Finish(t.Context(), r, record.Failed, &record.Failure{Kind: "k", Detail: text, Upstream: text}))
				for what, read := range map[string]func() (*record.Record, error){
					"find": func() (*record.Record, error) { return b.theirs.Find(t.Context(), text, text) },
					"repeat": func() (*record.Record, error) {
						again, replay, err := b.theirs.Claim(t.Context(), c)
						if !replay {
							t.Error("the repeat is no replay")
						}
						return again, err
					},
				} {
					found, err := read()
					must(t, err)
					if found.ID != text || found.Caller != text || found.Fingerprint != text || found.State != record.Failed {
						t.Errorf("%s: read as %+v", what, found)
					}
					if f := found.Failure; f == nil || *f != (record.Failure{Kind: "k", Detail: text, Upstream: text}) {
						t.Errorf("%s: the failure is %+v", what, f)
					}
				}
				other := c
				other.Fingerprint = text + "!"
				if _, _, err := b.theirs.Claim(t.Context(), other); !problem.Is(err, problem.KeyReused) {
					t.Errorf("another message: %v", err)
				}
			})
		})
	}
}
