package hook

import "testing"

// What GitHub would show of Markdown is shown, and code as it is.
func TestProse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, said, want string }{
		{"plain words", "a < b && c", "a < b && c"},
		{"no HTML", "List<String> of <ann@example.com>, see <https://example.com>", "List<String> of <ann@example.com>, see <https://example.com>"},
		{"tags", "<p>Dear <b>team</b>,<br>hello</p>", "Dear team,\nhello"},
		{"a link", `<a href="https://example.com/a?b=c&amp;d">See <i>it</i></a>`, "See it (https://example.com/a?b=c&d)"},
		{"a link that is its words", `<a href="https://example.com">https://example.com</a>`, "https://example.com"},
		{"a link that runs code", `<a href="javascript:alert(1)">x</a>`, "x"},
		{"a picture", `<img width="5" alt="a horn" src="https://example.com/h.png">`, "a horn"},
		{"a list", "<ul><li>one</li><li>two</li></ul>", "- one\n- two"},
		{"characters by name", "1 &lt; 2 &amp; 3", "1 < 2 & 3"},
		{"a comment", "a<!-- b\nc -->d", "ad"},
		{"code", "<b>x</b> `<b>` \n```\n<b>\n```", "x `<b>` \n```\n<b>\n```"},
		{"nothing but tags", "<p></p>", "<p></p>"},
		{"many empty lines", "a\r\n\r\n \r\n\r\nb\r\n", "a\n\nb"},
		{"a control character by name", "a&#1;b", "a\uFFFDb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := prose(c.said); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWordsForWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	const payload = `{"event":"pull_request_review","none":"","thing":{"id":7,"node_id":"x","html_url":"https://example.com/7","url":"https://api.example.com/7",
		"made_at":"2026-11-26T12:00:00+01:00","user":{"login":"ann","id":1},"labels":[{"name":"bug"},{"name":"sail"}],"client_secret":"s","nothing":[]},
		"sender":{"login":"bo"},"repository":{"full_name":"nord/boat","private":false}}`
	for _, c := range []struct{ source, want string }{
		{`{{phrase .event}}|{{capital .event}}|{{capital .none}}|{{without "pull_" .event}}|{{without "x" .none}}`, "pull request review|Pull_request_review||request_review|"},
		{`{{range brief "/thing"}}{{.Name}}={{.Text}};{{end}}`, "Address=https://example.com/7;Made at=26 Nov 2026, 11:00:00 UTC;User=ann;Labels=bug, sail;"},
		{`{{range brief "" "event" "thing"}}{{.Name}}={{.Text}};{{end}}{{range brief "/nowhere"}}x{{end}}`, "Sender=bo;Repository=nord/boat;"},
		{`{{called "/thing/user"}}|{{called "/thing/labels/0"}}|{{called ""}}|{{called "" "repository"}}|{{called "/event"}}`, "ann|bug|nord/boat||"},
		{`{{names .thing.labels}}|{{names .none}}|{{subject}}`, "bug, sail||"},
	} {
		if got, err := execute(c.source, false, over(t, payload)); err != nil || got != c.want {
			t.Errorf("%s says %q, %v", c.source, got, err)
		}
	}
}
