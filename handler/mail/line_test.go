package mail

import (
	"encoding/base64"
	"strings"
	"testing"
)

func encoded(charset, text string) string {
	return "=?" + charset + "?B?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
}

func TestLine(t *testing.T) {
	t.Parallel()
	const override = "invoice\u202efdp.exe"
	for name, of := range map[string]struct{ text, refusal string }{
		"words":                             {"Grüße, שלום and 🏳️‍🌈", ""},
		"a flag of tags":                    {"England 🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F wins", ""},
		"an encoded word":                   {"Re: " + encoded("utf-8", "Grüße"), ""},
		"an encoded word in Latin 1":        {"=?iso-8859-1?Q?Gr=FC=DFe_all?=", ""},
		"a question":                        {"a=?b?=c", ""},
		"a line feed":                       {"a\nb", "U+000A"},
		"an override":                       {override, "U+202E"},
		"tags":                              {"Pay\U000E0041\U000E0042 now", "U+E0041"},
		"tags behind a flag that is whole":  {"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F\U000E0041", "U+E"},
		"a flag that never ends":            {"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067", "U+E0067"},
		"an override, encoded":              {encoded("utf-8", override), "U+202E, which changes the direction of text, in an encoded word"},
		"in the middle of a word":           {"a" + encoded("UTF-8", override) + "b", "U+202E"},
		"with a language":                   {"=?utf-8*en?q?a=E2=80=AEb?=", "U+202E"},
		"without its padding":               {strings.TrimRight(encoded("utf-8", override+"x"), "?=") + "?=", "U+202E"},
		"in pieces":                         {"=?utf-8?q?=E2=80?= =?utf-8?q?=AE?=", "U+202E"},
		"a line feed, encoded":              {"=?us-ascii?Q?a=0D=0ABcc:_eve=40example.com?=", "U+000D"},
		"in a charset of two bytes":         {encoded("utf-16be", "\x20\x2e"), "U+202E"},
		"in a charset that is not known":    {"=?utf-7?Q?+IC4-?=", "charset that is not known"},
		"in quoted-printable that is wrong": {"=?utf-8?q?=E2=80=AE=?=", "U+202E"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Line(of.text)
			if of.refusal == "" && err != nil || of.refusal != "" && (err == nil || !strings.Contains(err.Error(), of.refusal)) {
				t.Errorf("%q: got %v", of.text, err)
			}
		})
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	for list, good := range map[string]bool{
		"de": true, "pt-BR": true, "zh-Hant-TW, en": true, "sl-rozaj-biske-1994": true, "x-klingon": true,
		"": false, "de,": false, "de_DE": false, "123": false, "<script>": false, "deutschland": false, "en-" + strings.Repeat("a-", 31) + "a": false,
	} {
		if err := Languages(list); (err == nil) != good {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	for text, seen := range map[string]bool{
		"a": true, "…": true, "🏳️‍🌈": true, "\u200bé": true, "שלום": true,
		"": false, "\u00a0\u3000": false, "\u200b": false, "\u200d\ufe0f": false, "\u3164\u115f\uffa0": false, "\u2800": false, "\u00ad\u2060\ufeff": false,
	} {
		if err := Seen(text); (err == nil) != seen {
			t.Errorf("%q: %v", text, err)
		}
	}
}
