package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
)

var (
	memberRow  = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| ([^|]*)\\|$")
	memberName = regexp.MustCompile("`([^`]+)`")
)

// Each member of another API stands once on the page of its clients, and is said
// to be refused just if it is.
func TestPagesOfClientsTellEveryMember(t *testing.T) {
	t.Parallel()
	for page, rows := range map[string][]wire.Row{"resend.md": resend.Rows(), "sendgrid.md": sendgrid.Rows(), "postmark.md": postmark.Rows()} {
		text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page))
		if err != nil {
			t.Fatal(err)
		}
		_, members, _ := strings.Cut(string(text), "\n## Members\n")
		members, _, _ = strings.Cut(members, "\n## ")
		told := map[string]string{}
		for _, row := range memberRow.FindAllStringSubmatch(members, -1) {
			for _, name := range memberName.FindAllStringSubmatch(row[1], -1) {
				if _, twice := told[name[1]]; twice {
					t.Errorf("%s: %s stands twice", page, name[1])
				}
				told[name[1]] = row[2]
			}
		}
		for _, r := range rows {
			said, ok := told[r.Name]
			if !ok {
				t.Errorf("%s does not tell %s", page, r.Name)
			}
			if refused := strings.HasPrefix(said, "refused: "); refused != (r.Refusal != "") {
				t.Errorf("%s says of %s %q, the code %q", page, r.Name, said, r.Refusal)
			}
			delete(told, r.Name)
		}
		for name := range told {
			t.Errorf("%s tells %s, which the code does not know", page, name)
		}
	}
}
