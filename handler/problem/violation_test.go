package problem

import (
	"strings"
	"testing"
)

// A sentence names members in the words of its reader, as short as can be.
func TestFaultsNameMembersInTheReadersWords(t *testing.T) {
	t.Parallel()
	renamed := func(from, to string) func(string) string {
		return func(p string) string { return strings.Replace(p, from, to, 1) }
	}
	body := NewViolation("/content", "Set %s.", Name{"/content/plainText", "/content/html"})
	address := NewViolation("/recipients/to/1/address", "The same stands at %s.", Name{"/recipients/to/0/address"})
	header := NewViolation("/headers/From", "%s sets it.", Name{"/senderAddress"})
	for _, c := range []struct {
		name  string
		fault Violation
		place func(string) string
		want  string
	}{
		{"no member", NewViolation("/a", "It is %d bytes.", 3), renamed("/a", "/b"), "/b: It is 3 bytes."},
		{"within its place", body, renamed("x", "x"), "/content: Set plainText or html."},
		{"within the whole", body, renamed("/content", ""), "Set plainText or html."},
		{"both are one there", body, func(string) string { return "/content" }, "/content: Set content."},
		{"one is unknown there", body, func(p string) string { return strings.TrimSuffix(p, "/html") }, "/content: Set plainText."},
		{"elsewhere, in a list", address, renamed("/recipients", ""), "/to/1/address: The same stands at /to/0/address."},
		{"elsewhere, in none", header, renamed("/senderAddress", "/from/email"), "/headers/From: from.email sets it."},
		{"in a list within its place", body, renamed("/content/plainText", "/content/0/value"), "/content: Set /content/0/value or html."},
		{"beside it", NewViolation("/a/0/x", "Set %s.", Name{"/a/0/x", "/a/0/y", "/a/0/z"}), renamed("a", "b"), "/b/0/x: Set x, y or z."},
		{"in the whole of a list", NewViolation("", "Set %s.", Name{"/x"}), func(p string) string { return "/3" + p }, "/3: Set x."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.fault.Placed(c.place).Sentence(asPointer); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := address.Say(func(p string) string { return strings.ReplaceAll(p[1:], "/", ".") }); got != "The same stands at recipients.to.0.address." {
		t.Error(got)
	}
}

// A client that shows one text shows the reason, with its place where it has one.
func TestSentence(t *testing.T) {
	t.Parallel()
	placed, whole := Violation{Pointer: "/a", Detail: "It is wrong."}, Violation{Detail: "There is nothing."}
	malformed := New(MalformedJSON, "Reading stopped at byte 3. A comma is missing.")
	malformed.Violations = []Violation{{Pointer: "/a", Detail: "A comma is missing."}}
	forbidden := New(Forbidden, "The policy says no.")
	forbidden.Violations = []Violation{placed}
	for name, c := range map[string]struct {
		p    *Problem
		want string
	}{
		"no fault":          {New(OverQuota, "There is none left."), "There is none left."},
		"one of the whole":  {Invalid([]Violation{whole}), "There is nothing."},
		"two":               {Invalid([]Violation{placed, whole}), "/a: It is wrong. There is nothing."},
		"many":              {Invalid([]Violation{placed, placed, placed, placed, placed, placed, placed}), strings.Repeat("/a: It is wrong. ", 5) + "And 2 more."},
		"malformed":         {malformed, malformed.Detail},
		"a detail of a use": {forbidden, "The policy says no. /a: It is wrong."},
	} {
		if got := c.p.Sentence(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := Invalid([]Violation{placed, whole}).Detail; got != "The message has 2 violations, listed in errors." {
		t.Error(got)
	}
}
