package gateway

import "testing"

// A person sees the banner before all else, whatever the document is made of.
func TestWhereABodyBegins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, before, behind string }{
		{"a fragment", "", "<p>Hi</p>"},
		{"text", "", "Hi"},
		{"a whole document", "<!doctype html>\n<html><head><title>A &lt; B</title></head>\n<body class='a>b'>", "<p>Hi</p></body></html>"},
		{"upper case", "<HTML><BODY>", "Hi"},
		{"no body tag", "<!doctype html><html><head><meta charset=utf-8></head>", "<p>Hi</p>"},
		{"a head that does not end", "<html><head><style>p{}</style><body>", "<p>Hi</p>"},
		{"a body in a comment", "<html><!--[if mso]><body class='mso'><![endif]--><!--[if !mso]><!--><body>", "<!--<![endif]-->Hi"},
		{"a body in a title", "<head><title><body></title></head><body>", "Hi"},
		{"a quoted document", "", "<p>Hi</p><html><head></head><body>quoted</body></html>"},
		{"a picture first", "", "<img src='a'/><body>"},
		{"nothing but a head", "<html><head>", "<title>Hi</title>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if at := startOfBody(c.before + c.behind); at != len(c.before) {
				t.Errorf("it begins at %d, not %d", at, len(c.before))
			}
		})
	}
}
