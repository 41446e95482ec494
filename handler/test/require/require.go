// Package require says what a test does without a thing that it needs and that the
// project does not bring: a corpus of others, Azurite, mail clients, a browser. The
// test is skipped with a sentence that says what to do. Where the environment
// requires the thing, the test fails, since there nobody would see that it was
// skipped.
//
// It is for tests alone and imports nothing of the project. It installs nothing:
// that is what `make setup` does.
package require

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Thing is what a test may need. POSTHORN_TEST_REQUIRE_ and its name make a
// variable that requires it, whatever the value.
type Thing string

const (
	// Corpora are files of others with hard cases; CONTRIBUTING.md lists them.
	Corpora Thing = "CORPORA"
	// Azurite is the emulator of Azure Storage, with Node.js to run it.
	Azurite Thing = "AZURITE"
	// Clients are the official mail clients for Node.js, and GitHub's example webhooks.
	Clients Thing = "CLIENTS"
	// Browser is a Chromium.
	Browser Thing = "BROWSER"
	// Bicep is the compiler of infra's sources.
	Bicep Thing = "BICEP"
)

// CorporaFolder is the variable that names the folder with the corpora.
const CorporaFolder = "POSTHORN_TEST_CORPORA"

var sentences = map[Thing]string{
	Corpora: "There are no corpora here: set " + CorporaFolder + " to a folder that CONTRIBUTING.md describes.",
	Azurite: "Azurite is not installed: run `make setup`.",
	Clients: "The mail clients are not installed: run `make setup`.",
	Browser: "There is no Chromium here: install it, so that pages are looked at in a browser.",
	Bicep:   "There is no Bicep compiler here: name it by BICEP, or put it on PATH.",
}

func (thing Thing) variable() string { return "POSTHORN_TEST_REQUIRE_" + string(thing) }

func (thing Thing) required() bool { return os.Getenv(thing.variable()) != "" }

// Missing ends a test that found out that the thing is not there.
func Missing(tb testing.TB, thing Thing) {
	tb.Helper()
	end(tb, thing, sentences[thing])
}

func end(tb testing.TB, thing Thing, sentence string) {
	tb.Helper()
	if thing.required() {
		tb.Fatalf("%s %s requires it.", sentence, thing.variable())
	}
	tb.Skip(sentence)
}

// HasCorpora says whether Corpus may be called by who can do without: the corpora
// are there, or required.
func HasCorpora() bool { return os.Getenv(CorporaFolder) != "" || Corpora.required() }

// Corpus is where a file or folder of the corpora is. Its test ends if it is not
// there.
func Corpus(tb testing.TB, path ...string) string {
	tb.Helper()
	folder := os.Getenv(CorporaFolder)
	if folder == "" {
		Missing(tb, Corpora)
	}
	if !filepath.IsAbs(folder) {
		tb.Fatalf("%s must be an absolute path: every test runs in a folder of its own.", CorporaFolder)
	}
	name := filepath.Join(append([]string{folder}, path...)...)
	if _, err := os.Stat(name); err != nil { //nolint:gosec // the folder is the choice of who runs the tests
		end(tb, Corpora, name+" is not there; CONTRIBUTING.md says how the folder in "+CorporaFolder+" is laid out.")
	}
	return name
}

// naughtyStrings are at least this many, or the file is not what it should be.
const naughtyStrings = 400

// NaughtyStrings are those of the Big List of Naughty Strings. Its test ends if the
// list is not there.
func NaughtyStrings(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile(Corpus(tb, "blns", "blns.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		tb.Fatal(err)
	}
	if len(list) < naughtyStrings {
		tb.Fatalf("only %d naughty strings", len(list))
	}
	return list
}
