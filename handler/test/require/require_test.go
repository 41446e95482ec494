package require

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ended is a test that notes how it was ended.
type ended struct {
	testing.TB
	how, why string
}

func (e *ended) Helper() {}

func (e *ended) Skip(args ...any) { e.stop("skipped", fmt.Sprint(args...)) }

func (e *ended) Fatal(args ...any) { e.stop("failed", fmt.Sprint(args...)) }

func (e *ended) Fatalf(format string, args ...any) { e.stop("failed", fmt.Sprintf(format, args...)) }

func (e *ended) stop(how, why string) {
	e.how, e.why = how, why
	panic(e)
}

// end is how a test ends that makes this call.
func endOf(call func(testing.TB)) (e *ended) {
	e = &ended{}
	defer func() {
		if p := recover(); p != nil && p != any(e) {
			panic(p)
		}
	}()
	call(e)
	return e
}

func TestWhatIsMissingFailsOnlyWhereItIsRequired(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "blns"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "blns", "blns.json"), []byte(`["one"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := func(thing Thing) func(testing.TB) { return func(tb testing.TB) { Missing(tb, thing) } }
	corpus := func(path ...string) func(testing.TB) { return func(tb testing.TB) { Corpus(tb, path...) } }
	for _, row := range []struct {
		name     string
		require  string // the variable that is set
		folder   string
		call     func(testing.TB)
		how, why string
	}{
		{"Azurite", "", "", missing(Azurite), "skipped", "make setup"},
		{"Azurite, required", "AZURITE", "", missing(Azurite), "failed", "POSTHORN_TEST_REQUIRE_AZURITE"},
		{"Azurite, another required", "CLIENTS", "", missing(Azurite), "skipped", "make setup"},
		{"clients, required", "CLIENTS", "", missing(Clients), "failed", "POSTHORN_TEST_REQUIRE_CLIENTS"},
		{"a browser, required", "BROWSER", "", missing(Browser), "failed", "POSTHORN_TEST_REQUIRE_BROWSER"},
		{"no folder", "", "", corpus("blns"), "skipped", "set POSTHORN_TEST_CORPORA"},
		{"no folder, required", "CORPORA", "", corpus("blns"), "failed", "POSTHORN_TEST_REQUIRE_CORPORA"},
		{"a folder without the corpus", "", folder, corpus("isemail"), "skipped", filepath.Join(folder, "isemail")},
		{"a folder without the corpus, required", "CORPORA", folder, corpus("isemail"), "failed", "POSTHORN_TEST_REQUIRE_CORPORA"},
		{"a folder from somewhere else", "", "corpora", corpus("blns"), "failed", "absolute"},
		{"a corpus", "CORPORA", folder, corpus("blns", "blns.json"), "", ""},
		{"a list that is too short", "", folder, func(tb testing.TB) { NaughtyStrings(tb) }, "failed", "only 1 naughty strings"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, thing := range []Thing{Corpora, Azurite, Clients, Browser} {
				t.Setenv(thing.variable(), "")
			}
			if row.require != "" {
				t.Setenv(Thing(row.require).variable(), "1")
			}
			t.Setenv(CorporaFolder, row.folder)
			if e := endOf(row.call); e.how != row.how || !strings.Contains(e.why, row.why) {
				t.Errorf("%s with %q, want %s with %q", e.how, e.why, row.how, row.why)
			}
			if has := HasCorpora(); has != (row.folder != "" || row.require == "CORPORA") {
				t.Errorf("HasCorpora is %t", has)
			}
		})
	}
}
