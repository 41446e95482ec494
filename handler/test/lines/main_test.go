package main

import "testing"

func TestLinesAreThoseWithCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"nothing", "", 0},
		{"a comment", "// a\n\n/* b\n\nc */\n", 0},
		{"code and comments", "// a\npackage a // b\n\n/* c */ var d = 1 /* e\nf */\n", 2},
		{"one statement on three lines", "package a\n\nvar b = f(\n\t1,\n)\n", 4},
		{"a text with a blank line and one that looks like a comment", "package a\n\nconst b = `c\n\n// d\n`\n", 4},
		{"two statements on one line", "package a; var b, c = 1, 2; var d = 3\n", 1},
	} {
		got, err := lines([]byte(c.text))
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
	if _, err := lines([]byte("package a\n\nvar b = `\n")); err == nil {
		t.Error("a text without an end passes")
	}
}

func TestTestsAndTheirSupportDoNotCount(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]bool{
		"handler/gateway/send.go":                 true,
		"handler/api/hook/verify/verify.go":       true,
		"/tmp/handler/decide/quota/row/row.go":    true,
		"handler/gateway/send_test.go":            false,
		"handler/gateway/gatewaytest/gateway.go":  false,
		"handler/gateway/sim/world.go":            false,
		"handler/accept/wire/wiretest/wire.go":    false,
		"handler/api/rest/contract/contract.go":   false,
		"handler/api/rest/openapi.json":           false,
		"handler/api/hook/testdata/forms/form.go": true,
	} {
		if got := counted(file); got != want {
			t.Errorf("%s: %t", file, got)
		}
	}
}
