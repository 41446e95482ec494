package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/problem"
)

// What people read says the words of docs/glossary.md, in lines that fit a terminal.

// proseColumns is the width of a line of prose, in characters.
const proseColumns = 120

// prosePages are the pages that people have written, relative to the root.
func prosePages(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "infra/README.md", "handler/local/emulator/README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			name, _ := filepath.Rel(root, path)
			pages = append(pages, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// proseLine is a line of a page that is no code.
type proseLine struct {
	number int
	text   string
}

func prose(t *testing.T, page string) (lines []proseLine) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	inCode := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
		} else if !inCode {
			lines = append(lines, proseLine{i + 1, line})
		}
	}
	return lines
}

// wrapped breaks a paragraph into lines of at most proseColumns.
func wrapped(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+width > proseColumns:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}

func TestProseFitsATerminal(t *testing.T) {
	t.Parallel()
	for _, page := range prosePages(t) {
		for _, l := range prose(t, page) {
			// Tables and pictures cannot be broken.
			whole := strings.HasPrefix(strings.TrimSpace(l.text), "|") || strings.HasPrefix(l.text, "[![")
			if width := utf8.RuneCountInString(l.text); width > proseColumns && !whole {
				t.Errorf("%s:%d has %d columns, more than %d", page, l.number, width, proseColumns)
			}
			if strings.Count(l.text, "`")%2 != 0 {
				t.Errorf("%s:%d breaks a command or a name between two lines: %s", page, l.number, l.text)
			}
		}
	}
}

// term is a word of the glossary.
type term struct {
	word, text string
}

func glossary(t *testing.T) (terms []term) {
	t.Helper()
	for _, l := range prose(t, "docs/glossary.md") {
		if word, found := strings.CutPrefix(l.text, "### "); found {
			terms = append(terms, term{word: word})
		} else if len(terms) > 0 {
			terms[len(terms)-1].text += l.text + "\n"
		}
	}
	return terms
}

func TestTheGlossarySaysEachWordOnceAndWhereItComesFrom(t *testing.T) {
	t.Parallel()
	terms := glossary(t)
	if len(terms) < 20 {
		t.Fatalf("the glossary has %d words", len(terms))
	}
	for i, w := range terms {
		if i > 0 && strings.ToLower(terms[i-1].word) >= strings.ToLower(w.word) {
			t.Errorf("%q stands behind %q", w.word, terms[i-1].word)
		}
		meaning, from, _ := strings.Cut(w.text, "*From:* ")
		if strings.TrimSpace(meaning) == "" || strings.TrimSpace(from) == "" || strings.Contains(from, "*From:*") {
			t.Errorf("%q has no meaning, or not one origin: %q", w.word, w.text)
		}
	}
}

func TestTheWordsOfTheGlossaryAreUsed(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, page := range prosePages(t) {
		if page == "docs/glossary.md" {
			continue
		}
		for _, l := range prose(t, page) {
			b.WriteString(l.text + " ")
		}
	}
	said := b.String()
	for _, w := range glossary(t) {
		stem := strings.TrimSuffix(regexp.QuoteMeta(w.word), "y")
		if !regexp.MustCompile(`(?i)\b` + strings.ReplaceAll(stem, " ", `[ -]`) + `(y|ies|e?s|e?d)?\b`).MatchString(said) {
			t.Errorf("no page says %q", w.word)
		}
	}
}

// sentenceWords is how many words a sentence has that a user reads.
const sentenceWords = 20

var (
	sentenceEnd = regexp.MustCompile(`[.!?:;][*)]*\s+`)
	listItem    = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
	linkText    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	wordOfText  = regexp.MustCompile(`\S*[\pL\pN]\S*`)
	inBackticks = regexp.MustCompile("`[^`]*`")
	listOfNames = regexp.MustCompile(`X(,? X)+`)
)

// paragraphs are what a page says, each with the line on which it begins; the cells of
// a table are paragraphs.
func paragraphs(lines []proseLine) (all []proseLine) {
	last := 0
	for _, l := range lines {
		text := strings.TrimSpace(l.text)
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
			last = 0
		case strings.HasPrefix(text, "|"):
			for cell := range strings.SplitSeq(strings.Trim(text, "|"), " | ") {
				all = append(all, proseLine{l.number, cell})
			}
			last = 0
		case last == l.number-1 && last != 0 && !listItem.MatchString(l.text):
			all[len(all)-1].text += " " + text
			last = l.number
		default:
			all = append(all, proseLine{l.number, listItem.ReplaceAllString(text, "")})
			last = l.number
		}
	}
	return all
}

// longSentences are the sentences of a paragraph that have more than sentenceWords. A
// list of names counts as one word.
func longSentences(paragraph string) (long []string) {
	text := linkText.ReplaceAllString(inBackticks.ReplaceAllString(paragraph, "X"), "$1")
	text = listOfNames.ReplaceAllString(text, "X")
	for _, s := range sentenceEnd.Split(text, -1) {
		if len(wordOfText.FindAllString(s, -1)) > sentenceWords {
			long = append(long, s)
		}
	}
	return long
}

func TestSentencesForUsersAreShort(t *testing.T) {
	t.Parallel()
	for _, page := range prosePages(t) {
		for _, p := range paragraphs(prose(t, page)) {
			for _, s := range longSentences(p.text) {
				t.Errorf("%s:%d: a sentence has more than %d words: %s", page, p.number, sentenceWords, s)
			}
		}
	}
}

