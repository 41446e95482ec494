package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var (
	hereString  = regexp.MustCompile(`(?s)= @'\n(.*?)\n'@\n`)
	bodyText    = regexp.MustCompile(`-Body '([^']*)'`)
	contentType = regexp.MustCompile(`-ContentType '([^']*)'`)
	repeatKey   = regexp.MustCompile(`'Idempotency-Key' = '([^']*)'`)
	readMember  = regexp.MustCompile(`\$(sent|operation|answer|problem)((?:\.\w+)+)`)
)

// expectPowerShell makes the requests of the blocks of PowerShell, and wants the
// members that they read to be in the answers.
func expectPowerShell(t *testing.T, term *terminal) {
	var code []string
	for _, b := range blocks(read(t, "docs/send.md")) {
		if b.language == "powershell" {
			code = append(code, b.text)
		}
	}
	if len(code) != 3 {
		t.Fatalf("%d blocks", len(code))
	}
	text := hereString.FindStringSubmatch(code[0])
	key := repeatKey.FindStringSubmatch(code[0])
	if text == nil || key == nil {
		t.Fatal("the message is not in a here-string, or has no key")
	}
	send := func(block, body string, headers ...string) (int, []byte) {
		kind := contentType.FindStringSubmatch(block)
		if kind == nil {
			t.Fatalf("no content type in %s", block)
		}
		return term.ask(t, http.MethodPost, "/emails:send", strings.NewReader(body), append(headers, "Content-Type", kind[1])...)
	}
	status, sent := send(code[0], text[1], "Idempotency-Key", key[1])
	if status != http.StatusAccepted {
		t.Fatalf("%d: %s", status, sent)
	}
	term.note(string(sent))
	wantSubject("Grüße")(term, t)
	_, operation := term.ask(t, http.MethodGet, "/emails/operations/"+term.id, http.NoBody)
	expectMembers(t, code[0], map[string][]byte{"sent": sent, "operation": operation})

	// What Windows PowerShell makes of a text is no UTF-8.
	if status, answer := send(code[0], strings.NewReplacer("ö", "\xf6", "ü", "\xfc", "ß", "\xdf").Replace(text[1])); status != http.StatusBadRequest {
		t.Errorf("in ISO 8859-1: %d: %s", status, answer)
	}

	for _, block := range code[1:] {
		body := bodyText.FindStringSubmatch(block)
		if body == nil {
			t.Fatalf("no body in %s", block)
		}
		status, answer := send(block, body[1])
		if status != http.StatusBadRequest {
			t.Errorf("%d: %s", status, answer)
		}
		expectMembers(t, block, map[string][]byte{"answer": answer, "problem": answer})
	}
}

// expectMembers wants what a block reads of a variable to be in an answer.
func expectMembers(t *testing.T, block string, answers map[string][]byte) {
	t.Helper()
	all := readMember.FindAllStringSubmatch(block, -1)
	if len(all) == 0 {
		t.Errorf("nothing is read in %s", block)
	}
	for _, m := range all {
		var value any
		if err := json.Unmarshal(answers[m[1]], &value); err != nil {
			t.Fatalf("$%s: %v: %s", m[1], err, answers[m[1]])
		}
		for name := range strings.SplitSeq(m[2][1:], ".") {
			object, _ := value.(map[string]any)
			if value = object[name]; value == nil {
				t.Errorf("$%s%s is not in %s", m[1], m[2], answers[m[1]])
				break
			}
		}
	}
}
