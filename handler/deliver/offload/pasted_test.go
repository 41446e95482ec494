package offload

import (
	"net/url"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/problem"
)

const aToken = "20261227-fe2fabcdefghijklmnopqrst25"

func TestTokenInEveryFormInWhichARecipientHasIt(t *testing.T) {
	t.Parallel()
	link := "https://mail.example.com/files/" + aToken
	escaped := url.QueryEscape(link + "/2")
	hyphens := strings.NewReplacer("-", "-2D", ":", "-3A", "/", "_")
	for name, pasted := range map[string]string{
		"as it is":               link,
		"the token alone":        aToken,
		"with a number":          link + "/1",
		"with a slash":           link + "/",
		"with a query":           link + "?utm_source=mail",
		"with a fragment":        link + "/3#top",
		"in angle brackets":      "<" + link + "/1>",
		"in quotes":              `"` + link + `"`,
		"in spaces":              "  " + link + "\r\n",
		"at a sentence's end":    "see " + link + "/1.",
		"in HTML":                `<a href="` + link + `">file.pdf</a>`,
		"in Markdown":            "[file](" + link + "/1)",
		"in capitals":            strings.ToUpper(link),
		"under a path":           "https://example.com/posthorn/files/" + aToken,
		"in a line of source":    `<a href=3D"https://mail.example.com/files/20261227-fe2fabc=` + "\r\n" + `defghijklmnopqrst25">`,
		"twice":                  link + "/1 " + link + "/2",
		"Safe Links":             "https://eur01.safelinks.protection.outlook.com/?url=" + escaped + "&data=05%7C02%7Cann%40example.com%7C8&sdata=x%3D&reserved=0",
		"Safe Links, copied":     "https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape(escaped) + "&amp;data=05",
		"Proofpoint 2":           "https://urldefense.proofpoint.com/v2/url?u=" + hyphens.Replace(link+"/1") + "&d=DwMFaQ&c=euGZstcaTDllvimEN8b7jXrwqOf-v5A_CdpgnVfiiMM&e=",
		"Proofpoint 3":           "https://urldefense.com/v3/__" + link + "/1__;!!Abc-12!dE3$",
		"Safe Links, Proofpoint": "https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape("https://urldefense.com/v3/__"+link+"__;!!A$"),
		"Google":                 "https://www.google.com/url?q=" + escaped + "&sa=D",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if token, err := Token(pasted); token != aToken || err != nil {
				t.Errorf("got %q, %v for %s", token, err, pasted)
			}
		})
	}
}

func TestTokenOfWhatIsNoLink(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct{ pasted, says string }{
		"nothing":              {"", "no link"},
		"another page":         {"https://mail.example.com/files/", "no link"},
		"cut off":              {"https://mail.example.com/files/" + aToken[:30], "no link"},
		"grown":                {"https://mail.example.com/files/" + aToken + "a", "no link"},
		"a link of the store":  {"https://account.blob.core.windows.net/attachments/moved/abcdefghijklmnopqrstuvwxyz?sig=x", "storage"},
		"an upload":            {"https://account.blob.core.windows.net/attachments/upload/abcdefghijklmnopqrstuvwxyz?sig=x", "storage"},
		"links of two":         {aToken + " " + strings.Replace(aToken, "fe2f", "fe3f", 1), "several"},
		"bad percent sign":     {"https://mail.example.com/%zz", "no link"},
		"a short link of ours": {"https://posthorn.example.com/f/1", "no link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := Token(of.pasted)
			if token != "" || !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), of.says) {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	f.Add("https://mail.example.com/files/"+aToken, false)
	f.Add("%2520<-2D>=\r\n", true)
	f.Fuzz(func(t *testing.T, around string, escape bool) {
		token, err := Token(around)
		if _, ok := keyOf(token, ""); err == nil && !tokenForm.MatchString(token) || err != nil && ok {
			t.Errorf("got %q, %v", token, err)
		}
		wrapped := "https://filter.example/?url=" + url.QueryEscape("https://mail.example.com/files/"+aToken+"/1") + "&data=" + url.QueryEscape(around)
		if escape {
			wrapped = "https://filter.example/?url=" + url.QueryEscape(wrapped)
		}
		if found, err := Token(wrapped); err == nil && found != aToken && token == "" {
			t.Errorf("got %q for %q", found, wrapped)
		}
	})
}