var (
	shellBlock = regexp.MustCompile("(?ms)((?:^[^\n]*\n)?)^ *```sh\n(.*?)^ *```$")
	notRun     = regexp.MustCompile(`<!-- (not run|needs Azure)\b.*-->`)
	pageOfRun  = regexp.MustCompile(`\{"([\w./-]+\.md)", \[\]shown`)
)

// A block of shell is typed by a test, or the line before it says why not. The pages in
// the table of handler/local are typed whole; handler/test makes the hooks of the rest.
func TestEveryBlockOfShellIsRunOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join("local", "pages_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	typed := map[string]bool{}
	for _, m := range pageOfRun.FindAllSubmatch(table, -1) {
		typed[string(m[1])] = true
	}
	if !typed["README.md"] || len(typed) < 5 {
		t.Fatalf("the table has %v", typed)
	}
	hooks := map[string]bool{"docs/clients/webhooks.md": true, "docs/clients/forms.md": true}
	for _, page := range prosePages(t) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shellBlock.FindAllSubmatch(text, -1) {
			made := hooks[page] && strings.HasPrefix(string(m[2]), "posthorn hooks add ")
			if !typed[page] && !made && !notRun.Match(m[1]) {
				t.Errorf("%s: no test runs this, and no <!-- not run: … --> says why:\n%s", page, m[2])
			}
		}
	}
}

// privateWords are words that a reader would have to learn, or that leave open what they
// speak of, each with what is said in its place. allowed are uses of another meaning.
var privateWords = []struct {
	word, say string
	allowed   *regexp.Regexp
}{
	{word: `ticks?`, say: "wake-up message"},
	{word: `slips?`, say: "queue entry"},
	{word: `letters?`, say: "message", allowed: regexp.MustCompile(`(?i)dead[ -]letters?|(first|capital|small|escaped|of|has|as) letters?`)},
	{word: `pumps?`, say: "dispatcher"},
	{word: `seats?`, say: "lease"},
	{word: `tends?|tended`, say: "watchdog"},
	{word: `sweeps?|swept`, say: "clean-up"},
	{word: `bury|buries|buried|exhumed?|exhumes`, say: "move to the dead letters, remove from them"},
	{word: `canary|canaries`, say: "probe"},
	{word: `tally|tallies`, say: "usage"},
	{word: `desks?`, say: "local"},
	{word: `doors?`, say: "HTTP API", allowed: regexp.MustCompile(`Front Door`)},
	{word: `front`, say: "HTTP API", allowed: regexp.MustCompile(`(?i)front end|in front of|Front Door`)},
	{word: `whoever|whomever`, say: "the noun, such as: a caller who"},
	{word: `of (which|whom)`, say: "a sentence of its own"},
	{word: `hurry|hurries|impatien\w+`, say: "urgent, back-off"},
	{word: `parcels?`, say: "queued message"},
	{word: `book(ed|ings?)?`, say: "reserve, record"},
	{word: `settles?|settled`, say: "resolve, commit, drain"},
	{word: `none of (these|those)`, say: "none, and the noun"},
	{word: `that of`, say: "the noun"},
}

var privateWord = regexp.MustCompile(`(?i)\b(` + strings.Join(patterns(), "|") + `)\b`)

func patterns() (all []string) {
	for _, w := range privateWords {
		all = append(all, w.word)
	}
	return all
}

// unsaid finds a private word in a text.
func unsaid(text string) string {
	if !privateWord.MatchString(text) {
		return ""
	}
	for _, w := range privateWords {
		left := text
		if w.allowed != nil {
			left = w.allowed.ReplaceAllString(text, "")
		}
		if found := regexp.MustCompile(`(?i)\b(` + w.word + `)\b`).FindString(left); found != "" {
			return strconv.Quote(found) + ": say " + w.say
		}
	}
	return ""
}

var codeSpan = regexp.MustCompile("`[^`]*`|" + `\]\([^)]*\)`)

func TestPagesSayTheWordsOfTheGlossary(t *testing.T) {
	t.Parallel()
	for _, page := range prosePages(t) {
		for _, l := range prose(t, page) {
			if word := unsaid(codeSpan.ReplaceAllString(l.text, "")); word != "" {
				t.Errorf("%s:%d: %s\n%s", page, l.number, word, l.text)
			}
		}
	}
}

func TestPrivateWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, found := range map[string]bool{
		"The message has a dead letter.": false, "Its letter is gone.": true, "in front of the host": false,
		"the front answers": true, "whoever asks": true, "the address of the app": false, "the time is that of storage": true,
		"Ticks are lost": true, "attended": false,
	} {
		if got := unsaid(text); (got != "") != found {
			t.Errorf("%q: got %q, want %t", text, got, found)
		}
	}
}

var shownProblem = regexp.MustCompile(`problems\.md#([\w-]+)",\s*"title": "([^"]*)",\s*"status": (\d+)`)

// A problem that a page or the OpenAPI document shows has the title and status that it is
// answered with.
func TestShownProblemsAreAnswered(t *testing.T) {
	t.Parallel()
	shown := 0
	for _, page := range append(prosePages(t), filepath.Join("handler", "api", "rest", "openapi.json")) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shownProblem.FindAllSubmatch(text, -1) {
			shown++
			kind := problem.KindOf(string(m[1]))
			if kind.Slug() != string(m[1]) || kind.Title() != string(m[2]) || strconv.Itoa(kind.Status()) != string(m[3]) {
				t.Errorf("%s shows %s as %q with %s; it is %q with %d", page, m[1], m[2], m[3], kind.Title(), kind.Status())
			}
		}
	}
	if shown < 3 {
		t.Errorf("%d problems are shown", shown)
	}
}
